//! Errors, all in one form.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What went wrong and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What went wrong, for people.
    pub detail: String,
    /// What went wrong, for programs: `session_not_found`, for example.
    pub code: String,
    /// What to do next.
    pub hint: String,
}
