//! The read side of a store: what the API shows. Every answer is bounded, and none reads a whole table.
//!
//! Lists are read along an index, a page at a time. A filter that no index serves is applied to a window of rows
//! only; where that ends before the page is full, the page has a cursor all the same. Sums come from tables that
//! are kept as rows are written (`usage.rs`).

mod cursor;
mod days;
mod history;
mod minutes;
mod refusals;
mod requests;
mod search;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod select;
mod sessions;
#[cfg(test)]
mod suite;
mod usage;

pub use super::usage::ToolName;
pub use cursor::BadCursor;
pub use days::{DAYS_MAX, Days};
pub(crate) use history::once;
pub use history::{ATTEMPTS_MAX, AttemptRecord, CHAIN_MAX, Chain, ChainLink};
pub use minutes::{Counts, MINUTES_MAX, Minute};
pub(crate) use minutes::{first_minute, in_a_row, minute_of};
pub use refusals::RefusalRecord;
pub use requests::{Failures, OFFSET_MAX, RequestQuery, RequestRecord};
pub use search::{Found, search};
pub use sessions::{
    AGING_AFTER, Ages, Disconnected, LastDay, Order, RECENT, STALE_AFTER, SessionHealth,
    SessionQuery, SessionRecord, SessionSort, Totals,
};
pub use usage::{
    Analytics, HOURS_OF_DAY, NamedUsage, Percentiles, ResponseTimes, ToolUsage, Usage, UsageOfDay,
    UsageReport,
};

use async_trait::async_trait;

use super::{Outcome, StoreError};
use crate::session::{SessionId, Timestamp};

/// Rows of a page at most; more are asked for with its cursor.
pub const PAGE_MAX: usize = 1000;
/// Rows that one call looks at where no index serves a filter: a few hundredths of a second.
pub const WINDOW: usize = 5_000;
/// Names that a report lists in each of its parts, those with the most requests first.
pub const NAMES_MAX: usize = 1000;

/// What the API asks a store. Beside prices, which people set and not the tracker, it only reads.
#[async_trait]
pub trait Reports: Send + Sync + 'static {
    /// Returns a page of sessions.
    ///
    /// # Errors
    /// If the store is not available or a row is not readable.
    async fn sessions(&self, query: &SessionQuery) -> Result<Page<SessionRecord>, StoreError>;

    /// Returns everything that is stored of a session.
    ///
    /// # Errors
    /// If the store is not available or the row is not readable.
    async fn session_record(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError>;

    /// Returns the sessions that this one continues, and those that continue it.
    ///
    /// # Errors
    /// If the store is not available or a row is not readable.
    async fn chain(&self, id: SessionId) -> Result<Chain, StoreError>;

    /// Returns the latest attempts to take this session back, the latest first.
    ///
    /// # Errors
    /// If the store is not available or a row is not readable.
    async fn attempts(&self, id: SessionId) -> Result<Vec<AttemptRecord>, StoreError>;

    /// Returns the latest rows of requests that were turned away, the latest first; at most so many.
    ///
    /// # Errors
    /// If the store is not available or a row is not readable.
    async fn refusals(&self, limit: usize) -> Result<Vec<RefusalRecord>, StoreError>;

    /// Returns how sessions are at this moment.
    ///
    /// # Errors
    /// If the store is not available or a row is not readable.
    async fn session_health(&self, now: Timestamp) -> Result<SessionHealth, StoreError>;

    /// Returns the sessions that ended since, the latest first and at most so many, and what they have in common.
    /// The sums count from the beginning of the hour.
    ///
    /// # Errors
    /// If the store is not available or a row is not readable.
    async fn disconnected(
        &self,
        since: Timestamp,
        limit: usize,
    ) -> Result<Disconnected, StoreError>;

    /// Returns a page of requests, the latest first.
    ///
    /// # Errors
    /// If the store is not available or a row is not readable.
    async fn requests(&self, query: &RequestQuery) -> Result<Page<RequestRecord>, StoreError>;

    /// Returns how many requests failed, of one session or of all times.
    ///
    /// # Errors
    /// If the store is not available.
    async fn failures(&self, session: Option<SessionId>) -> Result<Failures, StoreError>;

    /// Returns what was used on these days: by whom, and of what.
    ///
    /// # Errors
    /// If the store is not available.
    async fn usage(&self, days: Days) -> Result<UsageReport, StoreError>;

    /// Returns how use and response times went on these days, and what was used on as many days before.
    ///
    /// # Errors
    /// If the store is not available.
    async fn analytics(&self, days: Days) -> Result<Analytics, StoreError>;

    /// Returns how many requests arrived in each of so many minutes, of which that of this moment is the last; at most
    /// [`MINUTES_MAX`].
    ///
    /// # Errors
    /// If the store is not available or a row is not readable.
    async fn minutes(&self, now: Timestamp, count: u32) -> Result<Vec<Minute>, StoreError>;

    /// Returns all prices, by provider and model, the latest first.
    ///
    /// # Errors
    /// If the store is not available.
    async fn prices(&self) -> Result<Vec<ModelPrice>, StoreError>;

    /// Sets these prices, all or none. One of the same provider, model and date is replaced.
    ///
    /// # Errors
    /// If the store is not available.
    async fn put_prices(&self, prices: &[ModelPrice]) -> Result<(), StoreError>;
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The rows, in order.
    pub rows: Vec<T>,
    /// Where the next page begins; `None` on the last. It means nothing to anybody else.
    pub next: Option<String>,
    /// How many rows the whole list has.
    pub total: Total,
}

