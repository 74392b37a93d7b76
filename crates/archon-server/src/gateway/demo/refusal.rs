//! Why a tool call was refused, in words that say what to do next.

use serde_json::{Value, json};

/// A call that was not carried out.
#[derive(Debug)]
pub struct Refusal {
    code: &'static str,
    message: String,
    hint: String,
    /// What the database said. For the log only: a client is never shown our internals.
    cause: Option<sqlx::Error>,
}

impl Refusal {
    /// Refuses an argument that breaks a rule.
    pub fn invalid(message: impl Into<String>, hint: impl Into<String>) -> Refusal {
        Refusal::new("invalid_argument", message, hint)
    }

    /// Refuses a call that lacks an argument.
    pub fn missing(message: impl Into<String>, hint: impl Into<String>) -> Refusal {
        Refusal::new("missing_argument", message, hint)
    }

    /// Refuses an action that the tool does not have.
    pub fn unknown_action(action: &str) -> Refusal {
        Refusal::new(
            "invalid_action",
            format!("there is no action \"{}\"", shown(action)),
            "use create, update or delete",
        )
    }

    /// Refuses the id of a project that does not exist.
    pub fn unknown_project(id: &str) -> Refusal {
        Refusal::new(
            "not_found",
            format!("there is no project with the id \"{}\"", shown(id)),
            "call find_projects to see the ids, or manage_project with action create",
        )
    }

    /// Refuses the id of a task that does not exist.
    pub fn unknown_task(id: &str) -> Refusal {
        Refusal::new(
            "not_found",
            format!("there is no task with the id \"{}\"", shown(id)),
            "call find_tasks to see the ids, or manage_task with action create",
        )
    }

    /// Refuses one more of something of which there are already as many as allowed.
    pub fn limit_reached(things: &str, limit: i64) -> Refusal {
        Refusal::new(
            "limit_reached",
            format!("the demo server holds {limit} {things} and takes no more"),
            format!("delete {things} that are no longer needed, then try again"),
        )
    }

    /// Returns the database's error, if that was the reason.
    pub fn cause(&self) -> Option<&sqlx::Error> {
        self.cause.as_ref()
    }

    /// Returns the answer that the client reads.
    pub fn to_json(&self) -> Value {
        let Refusal { code, message, hint, cause: _ } = self;
        json!({
            "success": false,
            "error": { "code": code, "message": message, "hint": hint },
        })
    }

    fn new(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into(), hint: hint.into(), cause: None }
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(cause: sqlx::Error) -> Refusal {
        let mut refusal = Refusal::new(
            "storage_error",
            "the demo server could not reach its database, and nothing was changed",
            "try again; if it fails again, tell the operator of this server",
        );
        refusal.cause = Some(cause);
        refusal
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
