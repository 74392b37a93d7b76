//! Stands in for the store's reports until a store has them.

use archon_sessions::session::{SessionId, Timestamp};
use archon_sessions::store::reports::*;
use archon_sessions::store::{Reports, StoreError};

pub struct Absent;

const GONE: StoreError = StoreError::Corrupt { what: "report" };

#[async_trait::async_trait]
impl Reports for Absent {
    async fn sessions(&self, _: &SessionQuery) -> Result<Page<SessionRecord>, StoreError> {
        Err(GONE)
    }
    async fn session_record(&self, _: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        Err(GONE)
    }
    async fn continued_by(&self, _: SessionId) -> Result<Option<SessionId>, StoreError> {
        Err(GONE)
    }
    async fn session_health(&self, _: Timestamp) -> Result<SessionHealth, StoreError> {
        Err(GONE)
    }
    async fn disconnected(&self, _: Timestamp, _: usize) -> Result<Disconnected, StoreError> {
        Err(GONE)
    }
    async fn requests(&self, _: &RequestQuery) -> Result<Page<RequestRecord>, StoreError> {
        Err(GONE)
    }
    async fn failures(&self, _: Option<SessionId>) -> Result<Failures, StoreError> {
        Err(GONE)
    }
    async fn usage(&self, _: Days) -> Result<UsageReport, StoreError> {
        Err(GONE)
    }
    async fn analytics(&self, _: Days) -> Result<Analytics, StoreError> {
        Err(GONE)
    }
    async fn prices(&self) -> Result<Vec<ModelPrice>, StoreError> {
        Err(GONE)
    }
    async fn put_prices(&self, _: &[ModelPrice]) -> Result<(), StoreError> {
        Err(GONE)
    }
}
