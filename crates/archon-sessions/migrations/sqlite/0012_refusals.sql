-- Requests that were turned away before they had a place in a session: a row for each cause, upstream and address in a
-- minute, since strangers cause them.

CREATE TABLE archon_mcp_refusals (
    id          INTEGER PRIMARY KEY,
    minute      TEXT NOT NULL,
    cause       TEXT NOT NULL,
    -- Empty for the API's port.
    upstream    TEXT NOT NULL,
    -- Empty where it is not known, or one of too many.
    peer        TEXT NOT NULL,
    -- These three are of the first request.
    principal   TEXT NOT NULL,
    client      TEXT,
    detail      TEXT NOT NULL,
    count       INTEGER NOT NULL,
    last_at     TEXT NOT NULL,
    UNIQUE (minute, cause, upstream, peer)
) STRICT;
