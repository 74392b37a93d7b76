//! Why a tool call was refused, in words that say what to do next.

use serde_json::{Value, json};

use super::store::Table;

/// A call that was not carried out.
#[derive(Debug)]
pub struct Refusal {
    code: &'static str,
    message: String,
    hint: String,
    /// What the database said. For the log only: a client is never shown our internals.
    pub cause: Option<sqlx::Error>,
}

impl Refusal {
    /// Returns one with a code for programs.
    pub fn new(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: hint.into(), cause: None }
    }

    /// Refuses an argument that breaks a rule.
    pub fn invalid(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new("invalid_argument", message, hint)
    }

    /// Refuses a call that lacks an argument.
    pub fn missing(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new("missing_argument", message, hint)
    }

    /// Refuses an id that does not exist.
    pub fn unknown(of: &Table, id: &str) -> Self {
        let (things, thing) = (of.things, of.thing);
        let hint =
            format!("call find_{things} to see the ids, or manage_{thing} with action create");
        Self::new("not_found", format!("there is no {thing} with the id \"{}\"", shown(id)), hint)
    }

    /// Refuses one more of something of which there are already as many as allowed.
    pub fn limit_reached(things: &str, limit: i64) -> Self {
        let hint = format!("delete {things} that are no longer needed, then try again");
        let message = format!("the demo server holds {limit} {things} and takes no more");
        Self::new("limit_reached", message, hint)
    }

    /// Returns the answer that the client reads.
    pub fn to_json(&self) -> Value {
        let Self { code, message, hint, cause: _ } = self;
        json!({ "success": false, "error": { "code": code, "message": message, "hint": hint } })
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(cause: sqlx::Error) -> Self {
        let message = "the demo server could not reach its database, and nothing was changed";
        let hint = "try again; if it fails again, tell the operator of this server";
        Self { cause: Some(cause), ..Self::new("storage_error", message, hint) }
    }
}

/// Returns the start of what a client sent, for a message that quotes it.
pub fn shown(text: &str) -> String {
    const QUOTED_CHARS_MAX: usize = 120;
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
