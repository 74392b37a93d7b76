//! `GET` and `PUT /api/mcp/pricing`: what models cost.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// All prices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pricing {
    /// Each.
    pub pricing: Vec<Price>,
    /// How many.
    pub total: u64,
    /// What they are for.
    pub note: String,
}

/// The price of a model from a day on: a row of `archon_llm_pricing`. Each price can be given per million tokens or per
/// thousand; answers have both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Who sells it.
    #[schema(min_length = 1, max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]+$")]
    pub provider: String,
    /// The model.
    #[schema(min_length = 1, max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]+$")]
    pub model_name: String,
    /// Dollars per million tokens that the model reads: of what tools return.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1000000)]
    pub input_price_per_million: Option<f64>,
    /// Dollars per million tokens that the model writes: of what tools are called with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1000000)]
    pub output_price_per_million: Option<f64>,
    /// The input price per thousand tokens; ignored where there is one per million.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1000)]
    pub input_price_per_1k: Option<f64>,
    /// The output price per thousand tokens; ignored where there is one per million.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1000)]
    pub output_price_per_1k: Option<f64>,
    /// From this day on; today if left out.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Date)]
    pub effective_date: Option<String>,
}

/// `PUT /api/mcp/pricing`: each price is added, or replaces that of the same model and day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPricing {
    /// Prices to add or replace.
    #[schema(min_items = 1, max_items = 1000)]
    pub pricing: Vec<Price>,
}
