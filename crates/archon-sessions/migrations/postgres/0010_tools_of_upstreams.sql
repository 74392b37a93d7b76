-- Tools of the same name at two upstreams are two: the name of a tool's sums is its upstream, a tab, and the tool. Sums
-- from before go to the upstream that has the tool, if the latest requests know of one only; else their upstream stays
-- unknown.
CREATE TEMPORARY TABLE archon_mcp_only_upstreams ON COMMIT DROP AS
SELECT left(tool_name, 200) AS tool, min(upstream) AS upstream
FROM (SELECT tool_name, upstream FROM archon_mcp_requests ORDER BY id DESC LIMIT 200000) AS latest
WHERE tool_name <> '' AND upstream <> ''
GROUP BY 1 HAVING min(upstream) = max(upstream);

UPDATE archon_mcp_usage u SET name = o.upstream || E'\t' || u.name
FROM archon_mcp_only_upstreams o WHERE u.dimension = 'tool' AND u.name = o.tool;

UPDATE archon_mcp_latency l SET tool = o.upstream || E'\t' || l.tool
FROM archon_mcp_only_upstreams o WHERE l.tool = o.tool;