impl<T> Page<T> {
    /// Returns the page of these rows, of which there is one too many where the list goes on.
    pub(crate) fn of(
        mut rows: Vec<T>,
        limit: usize,
        total: Total,
        cursor: impl Fn(&T) -> String,
    ) -> Self {
        let goes_on = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| goes_on).map(cursor);
        Self { rows, next, total }
    }
}

/// A count that is not always worth counting to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// The count, or what was counted before it was given up.
    pub count: u64,
    /// False where there may be more, or, where old rows were deleted, about so many.
    pub is_exact: bool,
}

impl Total {
    /// Returns a count that is one.
    pub const fn exact(count: u64) -> Self {
        Self { count, is_exact: true }
    }

    /// Returns how many of all, failed and unanswered requests these outcomes are; of all if there are none.
    pub(crate) fn of_outcomes(
        outcomes: &[Outcome],
        (requests, errors, timeouts): (i64, i64, i64),
        is_exact: bool,
    ) -> Self {
        let of = |outcome| match outcome {
            Outcome::Success => requests - errors - timeouts,
            Outcome::Error => errors,
            Outcome::Timeout => timeouts,
        };
        let every = [Outcome::Success, Outcome::Error, Outcome::Timeout];
        let is_meant = |outcome: &Outcome| outcomes.is_empty() || outcomes.contains(outcome);
        let count: i64 = every.into_iter().filter(is_meant).map(of).sum();
        Self { count: u64::try_from(count).unwrap_or(0), is_exact }
    }

    /// Returns the rows that are meant among those of a window.
    pub(crate) fn within_window(window: i64, meant: i64) -> Self {
        let count = u64::try_from(meant).unwrap_or(0);
        Self { count, is_exact: window < WINDOW as i64 }
    }
}

/// A row of `archon_llm_pricing`: what a model costs from a date on.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelPrice {
    /// Whose model.
    pub provider: String,
    /// Its name.
    pub model: String,
    /// Dollars per thousand tokens that the model reads.
    pub input_per_1k: f64,
    /// Dollars per thousand tokens that the model writes.
    pub output_per_1k: f64,
    /// The first day of the price, as `2026-01-10`.
    pub effective_date: String,
}
