//! Looks for requests, window after window, until a page is full, nothing is left, or time is up.

use std::time::{Duration, Instant};

use super::{PAGE_MAX, Page, Reports, RequestQuery, RequestRecord, Total};
use crate::session::Timestamp;
use crate::store::StoreError;

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The page. Its cursor goes on where the search has stopped.
    pub page: Page<RequestRecord>,
    /// The moment back to which requests were looked at, where time was up before the page was full. `None` where
    /// there is nothing to add: the page is full, or all requests were looked at.
    pub back_to: Option<Timestamp>,
}

/// Returns a page of requests. A list that leaves rows out is read in windows; this reads one more as long as the page
/// is not full and less than `budget` has passed.
///
/// # Errors
/// If the store is not available or a row is not readable.
pub async fn search<R: Reports + ?Sized>(
    reports: &R,
    query: &RequestQuery,
    budget: Duration,
) -> Result<Found, StoreError> {
    let began = Instant::now();
    let limit = query.limit.min(PAGE_MAX);
    let mut part = RequestQuery { limit, ..query.clone() };
    let mut page = reports.requests(&part).await?;
    if page.next.is_none() || page.rows.len() >= limit {
        return Ok(Found { page, back_to: None });
    }
    // The first window had fewer rows than are left out and wanted, so they are left out here.
    let first = page.total;
    let mut left_out = query.offset;
    if left_out > 0 {
        part.offset = 0;
        part.limit = PAGE_MAX;
        page = reports.requests(&part).await?;
        leave_out(&mut page.rows, &mut left_out);
    }
    let mut back_to = None;
    let mut rows = std::mem::take(&mut page.rows);
    while rows.len() < limit {
        let Some(next) = page.next.as_deref() else { break };
        if part.continue_at(next).is_err() {
            break;
        }
        if began.elapsed() >= budget {
            back_to = part.after.map(|(at, _)| at);
            break;
        }
        part.limit = (left_out + limit - rows.len()).min(PAGE_MAX);
        page = reports.requests(&part).await?;
        leave_out(&mut page.rows, &mut left_out);
        rows.append(&mut page.rows);
    }
    let seen = u64::try_from(query.offset + rows.len()).unwrap_or(u64::MAX);
    let is_whole = page.next.is_none() && query.after.is_none() && left_out == 0;
    let total = if is_whole {
        Total::exact(seen)
    } else {
        Total { count: first.count.max(seen), is_exact: false }
    };
    Ok(Found { page: Page { rows, next: page.next, total }, back_to })
}

fn leave_out(rows: &mut Vec<RequestRecord>, left_out: &mut usize) {
    let count = rows.len().min(*left_out);
    rows.drain(..count);
    *left_out -= count;
}
