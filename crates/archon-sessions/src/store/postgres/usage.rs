//! Adds a batch's requests to the sums, in one statement.

use const_format::concatcp;

use super::Statement;
use super::rows::{column, time};
use crate::store::usage::{NAMES_A_DAY, OTHER, Slice, UPSTREAMS_MAX, minutes_from};

/// To what the session's client, its user, the tool and all have used; to the answers that took as long; to the sessions
/// of each day, where it is a new one for a session; and to the sessions themselves, in one order, so that two processes
/// lock them in the same. Of a session whose first requests of a day end at two gateways in the same moment, both count
/// that day: a lock for each batch would be too much for that.
const SUMS: &str = concatcp!(
    "
WITH new AS MATERIALIZED (
    SELECT new.*, s.last_request_day, left(s.client_type, 200) AS client_type,
           left(coalesce(s.user_id, nullif(s.principal, 'anonymous'), ''), 200) AS user_name
    FROM UNNEST($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::text[], $5::bigint[], $6::bigint[],
                $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[],
                $13::bigint[])
        AS new (session_id, hour, day, tool, requests, errors, timeouts, prompt_tokens, completion_tokens,
                cost_micros, duration_us, min_duration_us, max_duration_us)
    JOIN archon_mcp_sessions s ON s.session_id = new.session_id
), given AS MATERIALIZED (
    SELECT dimension, CASE dimension WHEN 'all' THEN hour ELSE day END AS period,
           CASE dimension WHEN 'all' THEN '' WHEN 'tool' THEN tool WHEN 'client' THEN client_type
                          ELSE user_name END AS given,
           sum(requests) AS requests, sum(errors) AS errors, sum(timeouts) AS timeouts,
           sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens,
           sum(cost_micros) AS cost_micros, sum(duration_us) AS duration_us,
           min(min_duration_us) AS min_duration_us, max(max_duration_us) AS max_duration_us
    FROM new CROSS JOIN UNNEST(ARRAY['all', 'tool', 'client', 'user']) AS dimension
    GROUP BY 1, 2, 3
), named AS MATERIALIZED (
    SELECT *, CASE WHEN dimension IN ('all', 'user')
                     OR EXISTS (SELECT FROM archon_mcp_usage k
                                WHERE (k.dimension, k.period, k.name) = (g.dimension, g.period, given))
                     OR (SELECT count(*) FROM archon_mcp_usage k
                         WHERE (k.dimension, k.period) = (g.dimension, g.period)
                           AND slot = pg_backend_pid() % 16) < ",
    NAMES_A_DAY,
    "
                   THEN given ELSE '",
    OTHER,
    "' END AS name
    FROM given g
), used AS (
    INSERT INTO archon_mcp_usage AS u
    SELECT dimension, period, name, pg_backend_pid() % 16, sum(requests), sum(errors), sum(timeouts),
           sum(prompt_tokens), sum(completion_tokens), sum(cost_micros), sum(duration_us),
           min(min_duration_us), max(max_duration_us)
    FROM named GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (dimension, period, name, slot) DO UPDATE SET
        requests = u.requests + excluded.requests, errors = u.errors + excluded.errors,
        timeouts = u.timeouts + excluded.timeouts, prompt_tokens = u.prompt_tokens + excluded.prompt_tokens,
        completion_tokens = u.completion_tokens + excluded.completion_tokens,
        cost_micros = u.cost_micros + excluded.cost_micros, duration_us = u.duration_us + excluded.duration_us,
        min_duration_us = least(u.min_duration_us, excluded.min_duration_us),
        max_duration_us = greatest(u.max_duration_us, excluded.max_duration_us)
), answered AS (
    INSERT INTO archon_mcp_latency AS l
    SELECT day, name, bucket, pg_backend_pid() % 16, sum(answers)
    FROM UNNEST($14::uuid[], $15::timestamptz[], $16::text[], $17::smallint[], $18::bigint[])
        AS a (session_id, day, tool, bucket, answers)
    JOIN named ON dimension = 'tool' AND period = day AND given = tool
    WHERE EXISTS (SELECT FROM new WHERE new.session_id = a.session_id)
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (day, tool, bucket, slot) DO UPDATE SET answers = l.answers + excluded.answers
), present AS (
    INSERT INTO archon_mcp_session_days AS d
    SELECT day, previous, pg_backend_pid() % 16, count(*)
    FROM (SELECT day, coalesce(lag(day) OVER (PARTITION BY session_id ORDER BY day), last_request_day,
                               '-infinity') AS previous
          FROM (SELECT DISTINCT session_id, day, last_request_day FROM new
                WHERE last_request_day IS NULL OR day > last_request_day) AS fresh) AS each
    GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (day, previous, slot) DO UPDATE SET sessions = d.sessions + excluded.sessions
)
UPDATE archon_mcp_sessions s SET
    total_requests = s.total_requests + n.requests, total_errors = s.total_errors + n.errors,
    total_timeouts = s.total_timeouts + n.timeouts,
    total_prompt_tokens = s.total_prompt_tokens + n.prompt_tokens,
    total_completion_tokens = s.total_completion_tokens + n.completion_tokens,
    total_cost_micros = s.total_cost_micros + n.cost_micros,
    last_request_day = greatest(s.last_request_day, n.day),
    upstreams = CASE WHEN names IS NULL OR s.upstreams @> names THEN s.upstreams
                     ELSE (s.upstreams || ARRAY(SELECT name FROM UNNEST(names) AS name
                                                WHERE name <> ALL (s.upstreams)))[1:",
    UPSTREAMS_MAX,
    "] END
FROM (SELECT session_id, max(day) AS day, sum(requests) AS requests, sum(errors) AS errors, sum(timeouts) AS timeouts,
             sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens,
             sum(cost_micros) AS cost_micros
      FROM new GROUP BY session_id ORDER BY session_id) AS n
LEFT JOIN (SELECT session_id, array_agg(DISTINCT name) AS names
           FROM UNNEST($19::uuid[], $20::text[]) AS met (session_id, name) GROUP BY session_id) AS met
USING (session_id)
WHERE s.session_id = n.session_id"
);

/// To the minutes in which they arrived. Each process forgets old ones of its own slot, so that none waits for another.
const MINUTES: &str = "
WITH old AS (
    DELETE FROM archon_mcp_minutes WHERE minute < $6 AND slot = pg_backend_pid() % 16
)
INSERT INTO archon_mcp_minutes AS m
SELECT minute, pg_backend_pid() % 16, sum(requests), sum(errors), sum(timeouts)
FROM UNNEST($1::uuid[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::bigint[])
    AS new (session_id, minute, requests, errors, timeouts)
WHERE EXISTS (SELECT FROM archon_mcp_sessions s WHERE s.session_id = new.session_id)
GROUP BY minute ORDER BY minute
ON CONFLICT (minute, slot) DO UPDATE SET
    requests = m.requests + excluded.requests, errors = m.errors + excluded.errors,
    timeouts = m.timeouts + excluded.timeouts";

pub(super) fn minutes(slices: &[Slice]) -> Statement<'_> {
    let minutes: Vec<_> = slices
        .iter()
        .flat_map(|slice| slice.minutes.iter().map(move |(minute, of)| (slice, minute, of)))
        .collect();
    sqlx::query(MINUTES)
        .bind(column(&minutes, |(slice, _, _)| slice.session.as_uuid()))
        .bind(column(&minutes, |(_, minute, _)| time(**minute)))
        .bind(column(&minutes, |(_, _, of)| of.requests))
        .bind(column(&minutes, |(_, _, of)| of.errors))
        .bind(column(&minutes, |(_, _, of)| of.timeouts))
        .bind(minutes_from(slices).map(time))
}

pub(super) fn sums(slices: &[Slice]) -> Statement<'_> {
    let answers: Vec<_> = slices
        .iter()
        .flat_map(|slice| slice.latency.iter().map(move |(bucket, count)| (slice, bucket, count)))
        .collect();
    let met: Vec<_> = slices
        .iter()
        .flat_map(|slice| slice.upstreams.iter().map(move |name| (slice, &**name)))
        .collect();
    sqlx::query(SUMS)
        .bind(column(slices, |slice| slice.session.as_uuid()))
        .bind(column(slices, |slice| time(slice.hour)))
        .bind(column(slices, |slice| time(slice.day())))
        .bind(column(slices, |slice| &*slice.tool))
        .bind(column(slices, |slice| slice.usage.requests))
        .bind(column(slices, |slice| slice.usage.errors))
        .bind(column(slices, |slice| slice.usage.timeouts))
        .bind(column(slices, |slice| slice.usage.prompt_tokens))
        .bind(column(slices, |slice| slice.usage.completion_tokens))
        .bind(column(slices, |slice| slice.usage.cost_micros))
        .bind(column(slices, |slice| slice.usage.duration_us))
        .bind(column(slices, |slice| slice.usage.min_duration_us))
        .bind(column(slices, |slice| slice.usage.max_duration_us))
        .bind(column(&answers, |(slice, _, _)| slice.session.as_uuid()))
        .bind(column(&answers, |(slice, _, _)| time(slice.day())))
        .bind(column(&answers, |(slice, _, _)| &*slice.tool))
        .bind(column(&answers, |(_, bucket, _)| i16::try_from(**bucket).unwrap_or(i16::MAX)))
        .bind(column(&answers, |(_, _, count)| **count))
        .bind(column(&met, |(slice, _)| slice.session.as_uuid()))
        .bind(column(&met, |(_, name)| *name))
}
