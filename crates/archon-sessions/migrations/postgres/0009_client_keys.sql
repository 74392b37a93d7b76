-- What is kept of the key that a client sends with each request, so that its requests belong together: a keyed digest.
ALTER TABLE archon_mcp_sessions ADD COLUMN client_key_hash TEXT;
CREATE INDEX archon_mcp_sessions_of_key ON archon_mcp_sessions (client_key_hash, last_activity)
    WHERE client_key_hash IS NOT NULL;
