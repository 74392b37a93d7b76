-- Sessions, connections, requests and prices. The names and columns of the archon_mcp_* and archon_llm_*
-- tables are a public contract for people's own SQL. No sequence of bytes that a client sends may make a row
-- unwritable, so what clients send is in no key.

CREATE TABLE archon_mcp_sessions (
    session_id            UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    client_type           TEXT NOT NULL DEFAULT 'unknown-client',
    client_name           TEXT,
    client_version        TEXT,
    client_capabilities   JSONB,
    connected_at          TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_activity         TIMESTAMPTZ NOT NULL DEFAULT now(),
    disconnected_at       TIMESTAMPTZ,
    total_duration        INTEGER,
    status                TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disconnected', 'expired')),
    disconnect_reason     TEXT,
    user_id               TEXT,
    user_email            TEXT,
    user_name             TEXT,
    metadata              JSONB,
    reconnect_token_hash  VARCHAR(64),
    reconnect_expires_at  TIMESTAMPTZ,
    reconnect_count       INTEGER NOT NULL DEFAULT 0,
    principal             TEXT NOT NULL DEFAULT 'anonymous',
    era                   TEXT NOT NULL DEFAULT 'legacy',
    protocol_version      TEXT NOT NULL DEFAULT '',
    continues             UUID,
    idle_timeout_seconds  BIGINT NOT NULL DEFAULT 300,
    revision              BIGINT NOT NULL DEFAULT 0,
    -- Where a client called from and what it said of itself, as a keyed digest: to find the session of a
    -- client without a handle again. It is taken away once the client has shown a handle.
    fingerprint           TEXT,
    -- What it has used, of all times: its rows of requests may be dropped.
    total_requests          BIGINT NOT NULL DEFAULT 0,
    total_errors            BIGINT NOT NULL DEFAULT 0,
    total_timeouts          BIGINT NOT NULL DEFAULT 0,
    total_prompt_tokens     BIGINT NOT NULL DEFAULT 0,
    total_completion_tokens BIGINT NOT NULL DEFAULT 0,
    total_cost_micros       BIGINT NOT NULL DEFAULT 0,
    -- Which upstreams it has used, in the order in which they were first used, so that a list of sessions need not
    -- look at their requests. Eight names at most.
    upstreams             TEXT[] NOT NULL DEFAULT '{}',
    last_request_day      TIMESTAMPTZ,
    -- The key that a client sends with each request, so that its requests belong together, as a keyed digest.
    client_key_hash       TEXT
);

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

-- Lists of sessions by what they used and how long they lasted. Figures of active sessions change with every call, so
-- only those that have ended are in these indexes: each is written once for a session, at its end.
CREATE INDEX archon_mcp_sessions_by_requests ON archon_mcp_sessions (status, total_requests, connected_at)
    WHERE status <> 'active';
CREATE INDEX archon_mcp_sessions_by_errors
    ON archon_mcp_sessions (status, (total_errors + total_timeouts), connected_at) WHERE status <> 'active';
CREATE INDEX archon_mcp_sessions_by_cost ON archon_mcp_sessions (status, total_cost_micros, connected_at)
    WHERE status <> 'active';
CREATE INDEX archon_mcp_sessions_by_duration
    ON archon_mcp_sessions (status, (coalesce(total_duration, 0)::bigint), connected_at) WHERE status <> 'active';

-- No foreign key: one lost session must not make its neighbours' rows unwritable.
CREATE TABLE archon_mcp_connections (
    handle            UUID PRIMARY KEY,
    session_id        UUID NOT NULL,
    upstream          TEXT NOT NULL,
    principal         TEXT NOT NULL,
    protocol_version  TEXT NOT NULL,
    initialize        TEXT NOT NULL,
    link              TEXT,
    opened_at         TIMESTAMPTZ NOT NULL,
    ended_at          TIMESTAMPTZ,
    -- What a client set up on it after the handshake, as JSON: log level and subscriptions.
    setup             TEXT
);

