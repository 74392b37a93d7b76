-- How many sessions made requests on some days, whichever: each is counted on each day of its own, by its day before. On
-- days from one to another there were those whose day before is before the first, once each.
CREATE TABLE archon_mcp_session_days (
    day       TEXT NOT NULL,
    -- Empty where there is none.
    previous  TEXT NOT NULL,
    sessions  INTEGER NOT NULL,
    PRIMARY KEY (day, previous)
) STRICT, WITHOUT ROWID;

ALTER TABLE archon_mcp_sessions ADD COLUMN last_request_day TEXT;

-- What is there already.
CREATE TABLE archon_mcp_days_of_sessions AS
SELECT DISTINCT session_id, substr(timestamp, 1, 10) || 'T00:00:00.000000Z' AS day FROM archon_mcp_requests;

INSERT INTO archon_mcp_session_days
SELECT day, previous, count(*)
FROM (SELECT day, lag(day, 1, '') OVER (PARTITION BY session_id ORDER BY day) AS previous
      FROM archon_mcp_days_of_sessions)
GROUP BY day, previous;

UPDATE archon_mcp_sessions AS s SET last_request_day = last.day
FROM (SELECT session_id, max(day) AS day FROM archon_mcp_days_of_sessions GROUP BY session_id) AS last
WHERE s.session_id = last.session_id;

DROP TABLE archon_mcp_days_of_sessions;
