-- Which node serves a session, where several share the database; where each of them is reached; and whom it is to be told
-- that another node has ended a session of its own.

ALTER TABLE archon_mcp_sessions ADD COLUMN owner TEXT;

-- Who shows no handle is looked for at its principal, or at what it looks like.
CREATE INDEX archon_mcp_sessions_fingerprint ON archon_mcp_sessions (fingerprint)
    WHERE status = 'active' AND fingerprint IS NOT NULL;
CREATE INDEX archon_mcp_sessions_principal ON archon_mcp_sessions (principal)
    WHERE status = 'active' AND principal <> 'anonymous';

ALTER TABLE archon_mcp_nodes ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE archon_mcp_nodes ADD COLUMN address TEXT;
ALTER TABLE archon_mcp_nodes ADD COLUMN place TEXT;

CREATE TABLE archon_mcp_notices (
    node        TEXT NOT NULL,
    session_id  UUID NOT NULL,
    PRIMARY KEY (node, session_id)
);
