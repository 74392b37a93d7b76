//! What models cost, as the store last said.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Draft;
use crate::session::Timestamp;
use crate::store::{Price, SessionStore};

/// Prices may be edited while we run.
const PRICE_EVERY: Duration = Duration::from_secs(60);
/// Models that services name themselves: more than one server uses. Beyond it all are asked for again.
const MODELS_MAX: usize = 64;
/// Rows wait for the price of a model that is new to us, but not for long.
const PRICE_LIMIT: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Prices {
    /// The model by whose price a request is estimated that says nothing else.
    model: Option<Arc<str>>,
    standard: Option<Price>,
    standard_read: Option<Instant>,
    others: HashMap<Arc<str>, (Option<Price>, Instant)>,
}

impl Prices {
    pub(super) fn new(model: Option<Arc<str>>) -> Self {
        Self { model, standard: None, standard_read: None, others: HashMap::new() }
    }

    /// Reads the standard price when that is due. One that cannot be read stays as it was.
    pub(super) async fn refresh(&mut self, store: &dyn SessionStore) {
        let Some(model) = self.model.clone() else { return };
        if self.standard_read.is_none_or(|at| at.elapsed() >= PRICE_EVERY) {
            self.standard =
                store.price(&model, Timestamp::now()).await.ok().flatten().or(self.standard);
            self.standard_read = Some(Instant::now());
        }
    }

    /// Reads the prices of models that these drafts name and that are not known.
    pub(super) async fn learn(&mut self, store: &dyn SessionStore, drafts: &[Draft]) {
        for model in drafts.iter().filter_map(|draft| draft.facts.notes.model_to_price()) {
            let known = self.others.get(&model);
            if known.is_some_and(|(_, read)| read.elapsed() < PRICE_EVERY) {
                continue;
            }
            let old = known.and_then(|(price, _)| *price);
            let asked = store.price(&model, Timestamp::now());
            let found = tokio::time::timeout(PRICE_LIMIT, asked).await;
            let price = match found {
                Ok(Ok(price)) => price,
                Ok(Err(_)) | Err(_) => old,
            };
            if self.others.len() >= MODELS_MAX {
                self.others.clear();
            }
            self.others.insert(model, (price, Instant::now()));
        }
    }

    /// Returns the model by whose price a request counts, and that price; of a model that a request names itself
    /// it may be unknown.
    pub(super) fn of(&self, named: Option<Arc<str>>) -> (Option<Arc<str>>, Option<Price>) {
        match named {
            Some(model) => {
                let price = self.others.get(&model).and_then(|(price, _)| *price);
                (Some(model), price)
            }
            None => (self.model.clone().filter(|_| self.standard.is_some()), self.standard),
        }
    }
}
