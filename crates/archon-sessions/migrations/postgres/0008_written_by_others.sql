-- Requests that others than the gateway write, with SQL, are in no sum until the gateway has counted them: a trigger notes
-- them here. The gateway's own transactions say that they count (`archon.writes`). Whoever may write a request may
-- have it noted, whatever else they may do, and wherever they look for tables.
CREATE TABLE archon_mcp_intake (
    id             BIGINT NOT NULL,
    timestamp      TIMESTAMPTZ NOT NULL,
    is_unreadable  BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (id, timestamp)
);

CREATE FUNCTION archon_mcp_requests_written() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO archon_mcp_intake (id, timestamp) VALUES (new.id, new.timestamp) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE TRIGGER archon_mcp_requests_written AFTER INSERT ON archon_mcp_requests
FOR EACH ROW WHEN (current_setting('archon.writes', TRUE) IS DISTINCT FROM 'counted')
EXECUTE FUNCTION archon_mcp_requests_written();

-- What people's own statements may leave out.
ALTER TABLE archon_mcp_sessions
    ALTER COLUMN session_id SET DEFAULT gen_random_uuid(),
    ALTER COLUMN client_type SET DEFAULT 'unknown-client',
    ALTER COLUMN connected_at SET DEFAULT now(),
    ALTER COLUMN last_activity SET DEFAULT now(),
    ALTER COLUMN status SET DEFAULT 'active';
ALTER TABLE archon_mcp_requests
    ALTER COLUMN timestamp SET DEFAULT now(),
    ALTER COLUMN duration_ms SET DEFAULT 0,
    ALTER COLUMN status SET DEFAULT 'success';
