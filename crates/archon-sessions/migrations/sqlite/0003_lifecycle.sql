-- Attempts to take a session back, which processes use this database, and what retention looks for.

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

CREATE INDEX archon_mcp_sessions_ended ON archon_mcp_sessions (disconnected_at)
    WHERE disconnected_at IS NOT NULL;
