//! What the API asks, of a PostgreSQL database.

mod history;
pub(super) mod rows;
mod sums;

use async_trait::async_trait;
use const_format::concatcp;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row};

use super::rows::{column, read_time, text, time};
use super::{PostgresStore, Statement};
use crate::session::{SessionId, Timestamp};
use crate::store::reports::select::{Dialect, RequestList, Select, SessionList, Value};
use crate::store::reports::{
    Analytics, AttemptRecord, Chain, Days, Disconnected, Failures, Minute, ModelPrice, Page,
    RECENT, RefusalRecord, Reports, RequestQuery, RequestRecord, SessionHealth, SessionQuery,
    SessionRecord, Total, UsageReport,
};
use crate::store::{StoreError, each_readable};

const SESSIONS: &str = "archon_mcp_sessions";

#[async_trait]
impl Reports for PostgresStore {
    async fn sessions(&self, query: &SessionQuery) -> Result<Page<SessionRecord>, StoreError> {
        self.take_in_written().await;
        let list = SessionList::new(Dialect::Postgres, query);
        let total = match list.count() {
            Some(count) => self.within_window(count).await?,
            None => sums::sessions(self, list.counted_status()).await?,
        };
        let found = self.read(statement(list.page(rows::SESSION))).await?;
        let records = each_readable(SESSIONS, found.iter().map(rows::session))?;
        let mut page = Page::of(records, list.limit(), total, |record| {
            query.cursor(record.sort_key(query.sort), record.session.id)
        });
        if page.next.is_none()
            && let Some(end) = list.window_end()
            && let Some(row) = self.read(statement(end)).await?.first()
        {
            let id = SessionId::from_uuid(row.try_get("session_id")?);
            let at = if list.is_by_figure() {
                row.try_get("at")?
            } else {
                read_time(row, "at")?.as_micros()
            };
            page.next = Some(query.cursor(at, id));
        }
        Ok(page)
    }

    async fn session_record(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        const SQL: &str =
            concatcp!("SELECT ", rows::SESSION, " FROM archon_mcp_sessions WHERE session_id = $1");
        self.take_in_written().await;
        let found = self.read(sqlx::query(SQL).bind(id.as_uuid())).await?;
        found.first().map(rows::session).transpose()
    }

    async fn chain(&self, id: SessionId) -> Result<Chain, StoreError> {
        history::chain(self, id).await
    }

    async fn attempts(&self, id: SessionId) -> Result<Vec<AttemptRecord>, StoreError> {
        history::attempts(self, id).await
    }

    async fn refusals(&self, limit: usize) -> Result<Vec<RefusalRecord>, StoreError> {
        history::refusals(self, limit).await
    }

    async fn session_health(&self, now: Timestamp) -> Result<SessionHealth, StoreError> {
        let mut health = sums::session_health(self, now).await?;
        let query = SessionQuery { limit: RECENT, ..SessionQuery::default() };
        let recent = SessionList::new(Dialect::Postgres, &query).page(rows::SESSION);
        let recent = self.read(statement(recent)).await?;
        let recent = recent.iter().take(RECENT).map(rows::session);
        health.recent = each_readable(SESSIONS, recent)?;
        Ok(health)
    }

    async fn disconnected(
        &self,
        since: Timestamp,
        limit: usize,
    ) -> Result<Disconnected, StoreError> {
        const SQL: &str = concatcp!(
            "SELECT ",
            rows::SESSION,
            " FROM archon_mcp_sessions WHERE disconnected_at >= $1
             ORDER BY disconnected_at DESC, session_id DESC LIMIT $2"
        );
        let found = sqlx::query(SQL).bind(time(since)).bind(rows::limit(limit));
        let found = self.read(found).await?;
        let mut disconnected = sums::ends(self, since).await?;
        disconnected.sessions = each_readable(SESSIONS, found.iter().map(rows::session))?;
        Ok(disconnected)
    }

