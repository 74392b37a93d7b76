-- The requests of each minute of the last day, by when they arrived; imported ones are not here.
CREATE TABLE archon_mcp_minutes (
    minute    TEXT PRIMARY KEY NOT NULL,
    requests  INTEGER NOT NULL,
    errors    INTEGER NOT NULL,
    timeouts  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
