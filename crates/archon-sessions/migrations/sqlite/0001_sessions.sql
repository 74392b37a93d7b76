-- Sessions, connections, requests and prices. The names and columns of the archon_mcp_* and archon_llm_*
-- tables are a public contract for people's own SQL. Times are RFC 3339 text of fixed width, in UTC.

CREATE TABLE archon_mcp_sessions (
    session_id            TEXT PRIMARY KEY NOT NULL,
    client_type           TEXT NOT NULL,
    client_name           TEXT,
    client_version        TEXT,
    client_capabilities   TEXT,
    connected_at          TEXT NOT NULL,
    last_activity         TEXT NOT NULL,
    disconnected_at       TEXT,
    total_duration        INTEGER,
    status                TEXT NOT NULL CHECK (status IN ('active', 'disconnected', 'expired')),
    disconnect_reason     TEXT,
    user_id               TEXT,
    user_email            TEXT,
    user_name             TEXT,
    metadata              TEXT,
    reconnect_token_hash  TEXT,
    reconnect_expires_at  TEXT,
    reconnect_count       INTEGER NOT NULL DEFAULT 0,
    principal             TEXT NOT NULL DEFAULT 'anonymous',
    era                   TEXT NOT NULL DEFAULT 'legacy',
    protocol_version      TEXT NOT NULL DEFAULT '',
    continues             TEXT,
    idle_timeout_seconds  INTEGER NOT NULL DEFAULT 300,
    revision              INTEGER NOT NULL DEFAULT 0,
    -- Where a client called from and what it said of itself, as a keyed digest: to find the session of a client
    -- without a handle again. It is taken away once the client has shown a handle.
    fingerprint           TEXT,
    -- What it has used, of all times: its rows of requests may be dropped.
    total_requests          INTEGER NOT NULL DEFAULT 0,
    total_errors            INTEGER NOT NULL DEFAULT 0,
    total_timeouts          INTEGER NOT NULL DEFAULT 0,
    total_prompt_tokens     INTEGER NOT NULL DEFAULT 0,
    total_completion_tokens INTEGER NOT NULL DEFAULT 0,
    total_cost_micros       INTEGER NOT NULL DEFAULT 0,
    -- Which upstreams it has used, as a JSON array of their names in the order in which they were first used, so
    -- that a list of sessions need not look at their requests. Eight names at most.
    upstreams             TEXT NOT NULL DEFAULT '[]',
    last_request_day      TEXT,
    -- How far a row that people wrote was read: see below.
    intake                INTEGER,
    -- The key that a client sends with each request, so that its requests belong together, as a keyed digest.
    client_key_hash       TEXT
) STRICT;

CREATE INDEX archon_mcp_sessions_status ON archon_mcp_sessions (status, last_activity);
CREATE INDEX archon_mcp_sessions_connected ON archon_mcp_sessions (connected_at);
CREATE INDEX archon_mcp_sessions_token ON archon_mcp_sessions (reconnect_token_hash)
    WHERE reconnect_token_hash IS NOT NULL;
CREATE INDEX archon_mcp_sessions_reconnects ON archon_mcp_sessions (reconnect_count)
    WHERE reconnect_count > 0;
CREATE INDEX archon_mcp_sessions_ended ON archon_mcp_sessions (disconnected_at)
    WHERE disconnected_at IS NOT NULL;
-- Lists by a client's type, of one user, and who continues whom.
CREATE INDEX archon_mcp_sessions_client ON archon_mcp_sessions (client_type, last_activity);
CREATE INDEX archon_mcp_sessions_of_user ON archon_mcp_sessions (user_id, last_activity)
    WHERE user_id IS NOT NULL;
CREATE INDEX archon_mcp_sessions_continues ON archon_mcp_sessions (continues)
    WHERE continues IS NOT NULL;
CREATE INDEX archon_mcp_sessions_of_key ON archon_mcp_sessions (client_key_hash, last_activity)
    WHERE client_key_hash IS NOT NULL;
CREATE INDEX archon_mcp_sessions_intake ON archon_mcp_sessions (intake) WHERE intake <> 1;

-- Lists of sessions by what they used and how long they lasted. Figures of active sessions change with every call, so
-- only those that have ended are in these indexes: each is written once for a session, at its end.
CREATE INDEX archon_mcp_sessions_by_requests ON archon_mcp_sessions (status, total_requests, connected_at)
    WHERE status <> 'active';
