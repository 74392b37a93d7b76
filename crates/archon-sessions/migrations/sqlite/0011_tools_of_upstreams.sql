-- Tools of the same name at two upstreams are two: the name of a tool's sums is its upstream, a tab, and the tool. Sums
-- from before go to the upstream that has the tool, if the latest requests know of one only; else their upstream stays
-- unknown.
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
