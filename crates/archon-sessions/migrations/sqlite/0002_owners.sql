-- Which node serves a session, where several share the file; where each of them is reached; and whom it is to be told that
-- another node has ended a session of its own.

ALTER TABLE archon_mcp_sessions ADD COLUMN owner TEXT;

ALTER TABLE archon_mcp_nodes ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE archon_mcp_nodes ADD COLUMN address TEXT;
ALTER TABLE archon_mcp_nodes ADD COLUMN place TEXT;

CREATE TABLE archon_mcp_notices (
    node        TEXT NOT NULL,
    session_id  TEXT NOT NULL,
    PRIMARY KEY (node, session_id)
) STRICT;
