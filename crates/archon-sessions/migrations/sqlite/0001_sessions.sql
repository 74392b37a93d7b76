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
    revision              INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX archon_mcp_sessions_status ON archon_mcp_sessions (status, last_activity);
CREATE INDEX archon_mcp_sessions_connected ON archon_mcp_sessions (connected_at);
CREATE INDEX archon_mcp_sessions_user ON archon_mcp_sessions (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX archon_mcp_sessions_token ON archon_mcp_sessions (reconnect_token_hash)
    WHERE reconnect_token_hash IS NOT NULL;
CREATE INDEX archon_mcp_sessions_reconnects ON archon_mcp_sessions (reconnect_count)
    WHERE reconnect_count > 0;

CREATE TABLE archon_mcp_connections (
    handle            TEXT PRIMARY KEY NOT NULL,
    session_id        TEXT NOT NULL REFERENCES archon_mcp_sessions (session_id),
    upstream          TEXT NOT NULL,
    principal         TEXT NOT NULL,
    protocol_version  TEXT NOT NULL,
    initialize        TEXT NOT NULL,
    link              TEXT,
    opened_at         TEXT NOT NULL,
    ended_at          TEXT
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
    model              TEXT
) STRICT;

-- Rows are written in the order of their ends, so the key itself serves "the latest". Each index here is
-- paid for by every call.
CREATE INDEX archon_mcp_requests_session ON archon_mcp_requests (session_id);
CREATE INDEX archon_mcp_requests_failed ON archon_mcp_requests (status, timestamp)
    WHERE status <> 'success';

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
