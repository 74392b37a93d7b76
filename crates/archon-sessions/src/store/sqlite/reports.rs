//! What the API asks, of a SQLite file.

mod history;
pub(super) mod rows;
mod sums;

use async_trait::async_trait;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Connection as _, Row};

use super::SqliteStore;
use super::rows::{parsed, time};
use crate::session::{SessionId, Timestamp};
use crate::store::reports::select::{Dialect, RequestList, Select, SessionList, Value};
use crate::store::reports::{
    Analytics, AttemptRecord, Chain, Days, Disconnected, Failures, Minute, ModelPrice, Page,
    RefusalRecord, Reports, RequestQuery, RequestRecord, SessionHealth, SessionQuery,
    SessionRecord, Total, UsageReport,
};
use crate::store::{StoreError, each_readable};

const SESSIONS: &str = "archon_mcp_sessions";

#[async_trait]
impl Reports for SqliteStore {
    async fn sessions(&self, query: &SessionQuery) -> Result<Page<SessionRecord>, StoreError> {
        self.take_in_written().await;
        let (pool, list) = (self.pool(), SessionList::new(Dialect::Sqlite, query));
        let total = match list.count() {
            Some(count) => within_window(&pool, count).await?,
            None => sums::sessions(&pool, list.counted_status()).await?,
        };
        let found = all(&pool, list.page("*")).await?;
        let records = each_readable(SESSIONS, found.iter().map(rows::session))?;
        let mut page = Page::of(records, list.limit(), total, |record| {
            query.cursor(record.sort_key(query.sort), record.session.id)
        });
        if page.next.is_none()
            && let Some(end) = list.window_end()
            && let Some(row) = all(&pool, end).await?.first()
        {
            let at =
                if list.is_by_figure() { row.try_get("at")? } else { time(row, "at")?.as_micros() };
            page.next = Some(query.cursor(at, parsed(row, "session_id")?));
        }
        Ok(page)
    }

    async fn session_record(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.take_in_written().await;
        let row = sqlx::query(super::rows::SESSION)
            .bind(id.to_string())
            .fetch_optional(&self.pool())
            .await?;
        row.as_ref().map(rows::session).transpose()
    }

    async fn chain(&self, id: SessionId) -> Result<Chain, StoreError> {
        history::chain(&self.pool(), id).await
    }

    async fn attempts(&self, id: SessionId) -> Result<Vec<AttemptRecord>, StoreError> {
        history::attempts(&self.pool(), id).await
    }

    async fn refusals(&self, limit: usize) -> Result<Vec<RefusalRecord>, StoreError> {
        history::refusals(&self.pool(), limit).await
    }

    async fn session_health(&self, now: Timestamp) -> Result<SessionHealth, StoreError> {
        self.take_in_written().await;
        let mut health = sums::session_health(&self.pool(), now).await?;
        let query =
            SessionQuery { limit: crate::store::reports::RECENT, ..SessionQuery::default() };
        let recent = SessionList::new(Dialect::Sqlite, &query).page("*");
        let recent = all(&self.pool(), recent).await?;
        let mut recent = each_readable(SESSIONS, recent.iter().map(rows::session))?;
        recent.truncate(query.limit);
        health.recent = recent;
        Ok(health)
    }

    async fn disconnected(
        &self,
        since: Timestamp,
        limit: usize,
    ) -> Result<Disconnected, StoreError> {
        self.take_in_written().await;
        let found = sqlx::query(
            "SELECT * FROM archon_mcp_sessions WHERE disconnected_at >= ? AND coalesce(intake, 1) = 1
             ORDER BY disconnected_at DESC, session_id DESC LIMIT ?",
        )
        .bind(since.to_string())
        .bind(rows::limit(limit))
        .fetch_all(&self.pool())
        .await?;
        let mut disconnected = sums::ends(&self.pool(), since).await?;
        disconnected.sessions = each_readable(SESSIONS, found.iter().map(rows::session))?;
        Ok(disconnected)
    }

