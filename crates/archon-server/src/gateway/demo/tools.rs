//! The four tools: which there are, and who answers a call.

use jiff::Timestamp;
use rmcp::model::{JsonObject, Tool};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::refusal::{Refusal, shown};
use super::store::Store;
use super::{project_tools, task_tools};

/// Most characters of a description that a list shows; the single project or task has it all.
const LISTED_DESCRIPTION_CHARS_MAX: usize = 1_000;

/// Returns the definitions of all tools, by name.
pub fn definitions() -> Vec<Tool> {
    vec![
        project_tools::find_definition(),
        task_tools::find_definition(),
        project_tools::manage_definition(),
        task_tools::manage_definition(),
    ]
}

/// Carries out one call, and returns the answer. `None` if there is no tool of that name.
pub async fn call(
    store: &Store,
    tool: &str,
    arguments: JsonObject,
    now: Timestamp,
) -> Option<Result<Value, Refusal>> {
    let answer = match tool {
        project_tools::FIND => match parse(tool, arguments) {
            Ok(arguments) => project_tools::find(store, arguments).await,
            Err(refusal) => Err(refusal),
        },
        project_tools::MANAGE => match parse(tool, arguments) {
            Ok(arguments) => project_tools::manage(store, arguments, now).await,
            Err(refusal) => Err(refusal),
        },
        task_tools::FIND => match parse(tool, arguments) {
            Ok(arguments) => task_tools::find(store, arguments).await,
            Err(refusal) => Err(refusal),
        },
        task_tools::MANAGE => match parse(tool, arguments) {
            Ok(arguments) => task_tools::manage(store, arguments, now).await,
            Err(refusal) => Err(refusal),
        },
        _ => return None,
    };
    Some(answer)
}

/// Cuts a description to what a list shows.
pub fn shorten(description: &mut String) {
    if let Some((end, _)) = description.char_indices().nth(LISTED_DESCRIPTION_CHARS_MAX) {
        description.truncate(end);
        description.push('…');
    }
}

fn parse<T: DeserializeOwned>(tool: &str, arguments: JsonObject) -> Result<T, Refusal> {
    serde_json::from_value(Value::Object(arguments)).map_err(|error| {
        // The error may quote the argument, however long that is.
        Refusal::invalid(
            format!("the arguments of {tool} do not fit: {}", shown(&error.to_string())),
            format!("see the inputSchema of {tool} in tools/list"),
        )
    })
}