CREATE INDEX archon_mcp_connections_session ON archon_mcp_connections (session_id);

-- A partition for each day, made by the writer, so that old days can be dropped at no cost. The key of a
-- partitioned table has to hold what it is partitioned by; ids are unique by themselves.
CREATE TABLE archon_mcp_requests (
    id                 BIGINT GENERATED BY DEFAULT AS IDENTITY,
    session_id         UUID NOT NULL REFERENCES archon_mcp_sessions (session_id),
    method             TEXT NOT NULL,
    tool_name          TEXT,
    prompt_tokens      INTEGER NOT NULL DEFAULT 0,
    completion_tokens  INTEGER NOT NULL DEFAULT 0,
    estimated_cost     NUMERIC(10, 6) NOT NULL DEFAULT 0,
    timestamp          TIMESTAMPTZ NOT NULL DEFAULT now(),
    duration_ms        INTEGER NOT NULL DEFAULT 0,
    status             TEXT NOT NULL DEFAULT 'success' CHECK (status IN ('success', 'error', 'timeout')),
    error_message      TEXT,
    upstream           TEXT NOT NULL DEFAULT '',
    duration_us        BIGINT NOT NULL DEFAULT 0,
    request_bytes      BIGINT NOT NULL DEFAULT 0,
    response_bytes     BIGINT NOT NULL DEFAULT 0,
    model              TEXT,
    PRIMARY KEY (id, timestamp)
) PARTITION BY RANGE (timestamp);

-- For rows of a day whose partition cannot be made.
CREATE TABLE archon_mcp_requests_default PARTITION OF archon_mcp_requests DEFAULT;

-- The latest of one session, without sorting all of them.
CREATE INDEX archon_mcp_requests_of_session ON archon_mcp_requests (session_id, id);
CREATE INDEX archon_mcp_requests_failed ON archon_mcp_requests (status, timestamp)
    WHERE status <> 'success';

CREATE TABLE archon_llm_pricing (
    provider             TEXT NOT NULL,
    model_name           TEXT NOT NULL,
    input_price_per_1k   NUMERIC(10, 6) NOT NULL,
    output_price_per_1k  NUMERIC(10, 6) NOT NULL,
    effective_date       DATE NOT NULL,
    PRIMARY KEY (provider, model_name, effective_date)
);

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
    name   TEXT PRIMARY KEY,
    value  TEXT NOT NULL
);

-- The ledger: a call is here from before it is sent until its end is written. What is left here by a
-- process that is gone has an unknown outcome.
CREATE TABLE archon_mcp_calls (
    call_id        BIGINT PRIMARY KEY,
    session_id     UUID NOT NULL,
    handle         UUID,
    request_id     TEXT NOT NULL,
    digest         TEXT NOT NULL,
    method         TEXT NOT NULL,
    tool_name      TEXT,
    upstream       TEXT NOT NULL,
    started        TIMESTAMPTZ NOT NULL,
    request_bytes  BIGINT NOT NULL,
    node           TEXT NOT NULL
);

-- The event log: what was sent on legacy streams and may not have reached its client.
CREATE TABLE archon_mcp_events (
    stream_id    BIGINT NOT NULL,
    seq          BIGINT NOT NULL,
    handle       UUID NOT NULL,
    event        BYTEA NOT NULL,
    is_answered  BOOLEAN NOT NULL,
    sent_at      TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (stream_id, seq)
);

CREATE INDEX archon_mcp_events_age ON archon_mcp_events (sent_at);

-- Attempts to reconnect to a session, and the processes that use this database.
CREATE TABLE archon_mcp_reconnect_attempts (
    id          BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    timestamp   TIMESTAMPTZ NOT NULL,
    -- As it was asked for: there may be no such session.
    session_id  UUID NOT NULL,
    peer        TEXT,
    principal   TEXT NOT NULL,
    result      TEXT NOT NULL
);

