//! Adds a batch's requests to the sums. Each statement takes the same slices, or what it needs of them, as JSON.

use std::collections::{BTreeMap, BTreeSet};

use const_format::concatcp;

use crate::session::{SessionId, Timestamp};
use crate::store::StoreError;
use crate::store::usage::{NAMES_A_DAY, OTHER, Slice, UPSTREAMS_MAX};

/// To all, and to what the session's client, its user and the tool have used.
pub(super) const USAGE: &str = concatcp!(
    "
INSERT INTO archon_mcp_usage AS u
WITH new AS MATERIALIZED (
    SELECT s.client_type, coalesce(s.user_id, nullif(s.principal, 'anonymous'), '') AS user_name,
           value->>1 AS hour, value->>2 AS day, value->>3 AS tool, value->>4 AS requests,
           value->>5 AS errors, value->>6 AS timeouts, value->>7 AS prompt_tokens,
           value->>8 AS completion_tokens, value->>9 AS cost_micros, value->>10 AS duration_us,
           value->>11 AS min_duration_us, value->>12 AS max_duration_us
    FROM json_each(?) CROSS JOIN archon_mcp_sessions s ON s.session_id = value->>0
), named AS (
    SELECT 'all' AS dimension, hour AS period, '' AS name, ",
    SUMS,
    " FROM new GROUP BY hour
    UNION ALL
    SELECT 'tool', day, tool, ",
    SUMS,
    " FROM new GROUP BY day, tool
    UNION ALL
    SELECT 'client', day, substr(client_type, 1, 200), ",
    SUMS,
    " FROM new GROUP BY day, client_type
    UNION ALL
    SELECT 'user', day, substr(user_name, 1, 200), ",
    SUMS,
    " FROM new GROUP BY day, user_name
)
SELECT dimension, period,
       CASE WHEN dimension NOT IN ('tool', 'client')
              OR EXISTS (SELECT 1 FROM archon_mcp_usage k
                         WHERE (k.dimension, k.period, k.name) = (n.dimension, n.period, n.name))
              OR (SELECT count(*) FROM archon_mcp_usage k
                  WHERE (k.dimension, k.period) = (n.dimension, n.period)) < ",
    NAMES_A_DAY,
    "
            THEN name ELSE '",
    OTHER,
    "' END,
       requests, errors, timeouts, prompt_tokens, completion_tokens, cost_micros, duration_us,
       min_duration_us, max_duration_us
FROM named n WHERE true
ON CONFLICT DO UPDATE SET
    requests = u.requests + excluded.requests, errors = u.errors + excluded.errors,
    timeouts = u.timeouts + excluded.timeouts, prompt_tokens = u.prompt_tokens + excluded.prompt_tokens,
    completion_tokens = u.completion_tokens + excluded.completion_tokens,
    cost_micros = u.cost_micros + excluded.cost_micros, duration_us = u.duration_us + excluded.duration_us,
    min_duration_us = min(u.min_duration_us, excluded.min_duration_us),
    max_duration_us = max(u.max_duration_us, excluded.max_duration_us)"
);

const SUMS: &str = "
    sum(requests) AS requests, sum(errors) AS errors, sum(timeouts) AS timeouts,
    sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens,
    sum(cost_micros) AS cost_micros, sum(duration_us) AS duration_us,
    min(min_duration_us) AS min_duration_us, max(max_duration_us) AS max_duration_us";

/// To the answers of the tool that took as long. Comes after [`USAGE`], which knows the names that count.
pub(super) const LATENCY: &str = concatcp!(
    "
INSERT INTO archon_mcp_latency AS l
SELECT day, CASE WHEN EXISTS (SELECT 1 FROM archon_mcp_usage k
                              WHERE (k.dimension, k.period, k.name) = ('tool', day, tool))
                 THEN tool ELSE '",
    OTHER,
    "' END, bucket, sum(answers)
FROM (SELECT slice.value->>2 AS day, slice.value->>3 AS tool, answer.value->>0 AS bucket,
             answer.value->>1 AS answers
      FROM json_each(?) slice CROSS JOIN archon_mcp_sessions s ON s.session_id = slice.value->>0
      CROSS JOIN json_each(slice.value, '$[13]') answer)
GROUP BY day, tool, bucket
ON CONFLICT DO UPDATE SET answers = l.answers + excluded.answers"
);

/// To the sessions of each day, where it is a new one for a session. Comes before [`TOTALS`], which sets a session's
/// latest day. What is written of an earlier day than that, since it took until the next, is on no other day.
pub(super) const DAYS: &str = "
INSERT INTO archon_mcp_session_days AS d
SELECT day, previous, count(*)
FROM (SELECT day.value AS day, coalesce(lag(day.value) OVER (PARTITION BY session_id ORDER BY day.value),
                                        last_request_day, '') AS previous
      FROM json_each(?) met CROSS JOIN archon_mcp_sessions s
          ON s.session_id = met.value->>0 AND met.value->>2 > coalesce(last_request_day, '')
      CROSS JOIN json_each(met.value, '$[3]') day
      WHERE day.value > coalesce(last_request_day, ''))
