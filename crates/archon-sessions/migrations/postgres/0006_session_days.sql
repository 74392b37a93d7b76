-- How many sessions made requests on some days, whichever: each is counted on each day of its own, by its day before. On
-- days from one to another there were those whose day before is before the first, once each.
CREATE TABLE archon_mcp_session_days (
    day       TIMESTAMPTZ NOT NULL,
    -- '-infinity' where there is none.
    previous  TIMESTAMPTZ NOT NULL,
    slot      SMALLINT NOT NULL,
    sessions  BIGINT NOT NULL,
    PRIMARY KEY (day, previous, slot)
) WITH (fillfactor = 50);

ALTER TABLE archon_mcp_sessions ADD COLUMN last_request_day TIMESTAMPTZ;

-- What is there already.
CREATE TEMPORARY TABLE archon_mcp_days_of_sessions ON COMMIT DROP AS
SELECT DISTINCT session_id, date_trunc('day', timestamp AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS day
FROM archon_mcp_requests;

INSERT INTO archon_mcp_session_days
SELECT day, previous, 0, count(*)
FROM (SELECT day, lag(day, 1, '-infinity') OVER (PARTITION BY session_id ORDER BY day) AS previous
      FROM archon_mcp_days_of_sessions) AS each
GROUP BY day, previous;

UPDATE archon_mcp_sessions s SET last_request_day = last.day
FROM (SELECT session_id, max(day) AS day FROM archon_mcp_days_of_sessions GROUP BY session_id) AS last
WHERE s.session_id = last.session_id;

DROP TABLE archon_mcp_days_of_sessions;