CREATE INDEX archon_mcp_reconnect_attempts_age ON archon_mcp_reconnect_attempts (timestamp);
CREATE INDEX archon_mcp_reconnect_attempts_session ON archon_mcp_reconnect_attempts (session_id);

CREATE TABLE archon_mcp_nodes (
    node            TEXT PRIMARY KEY,
    heard_at        TIMESTAMPTZ NOT NULL,
    -- Nothing heard of it until then, it is gone.
    expected_until  TIMESTAMPTZ NOT NULL
);

-- What the API sums up, kept as rows are written, so that no report reads a whole table. Like all tables here
-- they may be read by anybody; only the gateway should write to them.
--
-- Sums have a slot beside their key, and count only together: two processes that write at the same time would wait
-- for each other's commits if they added to the same rows.

-- All requests by the hour; those of a tool, a client's type and a user by the day. A tool's name is its upstream, a
-- tab, and the tool. Costs are in millionths of a dollar, durations in microseconds.
CREATE TABLE archon_mcp_usage (
    dimension          TEXT NOT NULL CHECK (dimension IN ('all', 'tool', 'client', 'user')),
    period             TIMESTAMPTZ NOT NULL,
    name               TEXT NOT NULL,
    slot               SMALLINT NOT NULL,
    requests           BIGINT NOT NULL,
    errors             BIGINT NOT NULL,
    timeouts           BIGINT NOT NULL,
    prompt_tokens      BIGINT NOT NULL,
    completion_tokens  BIGINT NOT NULL,
    cost_micros        BIGINT NOT NULL,
    duration_us        BIGINT NOT NULL,
    min_duration_us    BIGINT NOT NULL,
    max_duration_us    BIGINT NOT NULL,
    PRIMARY KEY (dimension, period, name, slot)
) WITH (fillfactor = 50);

-- Answers by the logarithm of their duration: bucket b holds what took 1.1^(b-1) to 1.1^b microseconds.
CREATE TABLE archon_mcp_latency (
    day      TIMESTAMPTZ NOT NULL,
    tool     TEXT NOT NULL,
    bucket   SMALLINT NOT NULL,
    slot     SMALLINT NOT NULL,
    answers  BIGINT NOT NULL,
    PRIMARY KEY (day, tool, bucket, slot)
) WITH (fillfactor = 50);

-- The sessions that are stored.
CREATE TABLE archon_mcp_session_totals (
    status    TEXT NOT NULL,
    slot      SMALLINT NOT NULL,
    sessions  BIGINT NOT NULL,
    PRIMARY KEY (status, slot)
) WITH (fillfactor = 50);

-- The sessions that began in an hour. `open_seconds` is how long after its beginning those began that are still
-- active, `closed_seconds` how long those lasted that are not.
CREATE TABLE archon_mcp_session_starts (
    hour            TIMESTAMPTZ NOT NULL,
    slot            SMALLINT NOT NULL,
    sessions        BIGINT NOT NULL,
    open            BIGINT NOT NULL,
    open_seconds    BIGINT NOT NULL,
    closed_seconds  BIGINT NOT NULL,
    PRIMARY KEY (hour, slot)
) WITH (fillfactor = 50);

-- The sessions that ended in an hour.
CREATE TABLE archon_mcp_session_ends (
    hour          TIMESTAMPTZ NOT NULL,
    reason        TEXT NOT NULL,
    slot          SMALLINT NOT NULL,
    sessions      BIGINT NOT NULL,
    seconds       BIGINT NOT NULL,
    min_seconds   BIGINT NOT NULL,
    max_seconds   BIGINT NOT NULL,
    PRIMARY KEY (hour, reason, slot)
) WITH (fillfactor = 50);

