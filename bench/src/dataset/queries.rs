//! Each question of the API, timed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use archon_sessions::session::{Status, Timestamp};
use archon_sessions::store::reports::{Days, RequestQuery, SessionQuery, SessionSort};
use archon_sessions::store::{Outcome, Reports, StoreError};

const PAGE: usize = 50;

/// Asks each question so many times and prints how long the answers took.
pub(super) async fn measure(store: &dyn Reports, repeats: usize) -> Result<()> {
    let now = Timestamp::now();
    let limit = PAGE;
    let any = SessionQuery { limit, ..SessionQuery::default() };
    let first = store.sessions(&any).await?;
    let total = store.requests(&RequestQuery { limit: 1, ..Default::default() }).await?.total;
    println!("{} sessions, {} requests\n", first.total.count, total.count);
    println!("| question | p50 | p99 |\n|---|---|---|");
    let id = first.rows.first().context("there is no session")?.session.id;

    let ended = Some(Status::Disconnected);
    let lists = [
        ("sessions, the latest", any.clone()),
        ("active ones", SessionQuery { status: Some(Status::Active), ..any.clone() }),
        ("by their beginning", SessionQuery { sort: SessionSort::ConnectedAt, ..any.clone() }),
        ("of one type of client", SessionQuery { client_type: Some("Zed".into()), ..any.clone() }),
        ("of one user", SessionQuery { user: Some("user-7".into()), status: ended, ..any.clone() }),
        ("with a text", SessionQuery { text: Some("wind".into()), ..any.clone() }),
        ("with a text that nobody has", SessionQuery { text: Some("%x%".into()), ..any.clone() }),
    ];
    for (name, query) in lists {
        timed(name, repeats, async || store.sessions(&query).await.map(drop)).await?;
    }
    sorted_lists(store, repeats, &any).await?;
    let mut query = any;
    for _ in 0..20 {
        let next = store.sessions(&query).await?.next.context("there is one page only")?;
        query.continue_at(&next)?;
    }
    timed("page 20", repeats, async || store.sessions(&query).await.map(drop)).await?;
    timed("health", repeats, async || store.session_health(now).await.map(drop)).await?;
    let week = now.minus(Duration::from_secs(7 * 86_400));
    timed("ended in a week", repeats, async || store.disconnected(week, PAGE).await.map(drop))
        .await?;
    timed("one session", repeats, async || {
        store.session_record(id).await?;
        store.chain(id).await?;
        store.attempts(id).await?;
        store
            .requests(&RequestQuery { session: Some(id), limit: 100, ..Default::default() })
            .await?;
        Ok(())
    })
    .await?;

    let any = RequestQuery { limit: 100, ..RequestQuery::default() };
    let failed = vec![Outcome::Error, Outcome::Timeout];
    let lists = [
        ("logs, the latest", any.clone()),
        ("logs behind 5,000", RequestQuery { offset: 5_000, ..any.clone() }),
        ("logs of one tool", RequestQuery { tool: Some("tool_7".into()), ..any.clone() }),
        ("logs with a text", RequestQuery { text: Some("/src/77".into()), ..any.clone() }),
        ("errors", RequestQuery { outcomes: failed, ..any.clone() }),
        ("timeouts", RequestQuery { outcomes: vec![Outcome::Timeout], ..any }),
    ];
    for (name, query) in lists {
        timed(name, repeats, async || store.requests(&query).await.map(drop)).await?;
    }
    timed("sums of errors", repeats, async || store.failures(None).await.map(drop)).await?;
    let quarter = Days::until(now, 90);
    timed("use of 90 days", repeats, async || store.usage(quarter).await.map(drop)).await?;
    timed("analytics of 90 days", repeats, async || store.analytics(quarter).await.map(drop)).await
}

/// Asks for the first page in each order, of all sessions and of those that are active, and for one far behind.
async fn sorted_lists(store: &dyn Reports, repeats: usize, any: &SessionQuery) -> Result<()> {
    let sorts = [
        ("by requests", SessionSort::Requests),
        ("by errors", SessionSort::Errors),
        ("by cost", SessionSort::Cost),
        ("by duration", SessionSort::Duration { now: Timestamp::now() }),
        ("by type of client", SessionSort::ClientType),
    ];
    for (name, sort) in sorts {
        let query = SessionQuery { sort, ..any.clone() };
        timed(name, repeats, async || store.sessions(&query).await.map(drop)).await?;
        let active = SessionQuery { status: Some(Status::Active), ..query.clone() };
        let active_ones = format!("{name}, active ones");
        timed(&active_ones, repeats, async || store.sessions(&active).await.map(drop)).await?;
        let mut behind = query;
        for _ in 0..20 {
            let next = store.sessions(&behind).await?.next.context("there is one page only")?;
            behind.continue_at(&next)?;
        }
        let page_20 = format!("{name}, page 20");
        timed(&page_20, repeats, async || store.sessions(&behind).await.map(drop)).await?;
    }
    Ok(())
}

async fn timed(
    name: &str,
    repeats: usize,
    ask: impl AsyncFn() -> Result<(), StoreError>,
) -> Result<()> {
    let mut times = Vec::with_capacity(repeats);
    for _ in 0..repeats {
        let began = Instant::now();
        ask().await.with_context(|| format!("could not ask for {name}"))?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let of = |share: f64| times.get(((share * times.len() as f64) as usize).min(times.len() - 1));
    let (p50, p99) = (of(0.5).unwrap_or(&0.0), of(0.99).unwrap_or(&0.0));
    println!("| {name} | {p50:.1} ms | {p99:.1} ms |");
    Ok(())
}
