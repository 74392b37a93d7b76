-- What a restart must find of calls and streams that are not over.

-- What a client set up on its connection after the handshake, as JSON: log level and subscriptions.
ALTER TABLE archon_mcp_connections ADD COLUMN setup TEXT;

-- Where a client called from and what it said of itself, as a keyed digest: to find the session of a client
-- without a handle again. It is taken away once the client has shown a handle.
ALTER TABLE archon_mcp_sessions ADD COLUMN fingerprint TEXT;

CREATE TABLE archon_mcp_keys (
    name   TEXT PRIMARY KEY NOT NULL,
    value  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The ledger: a call is here from before it is sent until its end is written. What is left here by a
-- process that is gone has an unknown outcome.
CREATE TABLE archon_mcp_calls (
    call_id        INTEGER PRIMARY KEY,
    session_id     TEXT NOT NULL,
    handle         TEXT,
    request_id     TEXT NOT NULL,
    digest         TEXT NOT NULL,
    method         TEXT NOT NULL,
    tool_name      TEXT,
    upstream       TEXT NOT NULL,
    started        TEXT NOT NULL,
    request_bytes  INTEGER NOT NULL,
    node           TEXT NOT NULL
) STRICT;

-- The event log: what was sent on legacy streams and may not have reached its client.
CREATE TABLE archon_mcp_events (
    stream_id    INTEGER NOT NULL,
    seq          INTEGER NOT NULL,
    handle       TEXT NOT NULL,
    event        TEXT NOT NULL,
    is_answered  INTEGER NOT NULL,
    sent_at      TEXT NOT NULL,
    PRIMARY KEY (stream_id, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX archon_mcp_events_age ON archon_mcp_events (sent_at);