-- How many sessions made requests on some days, whichever: each is counted on each day of its own, by its day before. On
-- days from one to another there were those whose day before is before the first, once each.
CREATE TABLE archon_mcp_session_days (
    day       TIMESTAMPTZ NOT NULL,
    -- '-infinity' where there is none.
    previous  TIMESTAMPTZ NOT NULL,
    slot      SMALLINT NOT NULL,
    sessions  BIGINT NOT NULL,
    PRIMARY KEY (day, previous, slot)
) WITH (fillfactor = 50);

-- The requests of each minute of the last day, by when they arrived; imported ones are not here.
CREATE TABLE archon_mcp_minutes (
    minute    TIMESTAMPTZ NOT NULL,
    slot      SMALLINT NOT NULL,
    requests  BIGINT NOT NULL,
    errors    BIGINT NOT NULL,
    timeouts  BIGINT NOT NULL,
    PRIMARY KEY (minute, slot)
) WITH (fillfactor = 50);

-- Requests that were turned away before they had a place in a session: a row for each cause, upstream and address in a
-- minute, since strangers cause them.

CREATE TABLE archon_mcp_refusals (
    id          BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    minute      TIMESTAMPTZ NOT NULL,
    cause       TEXT NOT NULL,
    -- Empty for the API's port.
    upstream    TEXT NOT NULL,
    -- Empty where it is not known, or one of too many.
    peer        TEXT NOT NULL,
    -- These three are of the first request.
    principal   TEXT NOT NULL,
    client      TEXT,
    detail      TEXT NOT NULL,
    count       BIGINT NOT NULL,
    last_at     TIMESTAMPTZ NOT NULL,
    UNIQUE (minute, cause, upstream, peer)
);

-- One function counts what triggers tell of: rows by their status, with the direction in which they go. A session
-- that is no longer active ended; one that is deleted before it ended has never been; history stays.
CREATE FUNCTION archon_mcp_count_sessions(
    session_ids UUID[], directions INTEGER[], statuses TEXT[], began TIMESTAMPTZ[], ended TIMESTAMPTZ[],
    durations INTEGER[], reasons TEXT[]) RETURNS void LANGUAGE sql AS $$
    WITH moved AS MATERIALIZED (
        SELECT session_id,
               max(status) FILTER (WHERE direction = -1) AS was, max(status) FILTER (WHERE direction = 1) AS is_now,
               max(began) AS began,
               date_trunc('hour', max(began) AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS hour,
               date_trunc('hour', max(ended) FILTER (WHERE direction = 1) AT TIME ZONE 'UTC')
                   AT TIME ZONE 'UTC' AS end_hour,
               coalesce(max(duration) FILTER (WHERE direction = 1), 0) AS seconds,
               coalesce(max(reason) FILTER (WHERE direction = 1), 'unknown') AS reason
        FROM UNNEST(session_ids, directions, statuses, began, ended, durations, reasons)
            AS row (session_id, direction, status, began, ended, duration, reason)
        GROUP BY session_id
    ), totals AS (
        INSERT INTO archon_mcp_session_totals AS t
        SELECT status, pg_backend_pid() % 16, sum(direction)
        FROM (SELECT was AS status, -1 AS direction FROM moved WHERE was IS NOT NULL
              UNION ALL SELECT is_now, 1 FROM moved WHERE is_now IS NOT NULL) AS each_way
        GROUP BY status ORDER BY status
        ON CONFLICT (status, slot) DO UPDATE SET sessions = t.sessions + excluded.sessions
    ), starts AS (
        INSERT INTO archon_mcp_session_starts AS t
        SELECT hour, pg_backend_pid() % 16,
               sum(CASE WHEN was IS NULL THEN 1 WHEN is_now IS NULL AND was = 'active' THEN -1 ELSE 0 END),
               sum(opened), sum(opened * extract(epoch FROM date_trunc('second', began) - hour)::bigint),
               sum(CASE WHEN is_now <> 'active' AND (was IS NULL OR was = 'active') THEN seconds ELSE 0 END)
        FROM (SELECT *, (CASE WHEN is_now = 'active' THEN 1 ELSE 0 END)
                        - (CASE WHEN was = 'active' THEN 1 ELSE 0 END) AS opened
              FROM moved WHERE was IS DISTINCT FROM is_now) AS by_session
        GROUP BY hour ORDER BY hour
        ON CONFLICT (hour, slot) DO UPDATE SET
            sessions = t.sessions + excluded.sessions, open = t.open + excluded.open,
            open_seconds = t.open_seconds + excluded.open_seconds,
            closed_seconds = t.closed_seconds + excluded.closed_seconds
    )
    INSERT INTO archon_mcp_session_ends AS t
    SELECT end_hour, left(reason, 200), pg_backend_pid() % 16, count(*), sum(seconds), min(seconds), max(seconds)
    FROM moved WHERE is_now <> 'active' AND (was IS NULL OR was = 'active')
    GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (hour, reason, slot) DO UPDATE SET
        sessions = t.sessions + excluded.sessions, seconds = t.seconds + excluded.seconds,
        min_seconds = least(t.min_seconds, excluded.min_seconds),
        max_seconds = greatest(t.max_seconds, excluded.max_seconds)
$$;

CREATE FUNCTION archon_mcp_sessions_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM archon_mcp_count_sessions(
        array_agg(session_id), array_agg(1), array_agg(status), array_agg(connected_at),
        array_agg(coalesce(disconnected_at, last_activity)), array_agg(total_duration),
        array_agg(disconnect_reason))
    FROM added HAVING count(*) > 0;
    RETURN NULL;
END $$;

-- Most changes are signs of life of sessions that stay active.
CREATE FUNCTION archon_mcp_sessions_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added WHERE status <> 'active') THEN
        PERFORM archon_mcp_count_sessions(
            array_agg(session_id), array_agg(direction), array_agg(status), array_agg(connected_at),
            array_agg(coalesce(disconnected_at, last_activity)), array_agg(total_duration),
            array_agg(disconnect_reason))
        FROM (SELECT *, -1 AS direction FROM removed UNION ALL SELECT *, 1 FROM added) AS both_ways
        HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION archon_mcp_sessions_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM archon_mcp_count_sessions(
        array_agg(session_id), array_agg(-1), array_agg(status), array_agg(connected_at),
        array_agg(coalesce(disconnected_at, last_activity)), array_agg(total_duration),
        array_agg(disconnect_reason))
    FROM removed HAVING count(*) > 0;
    RETURN NULL;
