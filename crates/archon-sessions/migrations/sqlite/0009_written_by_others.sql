-- Rows that people write with SQL: store/sqlite/intake.rs reads their times and ids in any form, writes them in ours, and
-- counts them. `intake` is NULL in rows of earlier versions and 1 in those of this one. It is 0 where a row was written
-- by others and not read yet, 3 where only its form is to be read again, and 2 where it cannot be read: then it is
-- in no list and no sum until somebody changes it.
ALTER TABLE archon_mcp_sessions ADD COLUMN intake INTEGER;
ALTER TABLE archon_mcp_requests ADD COLUMN intake INTEGER;

CREATE INDEX archon_mcp_sessions_intake ON archon_mcp_sessions (intake) WHERE intake <> 1;
CREATE INDEX archon_mcp_requests_intake ON archon_mcp_requests (intake) WHERE intake <> 1;

DROP TRIGGER archon_mcp_sessions_added;
DROP TRIGGER archon_mcp_sessions_changed;
DROP TRIGGER archon_mcp_sessions_deleted;

-- What was there already: other forms were counted under hours that are none.
UPDATE archon_mcp_sessions SET intake = 0
WHERE NOT (connected_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'
    AND last_activity GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'
    AND (disconnected_at IS NULL OR disconnected_at
        GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'));

DELETE FROM archon_mcp_session_starts WHERE hour NOT
    GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z';
DELETE FROM archon_mcp_session_ends WHERE hour NOT
    GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z';
UPDATE archon_mcp_session_totals AS t SET sessions = t.sessions - n.sessions
FROM (SELECT status, count(*) AS sessions FROM archon_mcp_sessions WHERE intake = 0 GROUP BY status) AS n
WHERE n.status = t.status;
UPDATE archon_mcp_session_starts AS t SET
    sessions = sessions - n.all_of_them, open = open - n.active, open_seconds = open_seconds - n.active_seconds,
    closed_seconds = closed_seconds - n.seconds
FROM (SELECT substr(connected_at, 1, 13) || ':00:00.000000Z' AS began, count(*) AS all_of_them, sum(status = 'active') AS active,
             sum(iif(status = 'active', 60 * substr(connected_at, 15, 2) + substr(connected_at, 18, 2), 0))
                 AS active_seconds,
             sum(iif(status = 'active', 0, coalesce(total_duration, 0))) AS seconds
      FROM archon_mcp_sessions WHERE intake = 0 AND connected_at
          GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'
      GROUP BY 1) AS n
WHERE n.began = t.hour;

UPDATE archon_mcp_requests SET intake = 0 WHERE timestamp NOT
    GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z';

-- The gateway's own rows are counted as they come, those of others once they were read.
CREATE TRIGGER archon_mcp_sessions_added AFTER INSERT ON archon_mcp_sessions WHEN new.intake = 1 BEGIN
    INSERT INTO archon_mcp_session_totals VALUES (new.status, 1)
    ON CONFLICT DO UPDATE SET sessions = sessions + 1;
    INSERT INTO archon_mcp_session_starts VALUES (
        substr(new.connected_at, 1, 13) || ':00:00.000000Z', 1, new.status = 'active',
        iif(new.status = 'active', 60 * substr(new.connected_at, 15, 2) + substr(new.connected_at, 18, 2), 0),
        iif(new.status = 'active', 0, coalesce(new.total_duration, 0)))
    ON CONFLICT DO UPDATE SET
        sessions = sessions + 1, open = open + excluded.open, open_seconds = open_seconds + excluded.open_seconds,
        closed_seconds = closed_seconds + excluded.closed_seconds;
    INSERT INTO archon_mcp_session_ends
    SELECT substr(coalesce(new.disconnected_at, new.last_activity), 1, 13) || ':00:00.000000Z',
           coalesce(new.disconnect_reason, 'unknown'), 1, coalesce(new.total_duration, 0),
           coalesce(new.total_duration, 0), coalesce(new.total_duration, 0)
    WHERE new.status <> 'active'
    ON CONFLICT DO UPDATE SET
        sessions = sessions + 1, seconds = seconds + excluded.seconds,
        min_seconds = min(min_seconds, excluded.min_seconds),
        max_seconds = max(max_seconds, excluded.max_seconds);
END;

CREATE TRIGGER archon_mcp_sessions_written AFTER INSERT ON archon_mcp_sessions WHEN new.intake IS NULL BEGIN
    UPDATE archon_mcp_sessions SET intake = 0 WHERE rowid = new.rowid;
END;

CREATE TRIGGER archon_mcp_sessions_read AFTER UPDATE OF intake ON archon_mcp_sessions
WHEN old.intake <> 1 AND new.intake = 1 BEGIN
    INSERT INTO archon_mcp_session_totals VALUES (new.status, 1)
    ON CONFLICT DO UPDATE SET sessions = sessions + 1;
    INSERT INTO archon_mcp_session_starts VALUES (
        substr(new.connected_at, 1, 13) || ':00:00.000000Z', 1, new.status = 'active',
        iif(new.status = 'active', 60 * substr(new.connected_at, 15, 2) + substr(new.connected_at, 18, 2), 0),
        iif(new.status = 'active', 0, coalesce(new.total_duration, 0)))
    ON CONFLICT DO UPDATE SET
        sessions = sessions + 1, open = open + excluded.open, open_seconds = open_seconds + excluded.open_seconds,
        closed_seconds = closed_seconds + excluded.closed_seconds;
    INSERT INTO archon_mcp_session_ends
    SELECT substr(coalesce(new.disconnected_at, new.last_activity), 1, 13) || ':00:00.000000Z',
           coalesce(new.disconnect_reason, 'unknown'), 1, coalesce(new.total_duration, 0),
           coalesce(new.total_duration, 0), coalesce(new.total_duration, 0)
    WHERE new.status <> 'active'
    ON CONFLICT DO UPDATE SET
        sessions = sessions + 1, seconds = seconds + excluded.seconds,
        min_seconds = min(min_seconds, excluded.min_seconds),
        max_seconds = max(max_seconds, excluded.max_seconds);
END;

CREATE TRIGGER archon_mcp_sessions_changed AFTER UPDATE OF status ON archon_mcp_sessions
WHEN old.status <> new.status AND coalesce(old.intake, 1) = 1 AND coalesce(new.intake, 1) = 1
    AND new.connected_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'
    AND new.last_activity GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'
    AND (new.disconnected_at IS NULL OR new.disconnected_at
        GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
BEGIN
    UPDATE archon_mcp_session_totals SET sessions = sessions - 1 WHERE status = old.status;
    INSERT INTO archon_mcp_session_totals VALUES (new.status, 1)
    ON CONFLICT DO UPDATE SET sessions = sessions + 1;
    UPDATE archon_mcp_session_starts SET
        open = open - 1,
        open_seconds = open_seconds
            - (60 * substr(new.connected_at, 15, 2) + substr(new.connected_at, 18, 2)),
        closed_seconds = closed_seconds + coalesce(new.total_duration, 0)
    WHERE hour = substr(new.connected_at, 1, 13) || ':00:00.000000Z' AND old.status = 'active';
    INSERT INTO archon_mcp_session_ends
    SELECT substr(coalesce(new.disconnected_at, new.last_activity), 1, 13) || ':00:00.000000Z',
           coalesce(new.disconnect_reason, 'unknown'), 1, coalesce(new.total_duration, 0),
           coalesce(new.total_duration, 0), coalesce(new.total_duration, 0)
    WHERE old.status = 'active'
    ON CONFLICT DO UPDATE SET
        sessions = sessions + 1, seconds = seconds + excluded.seconds,
        min_seconds = min(min_seconds, excluded.min_seconds),
        max_seconds = max(max_seconds, excluded.max_seconds);
END;

-- Somebody wrote a time in another form: the session is not counted until that was read.
CREATE TRIGGER archon_mcp_sessions_rewritten
AFTER UPDATE OF connected_at, last_activity, disconnected_at ON archon_mcp_sessions
WHEN coalesce(old.intake, 1) = 1 AND coalesce(new.intake, 1) = 1 AND NOT (new.connected_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'
    AND new.last_activity GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'
    AND (new.disconnected_at IS NULL OR new.disconnected_at
        GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'))
BEGIN
    UPDATE archon_mcp_session_totals SET sessions = sessions - 1 WHERE status = old.status;
    UPDATE archon_mcp_session_starts SET
        sessions = sessions - 1, open = open - (old.status = 'active'),
        open_seconds = open_seconds - iif(old.status = 'active',
            60 * substr(old.connected_at, 15, 2) + substr(old.connected_at, 18, 2), 0),
        closed_seconds = closed_seconds - iif(old.status = 'active', 0, coalesce(old.total_duration, 0))
    WHERE hour = substr(old.connected_at, 1, 13) || ':00:00.000000Z';
    UPDATE archon_mcp_session_ends SET sessions = sessions - 1, seconds = seconds - coalesce(old.total_duration, 0)
    WHERE hour = substr(coalesce(old.disconnected_at, old.last_activity), 1, 13) || ':00:00.000000Z'
      AND reason = coalesce(old.disconnect_reason, 'unknown') AND old.status <> 'active';
    UPDATE archon_mcp_sessions SET intake = 0 WHERE rowid = new.rowid;
END;

CREATE TRIGGER archon_mcp_sessions_mended AFTER UPDATE ON archon_mcp_sessions
WHEN old.intake = 2 AND new.intake = 2 BEGIN
    UPDATE archon_mcp_sessions SET intake = 0 WHERE rowid = new.rowid;
END;

-- History stays. A session that is deleted before it ended has never been.
CREATE TRIGGER archon_mcp_sessions_deleted AFTER DELETE ON archon_mcp_sessions WHEN coalesce(old.intake, 1) = 1 BEGIN
    UPDATE archon_mcp_session_totals SET sessions = sessions - 1 WHERE status = old.status;
    UPDATE archon_mcp_session_starts SET
        sessions = sessions - 1, open = open - 1,
        open_seconds = open_seconds - (60 * substr(old.connected_at, 15, 2) + substr(old.connected_at, 18, 2))
    WHERE hour = substr(old.connected_at, 1, 13) || ':00:00.000000Z' AND old.status = 'active';
END;

CREATE TRIGGER archon_mcp_requests_written AFTER INSERT ON archon_mcp_requests WHEN new.intake IS NULL BEGIN
    UPDATE archon_mcp_requests SET intake = 0 WHERE id = new.id;
END;

CREATE TRIGGER archon_mcp_requests_rewritten AFTER UPDATE OF timestamp ON archon_mcp_requests
WHEN coalesce(old.intake, 1) = 1 AND coalesce(new.intake, 1) = 1 AND new.timestamp NOT
    GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'
BEGIN
    UPDATE archon_mcp_requests SET intake = 3 WHERE id = new.id;
END;

CREATE TRIGGER archon_mcp_requests_mended AFTER UPDATE ON archon_mcp_requests
WHEN old.intake = 2 AND new.intake = 2 BEGIN
    UPDATE archon_mcp_requests SET intake = 0 WHERE id = new.id;
END;