    async fn requests(&self, query: &RequestQuery) -> Result<Page<RequestRecord>, StoreError> {
        self.take_in_written().await;
        let list = RequestList::new(Dialect::Postgres, query);
        let total = match list.count() {
            Some(count) => self.within_window(count).await?,
            None => sums::requests(self, &query.outcomes).await?,
        };
        let found = self.read(statement(list.page(rows::REQUEST))).await?;
        let records = each_readable("archon_mcp_requests", found.iter().map(rows::request))?;
        let mut page = Page::of(records, list.limit(), total, |record| {
            query.cursor(record.row.started, record.id)
        });
        if page.next.is_none()
            && let Some(end) = list.window_end()
            && let Some(row) = self.read(statement(end)).await?.first()
        {
            page.next = Some(query.cursor(read_time(row, "at")?, row.try_get("id")?));
        }
        Ok(page)
    }

    async fn failures(&self, session: Option<SessionId>) -> Result<Failures, StoreError> {
        self.take_in_written().await;
        match session {
            Some(session) => sums::failures_of(self, session).await,
            None => sums::failures(self).await,
        }
    }

    async fn usage(&self, days: Days) -> Result<UsageReport, StoreError> {
        self.take_in_written().await;
        sums::usage(self, days).await
    }

    async fn analytics(&self, days: Days) -> Result<Analytics, StoreError> {
        self.take_in_written().await;
        sums::analytics(self, days).await
    }

    async fn minutes(&self, now: Timestamp, count: u32) -> Result<Vec<Minute>, StoreError> {
        self.take_in_written().await;
        sums::minutes(self, now, count).await
    }

    async fn prices(&self) -> Result<Vec<ModelPrice>, StoreError> {
        let found = sqlx::query(
            "SELECT provider, model_name, input_price_per_1k::float8 AS input_price_per_1k,
                    output_price_per_1k::float8 AS output_price_per_1k,
                    to_char(effective_date, 'YYYY-MM-DD') AS effective_date
             FROM archon_llm_pricing ORDER BY provider, model_name, archon_llm_pricing.effective_date DESC",
        );
        let found = self.read(found).await?;
        each_readable("archon_llm_pricing", found.iter().map(rows::price))
    }

    async fn put_prices(&self, prices: &[ModelPrice]) -> Result<(), StoreError> {
        // One statement writes no row twice: of one that is there twice the last counts.
        let put = sqlx::query(
            "INSERT INTO archon_llm_pricing
                 (provider, model_name, input_price_per_1k, output_price_per_1k, effective_date)
             SELECT DISTINCT ON (provider, model, since) provider, model, input, output, since::date
             FROM UNNEST($1::text[], $2::text[], $3::float8[], $4::float8[], $5::text[]) WITH ORDINALITY
                 AS new (provider, model, input, output, since, place)
             ORDER BY provider, model, since, place DESC
             ON CONFLICT (provider, model_name, effective_date) DO UPDATE SET
                 input_price_per_1k = excluded.input_price_per_1k,
                 output_price_per_1k = excluded.output_price_per_1k",
        )
        .bind(column(prices, |price| text(&price.provider)))
        .bind(column(prices, |price| text(&price.model)))
        .bind(column(prices, |price| price.input_per_1k))
        .bind(column(prices, |price| price.output_per_1k))
        .bind(column(prices, |price| text(&price.effective_date)));
        self.read(put).await?;
        Ok(())
    }
}

impl PostgresStore {
    /// Runs a count of two numbers: the rows of a window, and those of them that are meant.
    async fn within_window(&self, count: Select) -> Result<Total, StoreError> {
        let row = self.read_one(statement(count)).await?;
        Ok(Total::within_window(row.try_get(0)?, row.try_get(1)?))
    }

    /// Reads the one row of a statement that has one.
    async fn read_one(&self, statement: Statement<'_>) -> Result<PgRow, StoreError> {
        let mut rows = self.read(statement).await?;
        Ok(rows.pop().ok_or(sqlx::Error::RowNotFound)?)
    }
}

/// Each list has its own text and is planned for its own values, so none is kept prepared.
fn statement(select: Select) -> Statement<'static> {
    let query = sqlx::query(AssertSqlSafe(select.text)).persistent(false);
    select.values.into_iter().fold(query, |query, value| match value {
        Value::Time(at) => query.bind(time(at)),
        Value::Session(id) => query.bind(id.as_uuid()),
        Value::Text(value) => query.bind(text(&value).into_owned()),
        Value::Number(number) => query.bind(number),
    })
}