WHERE true GROUP BY day, previous
ON CONFLICT DO UPDATE SET sessions = d.sessions + excluded.sessions";

/// To the sessions themselves.
pub(super) const TOTALS: &str = "
UPDATE archon_mcp_sessions SET
    total_requests = total_requests + new.requests, total_errors = total_errors + new.errors,
    total_timeouts = total_timeouts + new.timeouts,
    total_prompt_tokens = total_prompt_tokens + new.prompt_tokens,
    total_completion_tokens = total_completion_tokens + new.completion_tokens,
    total_cost_micros = total_cost_micros + new.cost_micros,
    last_request_day = max(coalesce(last_request_day, ''), new.day)
FROM (SELECT value->>0 AS session_id, max(value->>2) AS day, sum(value->>4) AS requests, sum(value->>5) AS errors,
             sum(value->>6) AS timeouts, sum(value->>7) AS prompt_tokens,
             sum(value->>8) AS completion_tokens, sum(value->>9) AS cost_micros
      FROM json_each(?) GROUP BY 1) AS new
WHERE archon_mcp_sessions.session_id = new.session_id";

/// To the sessions as well: the upstreams that are new to them. Whoever wrote something else there must not make batches
/// fail.
pub(super) const UPSTREAMS: &str = concatcp!(
    "
UPDATE archon_mcp_sessions AS s SET upstreams = (
    SELECT json_group_array(value) FROM (
        SELECT value FROM json_each(iif(json_valid(s.upstreams), s.upstreams, '[]'))
        UNION ALL
        SELECT value FROM json_each(new.names) WHERE value NOT IN (SELECT value FROM json_each(iif(json_valid(s.upstreams), s.upstreams, '[]')))
        LIMIT ",
    UPSTREAMS_MAX,
    "))
FROM (SELECT value->>0 AS session_id, value->>1 AS names FROM json_each(?)) AS new
WHERE s.session_id = new.session_id AND s.upstreams <> new.names AND json_array_length(iif(json_valid(s.upstreams), s.upstreams, '[]')) < ",
    UPSTREAMS_MAX,
    "
  AND EXISTS (SELECT 1 FROM json_each(new.names)
              WHERE value NOT IN (SELECT value FROM json_each(iif(json_valid(s.upstreams), s.upstreams, '[]'))))"
);

/// To the minutes in which they arrived, and forgets those before the one that is bound last.
pub(super) const MINUTES: &str = "
INSERT INTO archon_mcp_minutes AS m
SELECT minute.value->>0, sum(minute.value->>1), sum(minute.value->>2), sum(minute.value->>3)
FROM json_each(?) slice CROSS JOIN archon_mcp_sessions s ON s.session_id = slice.value->>0
CROSS JOIN json_each(slice.value, '$[1]') minute
WHERE true GROUP BY 1
ON CONFLICT DO UPDATE SET requests = m.requests + excluded.requests, errors = m.errors + excluded.errors,
    timeouts = m.timeouts + excluded.timeouts;
DELETE FROM archon_mcp_minutes WHERE minute < ?";

/// Returns the slices as [`MINUTES`] takes them.
pub(super) fn minutes(slices: &[Slice]) -> Result<String, StoreError> {
    super::json(slices, |slice| {
        let minutes = slice
            .minutes
            .iter()
            .map(|(minute, of)| (minute.to_string(), of.requests, of.errors, of.timeouts));
        (slice.session.to_string(), minutes.collect::<Vec<_>>())
    })
}

/// Returns what [`DAYS`] and [`UPSTREAMS`] take of the slices, by session: its upstreams, its latest day, and each day.
pub(super) fn met(slices: &[Slice]) -> Result<String, StoreError> {
    let mut met: BTreeMap<SessionId, (BTreeSet<&str>, BTreeSet<Timestamp>)> = BTreeMap::new();
    for slice in slices {
        let (upstreams, days) = met.entry(slice.session).or_default();
        upstreams.extend(slice.upstreams.iter().map(String::as_str));
        days.insert(slice.day());
    }
    let met: Vec<_> = met.into_iter().collect();
    super::json(&met, |(session, (upstreams, days))| {
        let days: Vec<_> = days.iter().map(ToString::to_string).collect();
        (session.to_string(), upstreams, days.last().cloned(), days)
    })
}

/// Returns the slices as the statements take them.
pub(super) fn json(slices: &[Slice]) -> Result<String, StoreError> {
    super::json(slices, |slice| {
        let usage = slice.usage;
        (
            slice.session.to_string(),
            slice.hour.to_string(),
            slice.day().to_string(),
            &*slice.tool,
            usage.requests,
            usage.errors,
            usage.timeouts,
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.cost_micros,
            usage.duration_us,
            usage.min_duration_us,
            usage.max_duration_us,
            slice.latency.iter().map(|(bucket, answers)| (*bucket, *answers)).collect::<Vec<_>>(),
        )
    })
}
