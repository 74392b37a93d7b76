-- What the API sums up, kept as rows are written, so that no report reads a whole table. Like all tables here
-- they may be read by anybody; only the gateway should write to them.
--
-- Sums have a slot beside their key, and count only together: two processes that write at the same time would wait
-- for each other's commits if they added to the same rows.

-- What a session has used, of all times: its rows of requests may be dropped.
ALTER TABLE archon_mcp_sessions
    ADD COLUMN total_requests BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN total_errors BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN total_timeouts BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN total_prompt_tokens BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN total_completion_tokens BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN total_cost_micros BIGINT NOT NULL DEFAULT 0;

-- Lists by a client's type, of one user, of what ended, and who continues whom. The second replaces the index on
-- the user alone.
CREATE INDEX archon_mcp_sessions_client ON archon_mcp_sessions (client_type, last_activity);
CREATE INDEX archon_mcp_sessions_of_user ON archon_mcp_sessions (user_id, last_activity)
    WHERE user_id IS NOT NULL;
DROP INDEX archon_mcp_sessions_user;
CREATE INDEX archon_mcp_sessions_continues ON archon_mcp_sessions (continues)
    WHERE continues IS NOT NULL;

-- The latest of one session, without sorting all of them. It replaces the index on the session alone.
CREATE INDEX archon_mcp_requests_of_session ON archon_mcp_requests (session_id, id);
DROP INDEX archon_mcp_requests_session;

-- All requests by the hour; those of a tool, a client's type and a user by the day. Costs are in millionths of
-- a dollar, durations in microseconds.
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

-- From here on: what is there already is summed up.
INSERT INTO archon_mcp_session_totals SELECT status, 0, count(*) FROM archon_mcp_sessions GROUP BY status;

INSERT INTO archon_mcp_session_starts
SELECT date_trunc('hour', connected_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC', 0, count(*),
       count(*) FILTER (WHERE status = 'active'),
       coalesce(sum(extract(epoch FROM date_trunc('second', connected_at)
                                       - date_trunc('hour', connected_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'))
                FILTER (WHERE status = 'active'), 0)::bigint,
       coalesce(sum(total_duration) FILTER (WHERE status <> 'active'), 0)
FROM archon_mcp_sessions GROUP BY 1;

INSERT INTO archon_mcp_session_ends
SELECT date_trunc('hour', coalesce(disconnected_at, last_activity) AT TIME ZONE 'UTC') AT TIME ZONE 'UTC',
       left(coalesce(disconnect_reason, 'unknown'), 200), 0, count(*), sum(coalesce(total_duration, 0)),
       min(coalesce(total_duration, 0)), max(coalesce(total_duration, 0))
FROM archon_mcp_sessions WHERE status <> 'active' GROUP BY 1, 2;

-- No row counts for more than a day, or for less than nothing.
CREATE TEMPORARY TABLE archon_mcp_sums ON COMMIT DROP AS
SELECT r.session_id, s.client_type, coalesce(s.user_id, nullif(s.principal, 'anonymous'), '') AS user_name,
       date_trunc('hour', r.timestamp AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS hour,
       left(coalesce(r.tool_name, ''), 200) AS tool,
       count(*) AS requests, count(*) FILTER (WHERE r.status = 'error') AS errors,
       count(*) FILTER (WHERE r.status = 'timeout') AS timeouts,
       sum(greatest(r.prompt_tokens, 0)) AS prompt_tokens,
       sum(greatest(r.completion_tokens, 0)) AS completion_tokens,
       sum(greatest((r.estimated_cost * 1000000)::bigint, 0))::bigint AS cost_micros,
       sum(least(greatest(r.duration_us, 0), 86400000000))::bigint AS duration_us,
       min(least(greatest(r.duration_us, 0), 86400000000)) AS min_duration_us,
       max(least(greatest(r.duration_us, 0), 86400000000)) AS max_duration_us
FROM archon_mcp_requests r JOIN archon_mcp_sessions s ON s.session_id = r.session_id
GROUP BY 1, 2, 3, 4, 5;

UPDATE archon_mcp_sessions s SET
    total_requests = n.requests, total_errors = n.errors, total_timeouts = n.timeouts,
    total_prompt_tokens = n.prompt_tokens, total_completion_tokens = n.completion_tokens,
    total_cost_micros = n.cost_micros
FROM (SELECT session_id, sum(requests) AS requests, sum(errors) AS errors, sum(timeouts) AS timeouts,
             sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens,
             sum(cost_micros) AS cost_micros
      FROM archon_mcp_sums GROUP BY session_id) AS n
WHERE s.session_id = n.session_id;

INSERT INTO archon_mcp_usage
SELECT dimension,
       CASE dimension WHEN 'all' THEN hour
                      ELSE date_trunc('day', hour AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' END,
       CASE dimension WHEN 'all' THEN '' WHEN 'tool' THEN tool WHEN 'client' THEN left(client_type, 200)
                      ELSE left(user_name, 200) END,
       0, sum(requests), sum(errors), sum(timeouts), sum(prompt_tokens), sum(completion_tokens),
       sum(cost_micros), sum(duration_us), min(min_duration_us), max(max_duration_us)
FROM archon_mcp_sums CROSS JOIN UNNEST(ARRAY['all', 'tool', 'client', 'user']) AS dimension
GROUP BY 1, 2, 3;

DROP TABLE archon_mcp_sums;

INSERT INTO archon_mcp_latency
SELECT date_trunc('day', timestamp AT TIME ZONE 'UTC') AT TIME ZONE 'UTC', left(coalesce(tool_name, ''), 200),
       CASE WHEN duration_us < 1 THEN 0
            ELSE 1 + floor(ln(least(duration_us, 86400000000)::float8) / ln(1.1::float8)) END, 0, count(*)
FROM archon_mcp_requests GROUP BY 1, 2, 3;