    async fn requests(&self, query: &RequestQuery) -> Result<Page<RequestRecord>, StoreError> {
        self.take_in_written().await;
        let (pool, list) = (self.pool(), RequestList::new(Dialect::Sqlite, query));
        let total = match list.count() {
            Some(count) => within_window(&pool, count).await?,
            None => sums::requests(&pool, &query.outcomes).await?,
        };
        let found = all(&pool, list.page("page.*")).await?;
        let records = each_readable("archon_mcp_requests", found.iter().map(rows::request))?;
        let mut page = Page::of(records, list.limit(), total, |record| {
            query.cursor(record.row.started, record.id)
        });
        if page.next.is_none()
            && let Some(end) = list.window_end()
            && let Some(row) = all(&pool, end).await?.first()
        {
            page.next = Some(query.cursor(time(row, "at")?, row.try_get("id")?));
        }
        Ok(page)
    }

    async fn failures(&self, session: Option<SessionId>) -> Result<Failures, StoreError> {
        self.take_in_written().await;
        match session {
            Some(session) => sums::failures_of(&self.pool(), session).await,
            None => sums::failures(&self.pool()).await,
        }
    }

    async fn usage(&self, days: Days) -> Result<UsageReport, StoreError> {
        self.take_in_written().await;
        sums::usage(&self.pool(), days).await
    }

    async fn analytics(&self, days: Days) -> Result<Analytics, StoreError> {
        self.take_in_written().await;
        sums::analytics(&self.pool(), days).await
    }

    async fn minutes(&self, now: Timestamp, count: u32) -> Result<Vec<Minute>, StoreError> {
        self.take_in_written().await;
        sums::minutes(&self.pool(), now, count).await
    }

    async fn prices(&self) -> Result<Vec<ModelPrice>, StoreError> {
        let found = sqlx::query(
            "SELECT * FROM archon_llm_pricing ORDER BY provider, model_name, effective_date DESC",
        )
        .fetch_all(&self.pool())
        .await?;
        each_readable("archon_llm_pricing", found.iter().map(rows::price))
    }

    async fn put_prices(&self, prices: &[ModelPrice]) -> Result<(), StoreError> {
        let mut file = self.file.lock().await;
        let mut transaction = file.writer().await?.begin_with("BEGIN IMMEDIATE").await?;
        for price in prices {
            sqlx::query(
                "INSERT INTO archon_llm_pricing
                     (provider, model_name, input_price_per_1k, output_price_per_1k, effective_date)
                 VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT DO UPDATE SET input_price_per_1k = excluded.input_price_per_1k,
                     output_price_per_1k = excluded.output_price_per_1k",
            )
            .bind(&price.provider)
            .bind(&price.model)
            .bind(price.input_per_1k)
            .bind(price.output_per_1k)
            .bind(&price.effective_date)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

async fn all(pool: &SqlitePool, select: Select) -> Result<Vec<SqliteRow>, StoreError> {
    Ok(statement(select).fetch_all(pool).await?)
}

/// Runs a count of two numbers: the rows of a window, and those of them that are meant.
async fn within_window(pool: &SqlitePool, count: Select) -> Result<Total, StoreError> {
    let row = statement(count).fetch_one(pool).await?;
    Ok(Total::within_window(row.try_get(0)?, row.try_get(1)?))
}

/// Each list has its own text, so none is kept prepared.
fn statement(select: Select) -> Query<'static, Sqlite, SqliteArguments> {
    let query = sqlx::query(AssertSqlSafe(select.text)).persistent(false);
    select.values.into_iter().fold(query, |query, value| match value {
        Value::Time(at) => query.bind(at.to_string()),
        Value::Session(id) => query.bind(id.to_string()),
        Value::Text(text) => query.bind(text),
        Value::Number(number) => query.bind(number),
    })
}
