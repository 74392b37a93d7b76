-- Sums up the rows of a database that were written without triggers.

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

UPDATE archon_mcp_sessions AS s SET upstreams = found.names
FROM (SELECT session_id, json_group_array(upstream) AS names
      FROM (SELECT session_id, upstream,
                   row_number() OVER (PARTITION BY session_id ORDER BY min(id)) AS place
            FROM archon_mcp_requests WHERE upstream <> '' GROUP BY session_id, upstream)
      WHERE place <= 8 GROUP BY session_id) AS found
WHERE s.session_id = found.session_id;

CREATE TABLE archon_mcp_days_of_sessions AS
SELECT DISTINCT session_id, substr(timestamp, 1, 10) || 'T00:00:00.000000Z' AS day FROM archon_mcp_requests;

INSERT INTO archon_mcp_session_days
SELECT day, previous, count(*)
FROM (SELECT day, lag(day, 1, '') OVER (PARTITION BY session_id ORDER BY day) AS previous
      FROM archon_mcp_days_of_sessions)
GROUP BY day, previous;

UPDATE archon_mcp_sessions AS s SET last_request_day = last.day
FROM (SELECT session_id, max(day) AS day FROM archon_mcp_days_of_sessions GROUP BY session_id) AS last
WHERE s.session_id = last.session_id;

DROP TABLE archon_mcp_days_of_sessions;

CREATE TABLE archon_mcp_only_upstreams (tool TEXT PRIMARY KEY, upstream TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO archon_mcp_only_upstreams
SELECT substr(tool_name, 1, 200), min(upstream)
FROM (SELECT tool_name, upstream FROM archon_mcp_requests ORDER BY id DESC LIMIT 200000)
WHERE tool_name <> '' AND upstream <> ''
GROUP BY 1 HAVING min(upstream) = max(upstream);

UPDATE archon_mcp_usage AS u SET name = o.upstream || char(9) || u.name
FROM archon_mcp_only_upstreams o WHERE u.dimension = 'tool' AND u.name = o.tool;

UPDATE archon_mcp_latency AS l SET tool = o.upstream || char(9) || l.tool
FROM archon_mcp_only_upstreams o WHERE l.tool = o.tool;

DROP TABLE archon_mcp_only_upstreams;
