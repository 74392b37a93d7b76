//! Sums over requests as they are shown.

use std::collections::BTreeMap;

use super::Days;
use crate::session::Timestamp;
use crate::store::usage::{ToolName, percentiles};

/// Hours of a day.
pub const HOURS_OF_DAY: usize = 24;

/// What requests of one kind have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All requests.
    pub requests: i64,
    /// Those that ended with an error.
    pub errors: i64,
    /// Those that were not answered in time.
    pub timeouts: i64,
    /// Estimated tokens of requests, which a model wrote.
    pub prompt_tokens: i64,
    /// Estimated tokens of answers, which a model reads.
    pub completion_tokens: i64,
    /// Estimated cost in millionths of a dollar.
    pub cost_micros: i64,
    /// How long all requests took, in microseconds, answered or not.
    pub duration_us: i64,
    /// The quickest request; 0 if there is none.
    pub min_duration_us: i64,
    /// The slowest request.
    pub max_duration_us: i64,
}

impl Usage {
    /// Returns the requests that succeeded.
    pub fn successes(&self) -> i64 {
        self.requests - self.errors - self.timeouts
    }

    /// Adds what other requests have used.
    pub fn add(&mut self, other: &Self) {
        self.min_duration_us = match (self.requests, other.requests) {
            (_, 0) => self.min_duration_us,
            (0, _) => other.min_duration_us,
            (_, _) => self.min_duration_us.min(other.min_duration_us),
        };
        self.max_duration_us = self.max_duration_us.max(other.max_duration_us);
        for (sum, more) in [
            (&mut self.requests, other.requests),
            (&mut self.errors, other.errors),
            (&mut self.timeouts, other.timeouts),
            (&mut self.prompt_tokens, other.prompt_tokens),
            (&mut self.completion_tokens, other.completion_tokens),
            (&mut self.cost_micros, other.cost_micros),
            (&mut self.duration_us, other.duration_us),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// What requests of one name have used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedUsage {
    /// A client's type or a user's id, or the name of a tool's sums. Empty: requests that call no tool, or of nobody who
    /// is known.
    pub name: String,
    /// What they have used.
    pub usage: Usage,
}

/// What requests of one tool have used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolUsage {
    /// Which tool of which upstream.
    pub name: ToolName,
    /// What they have used.
    pub usage: Usage,
}

impl From<NamedUsage> for ToolUsage {
    fn from(NamedUsage { name, usage }: NamedUsage) -> Self {
        Self { name: ToolName::of_key(&name), usage }
    }
}

/// What was used on some days.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageReport {
    /// Which days.
    pub days: Days,
    /// In all.
    pub total: Usage,
    /// Sessions that made requests on one of the days.
    pub sessions: i64,
    /// By tool, the most used first.
    pub by_tool: Vec<ToolUsage>,
    /// By type of client.
    pub by_client: Vec<NamedUsage>,
    /// By user.
    pub by_user: Vec<NamedUsage>,
}

/// How use and response times went on some days.
#[derive(Clone, Debug, PartialEq)]
pub struct Analytics {
    /// Which days.
    pub days: Days,
    /// In all.
    pub total: Usage,
    /// In all on as many days before.
    pub previous: Usage,
    /// Each day, with or without requests.
    pub daily: Vec<UsageOfDay>,
    /// Each hour of the day in UTC, over all days.
    pub hourly: [Usage; HOURS_OF_DAY],
    /// By tool, the most used first.
    pub by_tool: Vec<ResponseTimes>,
    /// Of all answers.
    pub percentiles: Percentiles,
}

/// What was used on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageOfDay {
    /// When the day began.
    pub day: Timestamp,
    /// What was used.
    pub usage: Usage,
}

/// How long the answers of a tool took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseTimes {
    /// Which tool of which upstream.
    pub name: ToolName,
    /// Sum, minimum and maximum among others.
    pub usage: Usage,
    /// Within 5 % of what they are.
    pub percentiles: Percentiles,
}

/// Response times that so many of a hundred answers do not exceed, in microseconds; 0 if there is no answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// The median.
    pub p50_us: i64,
    /// Of 95.
    pub p95_us: i64,
    /// Of 99.
    pub p99_us: i64,
}

impl Analytics {
    /// Puts together what a store found: use by the hour, now and on as many days before; and by tool, as sums and
    /// as answers by bucket, in ascending order of tools and buckets.
    pub(crate) fn of(
        days: Days,
        hours: &[(Timestamp, Usage)],
        previous: Usage,
        tools: Vec<NamedUsage>,
        answers: &[(String, u16, i64)],
    ) -> Self {
        let mut by_day: BTreeMap<Timestamp, Usage> =
            days.each().map(|day| (day, Usage::default())).collect();
        let (mut total, mut hourly) = (Usage::default(), [Usage::default(); HOURS_OF_DAY]);
        for (hour, usage) in hours {
            total.add(usage);
            let since = hour.since(days.start()).as_secs() / 3600;
            hourly[since as usize % HOURS_OF_DAY].add(usage);
            if let Some((_, day)) = by_day.range_mut(..=*hour).next_back() {
                day.add(usage);
            }
        }
        let daily = by_day.into_iter().map(|(day, usage)| UsageOfDay { day, usage }).collect();
        let mut all = BTreeMap::new();
        for (_, bucket, count) in answers {
            *all.entry(*bucket).or_default() += count;
        }
        let all: Vec<(u16, i64)> = all.into_iter().collect();
        let by_tool = tools
            .into_iter()
            .map(|NamedUsage { name: key, usage }| {
                let from = answers.partition_point(|(name, _, _)| *name < key);
                let own: Vec<(u16, i64)> = answers[from..]
                    .iter()
                    .take_while(|(name, _, _)| *name == key)
                    .map(|(_, bucket, count)| (*bucket, *count))
                    .collect();
                let name = ToolName::of_key(&key);
                ResponseTimes { name, usage, percentiles: percentiles(&own).within(&usage) }
            })
            .collect();
        let percentiles = percentiles(&all).within(&total);
        Self { days, total, previous, daily, hourly, by_tool, percentiles }
    }
}

impl Percentiles {
    /// Corrects what is beyond the quickest or the slowest request, for these are known.
    fn within(self, usage: &Usage) -> Self {
        if self == Self::default() {
            return self; // No answer, or none that took a microsecond.
        }
        let (min, max) = (usage.min_duration_us, usage.max_duration_us.max(usage.min_duration_us));
        Self {
            p50_us: self.p50_us.clamp(min, max),
            p95_us: self.p95_us.clamp(min, max),
            p99_us: self.p99_us.clamp(min, max),
        }
    }
}