END $$;

-- Triggers, because sessions are also imported, and deleted when they are old, and a batch may come twice: what
-- changes no row counts for nothing.
CREATE TRIGGER archon_mcp_sessions_added AFTER INSERT ON archon_mcp_sessions
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION archon_mcp_sessions_added();
CREATE TRIGGER archon_mcp_sessions_changed AFTER UPDATE ON archon_mcp_sessions
    REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION archon_mcp_sessions_changed();
CREATE TRIGGER archon_mcp_sessions_deleted AFTER DELETE ON archon_mcp_sessions
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION archon_mcp_sessions_deleted();

-- Requests that others than the gateway write, with SQL, are in no sum until the gateway has counted them: a trigger notes
-- them here. The gateway's own transactions say that they count (`archon.writes`). Whoever may write a request may
-- have it noted, whatever else they may do, and wherever they look for tables.
CREATE TABLE archon_mcp_intake (
    id             BIGINT NOT NULL,
    timestamp      TIMESTAMPTZ NOT NULL,
    is_unreadable  BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (id, timestamp)
);

CREATE FUNCTION archon_mcp_requests_written() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO archon_mcp_intake (id, timestamp) VALUES (new.id, new.timestamp) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE TRIGGER archon_mcp_requests_written AFTER INSERT ON archon_mcp_requests
FOR EACH ROW WHEN (current_setting('archon.writes', TRUE) IS DISTINCT FROM 'counted')
EXECUTE FUNCTION archon_mcp_requests_written();
