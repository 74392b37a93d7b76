//! Who may use the API, and how a browser logs in.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks at everything, changes nothing.
    Viewer,
    /// Also ends sessions, takes their tokens, edits prices, and imports.
    Operator,
}

/// `POST /api/mcp/login`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The API token.
    #[schema(max_length = 1024)]
    pub token: String,
}

/// `GET /api/mcp/me`, and the answer to a login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// What the caller may do; `null` if nobody is logged in and somebody must be.
    pub role: Option<Role>,
    /// The name of the caller's token; `null` without one.
    pub name: Option<String>,
    /// Whether this API requires a token at all.
    pub auth_required: bool,
}

/// `POST /api/mcp/logout`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoggedOut {
    /// Always true: who was not logged in is logged out.
    pub success: bool,
}
