-- Lists of sessions by what they used and how long they lasted. Figures of active sessions change with every call, so
-- only those that have ended are in these indexes: each is written once for a session, at its end.
CREATE INDEX archon_mcp_sessions_by_requests ON archon_mcp_sessions (status, total_requests, connected_at)
    WHERE status <> 'active';
CREATE INDEX archon_mcp_sessions_by_errors
    ON archon_mcp_sessions (status, total_errors + total_timeouts, connected_at) WHERE status <> 'active';
CREATE INDEX archon_mcp_sessions_by_cost ON archon_mcp_sessions (status, total_cost_micros, connected_at)
    WHERE status <> 'active';
CREATE INDEX archon_mcp_sessions_by_duration
    ON archon_mcp_sessions (status, coalesce(total_duration, 0), connected_at) WHERE status <> 'active';
