-- Sums up the rows that were there before the tables of sums, within a transaction.

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

UPDATE archon_mcp_sessions s SET upstreams = found.names
FROM (SELECT session_id, array_agg(upstream ORDER BY place) AS names
      FROM (SELECT session_id, upstream,
                   row_number() OVER (PARTITION BY session_id ORDER BY min(id)) AS place
            FROM archon_mcp_requests WHERE upstream <> '' GROUP BY session_id, upstream) AS each
      WHERE place <= 8 GROUP BY session_id) AS found
WHERE s.session_id = found.session_id;

CREATE TEMPORARY TABLE archon_mcp_days_of_sessions ON COMMIT DROP AS
SELECT DISTINCT session_id, date_trunc('day', timestamp AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS day
FROM archon_mcp_requests;

INSERT INTO archon_mcp_session_days
SELECT day, previous, 0, count(*)
FROM (SELECT day, lag(day, 1, '-infinity') OVER (PARTITION BY session_id ORDER BY day) AS previous
      FROM archon_mcp_days_of_sessions) AS each
GROUP BY day, previous;

UPDATE archon_mcp_sessions s SET last_request_day = last.day
FROM (SELECT session_id, max(day) AS day FROM archon_mcp_days_of_sessions GROUP BY session_id) AS last
WHERE s.session_id = last.session_id;

DROP TABLE archon_mcp_days_of_sessions;

-- A tool's sums are those of its upstream, if the latest requests know of one only; else the upstream stays unknown.
CREATE TEMPORARY TABLE archon_mcp_only_upstreams ON COMMIT DROP AS
SELECT left(tool_name, 200) AS tool, min(upstream) AS upstream
FROM (SELECT tool_name, upstream FROM archon_mcp_requests ORDER BY id DESC LIMIT 200000) AS latest
WHERE tool_name <> '' AND upstream <> ''
GROUP BY 1 HAVING min(upstream) = max(upstream);

UPDATE archon_mcp_usage u SET name = o.upstream || E'\t' || u.name
FROM archon_mcp_only_upstreams o WHERE u.dimension = 'tool' AND u.name = o.tool;

UPDATE archon_mcp_latency l SET tool = o.upstream || E'\t' || l.tool
FROM archon_mcp_only_upstreams o WHERE l.tool = o.tool;
