-- The requests of each minute of the last day, by when they arrived; imported ones are not here.
CREATE TABLE archon_mcp_minutes (
    minute    TIMESTAMPTZ NOT NULL,
    slot      SMALLINT NOT NULL,
    requests  BIGINT NOT NULL,
    errors    BIGINT NOT NULL,
    timeouts  BIGINT NOT NULL,
    PRIMARY KEY (minute, slot)
) WITH (fillfactor = 50);
