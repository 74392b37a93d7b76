-- Which upstreams a session has used, as a JSON array of their names in the order in which they were first used, so
-- that a list of sessions need not look at their requests. Eight names at most.
ALTER TABLE archon_mcp_sessions ADD COLUMN upstreams TEXT NOT NULL DEFAULT '[]';

UPDATE archon_mcp_sessions AS s SET upstreams = found.names
FROM (SELECT session_id, json_group_array(upstream) AS names
      FROM (SELECT session_id, upstream,
                   row_number() OVER (PARTITION BY session_id ORDER BY min(id)) AS place
            FROM archon_mcp_requests WHERE upstream <> '' GROUP BY session_id, upstream)
      WHERE place <= 8 GROUP BY session_id) AS found
WHERE s.session_id = found.session_id;