CREATE INDEX archon_mcp_sessions_by_errors
    ON archon_mcp_sessions (status, total_errors + total_timeouts, connected_at) WHERE status <> 'active';
CREATE INDEX archon_mcp_sessions_by_cost ON archon_mcp_sessions (status, total_cost_micros, connected_at)
    WHERE status <> 'active';
CREATE INDEX archon_mcp_sessions_by_duration
    ON archon_mcp_sessions (status, coalesce(total_duration, 0), connected_at) WHERE status <> 'active';

CREATE TABLE archon_mcp_connections (
    handle            TEXT PRIMARY KEY NOT NULL,
    session_id        TEXT NOT NULL REFERENCES archon_mcp_sessions (session_id),
    upstream          TEXT NOT NULL,
    principal         TEXT NOT NULL,
    protocol_version  TEXT NOT NULL,
    initialize        TEXT NOT NULL,
    link              TEXT,
    opened_at         TEXT NOT NULL,
    ended_at          TEXT,
    -- What a client set up on it after the handshake, as JSON: log level and subscriptions.
    setup             TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX archon_mcp_connections_session ON archon_mcp_connections (session_id);

CREATE TABLE archon_mcp_requests (
    id                 INTEGER PRIMARY KEY,
    session_id         TEXT NOT NULL REFERENCES archon_mcp_sessions (session_id),
    method             TEXT NOT NULL,
    tool_name          TEXT,
    prompt_tokens      INTEGER NOT NULL DEFAULT 0,
    completion_tokens  INTEGER NOT NULL DEFAULT 0,
    estimated_cost     REAL NOT NULL DEFAULT 0,
    timestamp          TEXT NOT NULL,
    duration_ms        INTEGER NOT NULL,
    status             TEXT NOT NULL CHECK (status IN ('success', 'error', 'timeout')),
    error_message      TEXT,
    upstream           TEXT NOT NULL DEFAULT '',
    duration_us        INTEGER NOT NULL DEFAULT 0,
    request_bytes      INTEGER NOT NULL DEFAULT 0,
    response_bytes     INTEGER NOT NULL DEFAULT 0,
    model              TEXT,
    intake             INTEGER
) STRICT;

-- Rows are written in the order of their ends, so the key itself serves "the latest". Each index here is
-- paid for by every call.
CREATE INDEX archon_mcp_requests_session ON archon_mcp_requests (session_id);
CREATE INDEX archon_mcp_requests_failed ON archon_mcp_requests (status, timestamp)
    WHERE status <> 'success';
CREATE INDEX archon_mcp_requests_intake ON archon_mcp_requests (intake) WHERE intake <> 1;

CREATE TABLE archon_llm_pricing (
    provider             TEXT NOT NULL,
    model_name           TEXT NOT NULL,
    input_price_per_1k   REAL NOT NULL,
    output_price_per_1k  REAL NOT NULL,
    effective_date       TEXT NOT NULL,
    PRIMARY KEY (provider, model_name, effective_date)
) STRICT;

-- List prices in US dollars, a place to start from; edit them to what you pay.
INSERT INTO archon_llm_pricing VALUES
    ('anthropic', 'claude-opus-4-5',   0.005,   0.025,  '2025-11-24'),
    ('anthropic', 'claude-sonnet-4-5', 0.003,   0.015,  '2025-09-29'),
    ('anthropic', 'claude-haiku-4-5',  0.001,   0.005,  '2025-10-15'),
    ('google',    'gemini-2.5-pro',    0.00125, 0.01,   '2025-06-17'),
    ('google',    'gemini-2.5-flash',  0.0003,  0.0025, '2025-06-17'),
    ('openai',    'gpt-5',             0.00125, 0.01,   '2025-08-07'),
    ('openai',    'gpt-5-mini',        0.00025, 0.002,  '2025-08-07'),
    ('openai',    'gpt-4o',            0.0025,  0.01,   '2024-08-06');

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

-- Attempts to reconnect to a session, and the processes that use this database.
CREATE TABLE archon_mcp_reconnect_attempts (
    id          INTEGER PRIMARY KEY,
    timestamp   TEXT NOT NULL,
    -- As it was asked for: there may be no such session.
    session_id  TEXT NOT NULL,
    peer        TEXT,
    principal   TEXT NOT NULL,
    result      TEXT NOT NULL
) STRICT;

CREATE INDEX archon_mcp_reconnect_attempts_age ON archon_mcp_reconnect_attempts (timestamp);
CREATE INDEX archon_mcp_reconnect_attempts_session ON archon_mcp_reconnect_attempts (session_id);

CREATE TABLE archon_mcp_nodes (
    node            TEXT PRIMARY KEY NOT NULL,
    heard_at        TEXT NOT NULL,
    -- Nothing heard of it until then, it is gone.
    expected_until  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What the API sums up, kept as rows are written, so that no report reads a whole table. Like all tables here
-- they may be read by anybody; only the gateway should write to them.

-- All requests by the hour; those of a tool, a client's type and a user by the day. A tool's name is its upstream, a
-- tab, and the tool. Costs are in millionths of a dollar, durations in microseconds.
CREATE TABLE archon_mcp_usage (
    dimension          TEXT NOT NULL CHECK (dimension IN ('all', 'tool', 'client', 'user')),
    period             TEXT NOT NULL,
    name               TEXT NOT NULL,
    requests           INTEGER NOT NULL,
    errors             INTEGER NOT NULL,
    timeouts           INTEGER NOT NULL,
    prompt_tokens      INTEGER NOT NULL,
    completion_tokens  INTEGER NOT NULL,
    cost_micros        INTEGER NOT NULL,
    duration_us        INTEGER NOT NULL,
    min_duration_us    INTEGER NOT NULL,
    max_duration_us    INTEGER NOT NULL,
    PRIMARY KEY (dimension, period, name)
) STRICT, WITHOUT ROWID;

-- Answers by the logarithm of their duration: bucket b holds what took 1.1^(b-1) to 1.1^b microseconds.
CREATE TABLE archon_mcp_latency (
    day      TEXT NOT NULL,
    tool     TEXT NOT NULL,
    bucket   INTEGER NOT NULL,
    answers  INTEGER NOT NULL,
    PRIMARY KEY (day, tool, bucket)
) STRICT, WITHOUT ROWID;

-- The sessions that are stored.
CREATE TABLE archon_mcp_session_totals (
    status    TEXT PRIMARY KEY NOT NULL,
    sessions  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The sessions that began in an hour. `open_seconds` is how long after its beginning those began that are still
-- active, `closed_seconds` how long those lasted that are not.
CREATE TABLE archon_mcp_session_starts (
    hour            TEXT PRIMARY KEY NOT NULL,
    sessions        INTEGER NOT NULL,
    open            INTEGER NOT NULL,
    open_seconds    INTEGER NOT NULL,
    closed_seconds  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The sessions that ended in an hour.
CREATE TABLE archon_mcp_session_ends (
    hour          TEXT NOT NULL,
    reason        TEXT NOT NULL,
    sessions      INTEGER NOT NULL,
    seconds       INTEGER NOT NULL,
    min_seconds   INTEGER NOT NULL,
    max_seconds   INTEGER NOT NULL,
    PRIMARY KEY (hour, reason)
) STRICT, WITHOUT ROWID;

-- How many sessions made requests on some days, whichever: each is counted on each day of its own, by its day before. On
-- days from one to another there were those whose day before is before the first, once each.
CREATE TABLE archon_mcp_session_days (
    day       TEXT NOT NULL,
    -- Empty where there is none.
    previous  TEXT NOT NULL,
    sessions  INTEGER NOT NULL,
    PRIMARY KEY (day, previous)
) STRICT, WITHOUT ROWID;

-- The requests of each minute of the last day, by when they arrived; imported ones are not here.
CREATE TABLE archon_mcp_minutes (
    minute    TEXT PRIMARY KEY NOT NULL,
    requests  INTEGER NOT NULL,
    errors    INTEGER NOT NULL,
    timeouts  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Requests that were turned away before they had a place in a session: a row for each cause, upstream and address in a
-- minute, since strangers cause them.

CREATE TABLE archon_mcp_refusals (
    id          INTEGER PRIMARY KEY,
    minute      TEXT NOT NULL,
    cause       TEXT NOT NULL,
    -- Empty for the API's port.
    upstream    TEXT NOT NULL,
    -- Empty where it is not known, or one of too many.
    peer        TEXT NOT NULL,
    -- These three are of the first request.
    principal   TEXT NOT NULL,
    client      TEXT,
    detail      TEXT NOT NULL,
    count       INTEGER NOT NULL,
    last_at     TEXT NOT NULL,
    UNIQUE (minute, cause, upstream, peer)
) STRICT;

-- Triggers count sessions, because sessions are also imported, and deleted when they are old, and a batch may come
-- twice: what changes no row counts for nothing.
--
-- Rows that people write with SQL: store/sqlite/intake.rs reads their times and ids in any form, writes them in ours, and
-- counts them. `intake` is 1 in rows of the gateway's. It is 0 where a row was written by others and not read yet, 3
-- where only its form is to be read again, and 2 where it cannot be read: then it is in no list and no sum until
-- somebody changes it.

-- The gateway's own rows are counted as they come, those of others once they were read.
CREATE TRIGGER archon_mcp_sessions_added AFTER INSERT ON archon_mcp_sessions WHEN new.intake = 1 BEGIN
    INSERT INTO archon_mcp_session_totals VALUES (new.status, 1)
    ON CONFLICT DO UPDATE SET sessions = sessions + 1;
    INSERT INTO archon_mcp_session_starts VALUES (
        substr(new.connected_at, 1, 13) || ':00:00.000000Z', 1, new.status = 'active',
        iif(new.status = 'active', 60 * substr(new.connected_at, 15, 2) + substr(new.connected_at, 18, 2), 0),
        iif(new.status = 'active', 0, coalesce(new.total_duration, 0)))
    ON CONFLICT DO UPDATE SET
        sessions = sessions + 1, open = open + excluded.open, open_seconds = open_seconds + excluded.open_seconds,
        closed_seconds = closed_seconds + excluded.closed_seconds;
    INSERT INTO archon_mcp_session_ends
    SELECT substr(coalesce(new.disconnected_at, new.last_activity), 1, 13) || ':00:00.000000Z',
           coalesce(new.disconnect_reason, 'unknown'), 1, coalesce(new.total_duration, 0),
           coalesce(new.total_duration, 0), coalesce(new.total_duration, 0)
    WHERE new.status <> 'active'
    ON CONFLICT DO UPDATE SET
        sessions = sessions + 1, seconds = seconds + excluded.seconds,
        min_seconds = min(min_seconds, excluded.min_seconds),
        max_seconds = max(max_seconds, excluded.max_seconds);
END;

CREATE TRIGGER archon_mcp_sessions_written AFTER INSERT ON archon_mcp_sessions WHEN new.intake IS NULL BEGIN
    UPDATE archon_mcp_sessions SET intake = 0 WHERE rowid = new.rowid;
END;

CREATE TRIGGER archon_mcp_sessions_read AFTER UPDATE OF intake ON archon_mcp_sessions
WHEN old.intake <> 1 AND new.intake = 1 BEGIN
    INSERT INTO archon_mcp_session_totals VALUES (new.status, 1)
    ON CONFLICT DO UPDATE SET sessions = sessions + 1;
    INSERT INTO archon_mcp_session_starts VALUES (
        substr(new.connected_at, 1, 13) || ':00:00.000000Z', 1, new.status = 'active',
        iif(new.status = 'active', 60 * substr(new.connected_at, 15, 2) + substr(new.connected_at, 18, 2), 0),
        iif(new.status = 'active', 0, coalesce(new.total_duration, 0)))
    ON CONFLICT DO UPDATE SET
        sessions = sessions + 1, open = open + excluded.open, open_seconds = open_seconds + excluded.open_seconds,
        closed_seconds = closed_seconds + excluded.closed_seconds;
    INSERT INTO archon_mcp_session_ends
    SELECT substr(coalesce(new.disconnected_at, new.last_activity), 1, 13) || ':00:00.000000Z',
           coalesce(new.disconnect_reason, 'unknown'), 1, coalesce(new.total_duration, 0),
           coalesce(new.total_duration, 0), coalesce(new.total_duration, 0)
    WHERE new.status <> 'active'
    ON CONFLICT DO UPDATE SET
        sessions = sessions + 1, seconds = seconds + excluded.seconds,
        min_seconds = min(min_seconds, excluded.min_seconds),
        max_seconds = max(max_seconds, excluded.max_seconds);
END;

CREATE TRIGGER archon_mcp_sessions_changed AFTER UPDATE OF status ON archon_mcp_sessions
WHEN old.status <> new.status AND coalesce(old.intake, 1) = 1 AND coalesce(new.intake, 1) = 1
    AND new.connected_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'
    AND new.last_activity GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'
    AND (new.disconnected_at IS NULL OR new.disconnected_at
        GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
BEGIN
    UPDATE archon_mcp_session_totals SET sessions = sessions - 1 WHERE status = old.status;
    INSERT INTO archon_mcp_session_totals VALUES (new.status, 1)
    ON CONFLICT DO UPDATE SET sessions = sessions + 1;
    UPDATE archon_mcp_session_starts SET
        open = open - 1,
        open_seconds = open_seconds
            - (60 * substr(new.connected_at, 15, 2) + substr(new.connected_at, 18, 2)),
        closed_seconds = closed_seconds + coalesce(new.total_duration, 0)
    WHERE hour = substr(new.connected_at, 1, 13) || ':00:00.000000Z' AND old.status = 'active';
    INSERT INTO archon_mcp_session_ends
    SELECT substr(coalesce(new.disconnected_at, new.last_activity), 1, 13) || ':00:00.000000Z',
           coalesce(new.disconnect_reason, 'unknown'), 1, coalesce(new.total_duration, 0),
           coalesce(new.total_duration, 0), coalesce(new.total_duration, 0)
    WHERE old.status = 'active'
    ON CONFLICT DO UPDATE SET
        sessions = sessions + 1, seconds = seconds + excluded.seconds,
        min_seconds = min(min_seconds, excluded.min_seconds),
        max_seconds = max(max_seconds, excluded.max_seconds);
END;

-- Somebody wrote a time in another form: the session is not counted until that was read.
CREATE TRIGGER archon_mcp_sessions_rewritten
AFTER UPDATE OF connected_at, last_activity, disconnected_at ON archon_mcp_sessions
WHEN coalesce(old.intake, 1) = 1 AND coalesce(new.intake, 1) = 1 AND NOT (new.connected_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'
    AND new.last_activity GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'
    AND (new.disconnected_at IS NULL OR new.disconnected_at
        GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'))
BEGIN
    UPDATE archon_mcp_session_totals SET sessions = sessions - 1 WHERE status = old.status;
    UPDATE archon_mcp_session_starts SET
        sessions = sessions - 1, open = open - (old.status = 'active'),
        open_seconds = open_seconds - iif(old.status = 'active',
            60 * substr(old.connected_at, 15, 2) + substr(old.connected_at, 18, 2), 0),
        closed_seconds = closed_seconds - iif(old.status = 'active', 0, coalesce(old.total_duration, 0))
    WHERE hour = substr(old.connected_at, 1, 13) || ':00:00.000000Z';
    UPDATE archon_mcp_session_ends SET sessions = sessions - 1, seconds = seconds - coalesce(old.total_duration, 0)
    WHERE hour = substr(coalesce(old.disconnected_at, old.last_activity), 1, 13) || ':00:00.000000Z'
      AND reason = coalesce(old.disconnect_reason, 'unknown') AND old.status <> 'active';
    UPDATE archon_mcp_sessions SET intake = 0 WHERE rowid = new.rowid;
END;

CREATE TRIGGER archon_mcp_sessions_mended AFTER UPDATE ON archon_mcp_sessions
WHEN old.intake = 2 AND new.intake = 2 BEGIN
    UPDATE archon_mcp_sessions SET intake = 0 WHERE rowid = new.rowid;
END;

-- History stays. A session that is deleted before it ended has never been.
CREATE TRIGGER archon_mcp_sessions_deleted AFTER DELETE ON archon_mcp_sessions WHEN coalesce(old.intake, 1) = 1 BEGIN
    UPDATE archon_mcp_session_totals SET sessions = sessions - 1 WHERE status = old.status;
    UPDATE archon_mcp_session_starts SET
        sessions = sessions - 1, open = open - 1,
        open_seconds = open_seconds - (60 * substr(old.connected_at, 15, 2) + substr(old.connected_at, 18, 2))
    WHERE hour = substr(old.connected_at, 1, 13) || ':00:00.000000Z' AND old.status = 'active';
END;

CREATE TRIGGER archon_mcp_requests_written AFTER INSERT ON archon_mcp_requests WHEN new.intake IS NULL BEGIN
    UPDATE archon_mcp_requests SET intake = 0 WHERE id = new.id;
END;

CREATE TRIGGER archon_mcp_requests_rewritten AFTER UPDATE OF timestamp ON archon_mcp_requests
WHEN coalesce(old.intake, 1) = 1 AND coalesce(new.intake, 1) = 1 AND new.timestamp NOT
    GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'
BEGIN
    UPDATE archon_mcp_requests SET intake = 3 WHERE id = new.id;
END;

CREATE TRIGGER archon_mcp_requests_mended AFTER UPDATE ON archon_mcp_requests
WHEN old.intake = 2 AND new.intake = 2 BEGIN
    UPDATE archon_mcp_requests SET intake = 0 WHERE id = new.id;
END;
