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

use super::access::Operator;
use super::body::Json;
use super::params::{Date, NoParams};
use super::problem::ApiError;
use super::{Api, wire};
use crate::overview::Overview;

/// Prices set at once; there are fewer models.
const PRICES_MAX: usize = 1000;
/// Characters of a name.
const NAME_CHARS_MAX: usize = 128;
/// Dollars per thousand tokens; a thousand times more than any model costs.
const PRICE_MAX: f64 = 1000.0;
const NOTE: &str = "US dollars; estimates use the latest price of one configured model, read once a minute. What a \
                    tool returns is read by the model and counts at the input price; what it is called with was \
                    written by the model and counts at the output price";

/// Returns the routes.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, put))
}

/// Lists all prices.
#[utoipa::path(
    get, path = "/api/mcp/pricing", operation_id = "list_prices", tag = "reports",
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
    put, path = "/api/mcp/pricing", operation_id = "put_prices", tag = "reports", request_body = NewPricing,
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
        let wrong = |what: String| ApiError::body(&format!("pricing[{index}].{what}"));
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
        input_price_per_million: Some(wire::rounded(input_per_1k * 1000.0, 6)),
        output_price_per_million: Some(wire::rounded(output_per_1k * 1000.0, 6)),
        input_price_per_1k: Some(input_per_1k),
        output_price_per_1k: Some(output_per_1k),
        effective_date: Some(effective_date),
    }
}

/// Returns the price if it can be one, else what is wrong with it.
fn checked(price: Price, today: Timestamp) -> Result<ModelPrice, String> {
    let is_name = |name: &str| {
        let chars = name.chars().count();
        (1..=NAME_CHARS_MAX).contains(&chars) && !name.chars().any(char::is_control)
    };
    if !is_name(&price.provider) {
        return Err("provider: 1 to 128 characters, none of them a control character".to_owned());
    }
    if !is_name(&price.model_name) {
        return Err("model_name: 1 to 128 characters, none of them a control character".to_owned());
    }
    let input_per_1k = per_1k(price.input_price_per_million, price.input_price_per_1k)
        .map_err(|wrong| wrong.of("input"))?;
    let output_per_1k = per_1k(price.output_price_per_million, price.output_price_per_1k)
        .map_err(|wrong| wrong.of("output"))?;
    let day = match price.effective_date {
        None => today,
        Some(text) => {
            let date = Date::parse(&text).filter(|_| text.len() == 10);
            date.ok_or("effective_date: a day like 2026-01-11".to_owned())?.start()
        }
    };
    Ok(ModelPrice {
        provider: price.provider,
        model: price.model_name,
        input_per_1k,
        output_per_1k,
        effective_date: day.to_string()[..10].to_owned(),
    })
}

/// Why a price is none.
#[derive(Clone, Copy, Debug, PartialEq)]
enum WrongPrice {
    Missing,
    OutOfRange { unit: &'static str, max: f64 },
}

impl WrongPrice {
    fn of(self, kind: &str) -> String {
        match self {
            Self::Missing => {
                format!("{kind}_price_per_million or {kind}_price_per_1k: one is needed")
            }
            Self::OutOfRange { unit, max } => {
                format!("{kind}_price_per_{unit}: 0 to {max} dollars")
            }
        }
    }
}

/// Returns dollars per thousand tokens, from either unit. Where both are named, the price per million counts, unless the
/// other says the same to more digits.
fn per_1k(per_million: Option<f64>, per_1k: Option<f64>) -> Result<f64, WrongPrice> {
    let bounded = |dollars: Option<f64>, unit, max| match dollars {
        Some(dollars) if !(0.0..=max).contains(&dollars) => {
            Err(WrongPrice::OutOfRange { unit, max })
        }
        dollars => Ok(dollars),
    };
    let per_million = bounded(per_million, "million", PRICE_MAX * 1000.0)?;
    let per_1k = bounded(per_1k, "1k", PRICE_MAX)?;
    match (per_million, per_1k) {
        (None, None) => Err(WrongPrice::Missing),
        (None, Some(price)) => Ok(price),
        // A table keeps six decimals, and answers are rounded.
        (Some(million), Some(thousand)) if (million - thousand * 1000.0).abs() < 1e-5 => {
            Ok(thousand)
        }
        (Some(million), _) => Ok(million / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_can_be_given_in_either_unit() {
        assert_eq!(per_1k(Some(3.0), None), Ok(0.003));
        assert_eq!(per_1k(None, Some(0.003)), Ok(0.003));
        assert_eq!(per_1k(Some(3.0), Some(0.003)), Ok(0.003));
        assert_eq!(per_1k(Some(3.0), Some(3.0)), Ok(0.003));
        assert_eq!(per_1k(None, None), Err(WrongPrice::Missing));
        assert!(per_1k(Some(1e9), None).is_err() && per_1k(Some(f64::NAN), None).is_err());
        assert!(WrongPrice::Missing.of("input").starts_with("input_price_per_million"));
    }

    #[test]
    fn what_is_answered_can_be_sent_back() {
        let price = ModelPrice {
            provider: "p".to_owned(),
            model: "m".to_owned(),
            input_per_1k: 0.00125,
            output_per_1k: 0.123_456,
            effective_date: "2026-01-11".to_owned(),
        };
        assert_eq!(checked(shown(price.clone()), Timestamp::now()), Ok(price));
    }
}
