//! `GET` and `PUT /api/mcp/pricing`: what models cost.

use std::collections::HashSet;
use std::sync::Arc;

use archon_sessions::session::Timestamp;
use archon_sessions::store::reports::ModelPrice;
use archon_sessions_api::pricing::{NewPricing, Price, Pricing};
use axum::Json as Answer;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::access::Operator;
use super::body::Json;
use super::params::{Date, NoParams};
use super::problem::ApiError;
use crate::server::Overview;

/// Prices set at once; there are fewer models.
const PRICES_MAX: usize = 1000;
/// Characters of a name.
const NAME_CHARS_MAX: usize = 128;
/// Dollars per thousand tokens; a thousand times more than any model costs.
const PRICE_MAX: f64 = 1000.0;
const NOTE: &str = "US dollars per 1,000 tokens; estimates use the latest price of one configured model, \
                    read once a minute";

/// Returns the routes.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, put))
}

/// Lists all prices.
#[utoipa::path(
    get, path = "/api/mcp/pricing", tag = "reports",
    responses((status = 200, body = Pricing, description = "All prices"))
)]
async fn list(
    State(overview): State<Arc<Overview>>,
    _: NoParams,
) -> Result<Answer<Pricing>, ApiError> {
    all(&overview).await
}

/// Adds prices, or replaces those of the same provider, model and day: all of them or none.
#[utoipa::path(
    put, path = "/api/mcp/pricing", tag = "reports", request_body = NewPricing,
    responses((status = 200, body = Pricing, description = "All prices, the new ones included"))
)]
async fn put(
    _: Operator,
    State(overview): State<Arc<Overview>>,
    _: NoParams,
    Json(NewPricing { pricing }): Json<NewPricing>,
) -> Result<Answer<Pricing>, ApiError> {
    if pricing.is_empty() || pricing.len() > PRICES_MAX {
        return Err(ApiError::body(&format!("pricing: holds 1 to {PRICES_MAX} prices")));
    }
    let today = Timestamp::now();
    let mut prices = Vec::with_capacity(pricing.len());
    for (index, price) in pricing.into_iter().enumerate() {
        let wrong = |what: &str| ApiError::body(&format!("pricing[{index}].{what}"));
        prices.push(checked(price, today).map_err(wrong)?);
    }
    // The last of equal ones counts, as if they had come one after the other.
    let mut seen = HashSet::new();
    let mut kept: Vec<ModelPrice> = prices.into_iter().rev().collect();
    kept.retain(|price| {
        let ModelPrice { provider, model, effective_date, .. } = price;
        seen.insert((provider.clone(), model.clone(), effective_date.clone()))
    });
    overview.reports.put_prices(&kept).await.map_err(super::store_failed)?;
    all(&overview).await
}

async fn all(overview: &Overview) -> Result<Answer<Pricing>, ApiError> {
    let prices = overview.reports.prices().await.map_err(super::store_failed)?;
    let pricing: Vec<Price> = prices.into_iter().map(shown).collect();
    Ok(Answer(Pricing { total: pricing.len() as u64, pricing, note: NOTE.to_owned() }))
}

fn shown(price: ModelPrice) -> Price {
    let ModelPrice { provider, model, input_per_1k, output_per_1k, effective_date } = price;
    Price {
        provider,
        model_name: model,
        input_price_per_1k: input_per_1k,
        output_price_per_1k: output_per_1k,
        effective_date: Some(effective_date),
    }
}

/// Returns the price if it can be one, else what is wrong with it.
fn checked(price: Price, today: Timestamp) -> Result<ModelPrice, &'static str> {
    let is_name = |name: &str| {
        let chars = name.chars().count();
        (1..=NAME_CHARS_MAX).contains(&chars) && !name.chars().any(char::is_control)
    };
    if !is_name(&price.provider) {
        return Err("provider: 1 to 128 characters, none of them a control character");
    }
    if !is_name(&price.model_name) {
        return Err("model_name: 1 to 128 characters, none of them a control character");
    }
    let is_price = |dollars: f64| (0.0..=PRICE_MAX).contains(&dollars);
    if !is_price(price.input_price_per_1k) {
        return Err("input_price_per_1k: 0 to 1000 dollars");
    }
    if !is_price(price.output_price_per_1k) {
        return Err("output_price_per_1k: 0 to 1000 dollars");
    }
    let day = match price.effective_date {
        None => today,
        Some(text) => {
            let date = Date::parse(&text).filter(|_| text.len() == 10);
            date.ok_or("effective_date: a day like 2026-01-11")?.start()
        }
    };
    Ok(ModelPrice {
        provider: price.provider,
        model: price.model_name,
        input_per_1k: price.input_price_per_1k,
        output_per_1k: price.output_price_per_1k,
        effective_date: day.to_string()[..10].to_owned(),
    })
}
