-- Which upstreams a session has used, in the order in which they were first used, so that a list of sessions need not
-- look at their requests. Eight names at most.
ALTER TABLE archon_mcp_sessions ADD COLUMN upstreams TEXT[] NOT NULL DEFAULT '{}';

UPDATE archon_mcp_sessions s SET upstreams = found.names
FROM (SELECT session_id, array_agg(upstream ORDER BY place) AS names
      FROM (SELECT session_id, upstream,
                   row_number() OVER (PARTITION BY session_id ORDER BY min(id)) AS place
            FROM archon_mcp_requests WHERE upstream <> '' GROUP BY session_id, upstream) AS each
      WHERE place <= 8 GROUP BY session_id) AS found
WHERE s.session_id = found.session_id;
