-- What the API sums up, kept as rows are written, so that no report reads a whole table. Like all tables here
-- they may be read by anybody; only the gateway should write to them.

-- What a session has used, of all times: its rows of requests may be dropped.
ALTER TABLE archon_mcp_sessions ADD COLUMN total_requests INTEGER NOT NULL DEFAULT 0;
ALTER TABLE archon_mcp_sessions ADD COLUMN total_errors INTEGER NOT NULL DEFAULT 0;
ALTER TABLE archon_mcp_sessions ADD COLUMN total_timeouts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE archon_mcp_sessions ADD COLUMN total_prompt_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE archon_mcp_sessions ADD COLUMN total_completion_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE archon_mcp_sessions ADD COLUMN total_cost_micros INTEGER NOT NULL DEFAULT 0;

-- Lists by a client's type, of one user, of what ended, and who continues whom. The second replaces the index on
-- the user alone.
CREATE INDEX archon_mcp_sessions_client ON archon_mcp_sessions (client_type, last_activity);
CREATE INDEX archon_mcp_sessions_of_user ON archon_mcp_sessions (user_id, last_activity)
    WHERE user_id IS NOT NULL;
DROP INDEX archon_mcp_sessions_user;
CREATE INDEX archon_mcp_sessions_continues ON archon_mcp_sessions (continues)
    WHERE continues IS NOT NULL;

-- All requests by the hour; those of a tool, a client's type and a user by the day. Costs are in millionths of
-- a dollar, durations in microseconds.
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

-- Triggers, because sessions are also imported, and deleted when they are old, and a batch may come twice: what
-- changes no row counts for nothing.
CREATE TRIGGER archon_mcp_sessions_added AFTER INSERT ON archon_mcp_sessions BEGIN
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
WHEN old.status <> new.status BEGIN
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

-- History stays. A session that is deleted before it ended has never been.
CREATE TRIGGER archon_mcp_sessions_deleted AFTER DELETE ON archon_mcp_sessions BEGIN
    UPDATE archon_mcp_session_totals SET sessions = sessions - 1 WHERE status = old.status;
    UPDATE archon_mcp_session_starts SET
        sessions = sessions - 1, open = open - 1,
        open_seconds = open_seconds - (60 * substr(old.connected_at, 15, 2) + substr(old.connected_at, 18, 2))
    WHERE hour = substr(old.connected_at, 1, 13) || ':00:00.000000Z' AND old.status = 'active';
END;

-- From here on: what is there already is summed up.
INSERT INTO archon_mcp_session_totals
SELECT status, count(*) FROM archon_mcp_sessions GROUP BY status;

INSERT INTO archon_mcp_session_starts
SELECT substr(connected_at, 1, 13) || ':00:00.000000Z', count(*), sum(status = 'active'),
       sum(iif(status = 'active', 60 * substr(connected_at, 15, 2) + substr(connected_at, 18, 2), 0)),
       sum(iif(status = 'active', 0, coalesce(total_duration, 0)))
FROM archon_mcp_sessions GROUP BY 1;

INSERT INTO archon_mcp_session_ends
SELECT substr(coalesce(disconnected_at, last_activity), 1, 13) || ':00:00.000000Z',
       coalesce(disconnect_reason, 'unknown'), count(*), sum(coalesce(total_duration, 0)),
       min(coalesce(total_duration, 0)), max(coalesce(total_duration, 0))
FROM archon_mcp_sessions WHERE status <> 'active' GROUP BY 1, 2;

-- No row counts for more than PostgreSQL's columns would hold.
CREATE TABLE archon_mcp_sums AS
SELECT r.session_id, s.client_type, coalesce(s.user_id, nullif(s.principal, 'anonymous'), '') AS user_name,
       substr(r.timestamp, 1, 13) || ':00:00.000000Z' AS hour,
       substr(coalesce(r.tool_name, ''), 1, 200) AS tool,
       count(*) AS requests, sum(r.status = 'error') AS errors, sum(r.status = 'timeout') AS timeouts,
       sum(min(max(r.prompt_tokens, 0), 2147483647)) AS prompt_tokens,
       sum(min(max(r.completion_tokens, 0), 2147483647)) AS completion_tokens,
       sum(min(max(cast(round(r.estimated_cost * 1e6) AS INTEGER), 0), 9999999999)) AS cost_micros,
       sum(min(max(r.duration_us, 0), 86400000000)) AS duration_us,
       min(min(max(r.duration_us, 0), 86400000000)) AS min_duration_us,
       max(min(max(r.duration_us, 0), 86400000000)) AS max_duration_us
FROM archon_mcp_requests r JOIN archon_mcp_sessions s ON s.session_id = r.session_id
GROUP BY r.session_id, 4, 5;

UPDATE archon_mcp_sessions SET
    total_requests = n.requests, total_errors = n.errors, total_timeouts = n.timeouts,
    total_prompt_tokens = n.prompt_tokens, total_completion_tokens = n.completion_tokens,
    total_cost_micros = n.cost_micros
FROM (SELECT session_id, sum(requests) AS requests, sum(errors) AS errors, sum(timeouts) AS timeouts,
             sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens,
             sum(cost_micros) AS cost_micros
      FROM archon_mcp_sums GROUP BY session_id) AS n
WHERE archon_mcp_sessions.session_id = n.session_id;

INSERT INTO archon_mcp_usage
SELECT 'all', hour, '', sum(requests), sum(errors), sum(timeouts), sum(prompt_tokens),
       sum(completion_tokens), sum(cost_micros), sum(duration_us), min(min_duration_us), max(max_duration_us)
FROM archon_mcp_sums GROUP BY hour;

INSERT INTO archon_mcp_usage
SELECT dimension, substr(hour, 1, 10) || 'T00:00:00.000000Z',
       CASE dimension WHEN 'tool' THEN tool WHEN 'client' THEN substr(client_type, 1, 200)
                      ELSE substr(user_name, 1, 200) END,
       sum(requests), sum(errors), sum(timeouts), sum(prompt_tokens),
       sum(completion_tokens), sum(cost_micros), sum(duration_us), min(min_duration_us), max(max_duration_us)
FROM archon_mcp_sums CROSS JOIN (SELECT 'tool' AS dimension UNION SELECT 'client' UNION SELECT 'user')
GROUP BY 1, 2, 3;

DROP TABLE archon_mcp_sums;

CREATE TABLE archon_mcp_bounds (low REAL PRIMARY KEY, bucket INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO archon_mcp_bounds
WITH RECURSIVE bounds (low, bucket) AS (
    SELECT 1.0, 1 UNION ALL SELECT low * 1.1, bucket + 1 FROM bounds WHERE bucket < 270
)
SELECT 0.0, 0 UNION ALL SELECT * FROM bounds;

INSERT INTO archon_mcp_latency
SELECT substr(r.timestamp, 1, 10) || 'T00:00:00.000000Z', substr(coalesce(r.tool_name, ''), 1, 200),
       (SELECT bucket FROM archon_mcp_bounds WHERE low <= min(max(r.duration_us, 0), 86400000000)
        ORDER BY low DESC LIMIT 1),
       count(*)
FROM archon_mcp_requests r
WHERE EXISTS (SELECT 1 FROM archon_mcp_sessions s WHERE s.session_id = r.session_id)
GROUP BY 1, 2, 3;

DROP TABLE archon_mcp_bounds;
