//! The four tools. `tools.json` defines them, and what it says of their arguments is what is checked here.

use jiff::Timestamp;
use rmcp::model::Tool;
use serde_json::{Value, json};

use super::refusal::{Refusal, shown};
use super::store::{Conditions, PROJECTS, Row, Store, TASKS, Table};

/// Most characters of a description that a list shows; the single project or task has it all.
const LISTED_DESCRIPTION_CHARS_MAX: usize = 1_000;
/// Most words in a query. Each one is compared with every row.
const QUERY_WORDS_MAX: usize = 16;
/// Items on a page, unless the client says otherwise.
const PER_PAGE_DEFAULT: i64 = 10;

/// Returns the definitions of all tools, by name.
pub fn definitions() -> Vec<Tool> {
    serde_json::from_str(include_str!("tools.json")).unwrap_or_default()
}

/// Carries out one call, and returns the answer.
pub async fn call(
    store: &Store,
    tool: &Tool,
    arguments: Row,
    now: Timestamp,
) -> Result<Value, Refusal> {
    let table = if tool.name.contains("task") { &TASKS } else { &PROJECTS };
    let arguments = checked(tool, arguments)?;
    let mut connection = store.open(now).await?;
    if tool.name.starts_with("find") {
        return find(table, &mut connection, &arguments).await;
    }
    manage(table, &mut connection, arguments, now).await
}

async fn find(
    table: &Table,
    connection: &mut sqlx::SqliteConnection,
    arguments: &Row,
) -> Result<Value, Refusal> {
    if let Some(id) = text(arguments, table.id) {
        return Ok(json!({ "success": true, table.thing: table.get(connection, id).await? }));
    }
    let number = |name: &str| arguments.get(name).and_then(Value::as_i64);
    let (page, per_page) =
        (number("page").unwrap_or(1), number("per_page").unwrap_or(PER_PAGE_DEFAULT));
    let conditions = conditions(arguments)?;
    for (before, id, _) in &conditions {
        if *before == "project_id = " {
            PROJECTS.get(connection, id.as_str().unwrap_or_default()).await?;
        }
    }
    let (mut rows, total) =
        table.list(connection, &conditions, (per_page, (page - 1) * per_page)).await?;
    rows.iter_mut().for_each(shorten);
    Ok(json!({
        "success": true, table.things: rows, "count": rows.len(), "total": total, "page": page,
        "per_page": per_page,
    }))
}

fn conditions(arguments: &Row) -> Result<Conditions, Refusal> {
    let mut conditions = Conditions::new();
    let query = text(arguments, "query").unwrap_or_default().to_lowercase();
    let words: Vec<&str> = query.split_whitespace().collect();
    if words.len() > QUERY_WORDS_MAX {
        let message = format!("query has {} words, and {QUERY_WORDS_MAX} are allowed", words.len());
        return Err(Refusal::invalid(message, "search for fewer words"));
    }
    // `instr`, unlike `LIKE`, has no wildcards to escape.
    conditions.extend(words.iter().map(|word| ("instr(search_text, ", (*word).into(), ") > 0")));
    if let Some(id) = text(arguments, "project_id") {
        conditions.push(("project_id = ", id.into(), ""));
    }
    if arguments.get("include_closed") == Some(&Value::Bool(false)) {
        conditions.push(("status <> ", "done".into(), ""));
    }
    match (text(arguments, "filter_by"), text(arguments, "filter_value")) {
        (None, None) => {}
        (Some("status"), Some(value)) => {
            if !matches!(value, "todo" | "doing" | "review" | "done") {
                let message =
                    format!("filter_value is \"{}\", which is not a status", shown(value));
                return Err(Refusal::invalid(message, "use todo, doing, review or done"));
            }
            conditions.push(("status = ", value.into(), ""));
        }
        (Some("project"), Some(value)) => conditions.push(("project_id = ", value.into(), "")),
        (Some(_), Some(value)) => conditions.push(("assignee = ", value.into(), " COLLATE NOCASE")),
        (Some(_), None) => {
            let hint = "call again with filter_value, or without filter_by";
            return Err(Refusal::missing("filter_by needs filter_value", hint));
        }
        (None, Some(_)) => {
            let hint = "call again with filter_by: status, project or assignee";
            return Err(Refusal::missing("filter_value needs filter_by", hint));
        }
    }
    Ok(conditions)
}

async fn manage(
    table: &Table,
    connection: &mut sqlx::SqliteConnection,
    mut arguments: Row,
    now: Timestamp,
) -> Result<Value, Refusal> {
    let action = arguments.remove("action");
    let action = action.as_ref().and_then(Value::as_str).unwrap_or_default();
    let thing = table.thing;
    if action == "create" {
        arguments.remove(table.id);
        let needed: &[&str] = if thing == "task" { &["project_id", "title"] } else { &["title"] };
        for name in needed {
            required(&arguments, name, action)?;
        }
        let row = table.create(connection, arguments, now).await?;
        let id = row["id"].clone();
        let message = format!("{thing} created");
        return Ok(json!({ "success": true, thing: row, table.id: id, "message": message }));
    }
    let id = required(&arguments, table.id, action)?.to_owned();
    if action == "delete" {
        let tasks = table.delete(connection, &id).await?;
        let message = format!("{thing} deleted");
        let mut answer = json!({ "success": true, table.id: id, "message": message });
        if thing == "project" {
            answer["tasks_deleted"] = tasks.into();
        }
        return Ok(answer);
    }
    arguments.remove(table.id);
    for name in ["title", "status", "assignee", "project_id"] {
        if arguments.get(name).and_then(Value::as_str) == Some("") {
            let hint = format!("give {name} a text, or leave it out to keep the present one");
            return Err(Refusal::invalid(format!("{name} is blank"), hint));
        }
    }
    if arguments.is_empty() {
        let hint = format!("see the arguments of manage_{thing} in tools/list");
        return Err(Refusal::missing("update needs something to change", hint));
    }
    let row = table.update(connection, &id, arguments, now).await?;
    Ok(json!({ "success": true, thing: row, "message": format!("{thing} updated") }))
}

/// Returns the arguments that a tool knows, texts without surrounding blanks, or refuses those that its schema does not
/// allow.
fn checked(tool: &Tool, mut arguments: Row) -> Result<Row, Refusal> {
    let empty = Row::new();
    let properties = tool.input_schema.get("properties").and_then(Value::as_object);
    let mut known = Row::new();
    for (name, schema) in properties.unwrap_or(&empty) {
        let Some(mut value) = arguments.remove(name).filter(|value| !value.is_null()) else {
            continue;
        };
        if let Value::String(text) = &mut value {
            *text = text.trim().to_owned();
        }
        check(name, schema, &value)?;
        known.insert(name.clone(), value);
    }
    let required = tool.input_schema.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        self::required(&known, name, &tool.name)?;
    }
    Ok(known)
}

fn check(name: &str, schema: &Value, value: &Value) -> Result<(), Refusal> {
    let hint = || format!("see {name} in the inputSchema that tools/list has");
    let refused = || Refusal::invalid(format!("{name} is {}", shown(&value.to_string())), hint());
    let is_of_type = match schema["type"].as_str() {
        Some("integer") => value.is_i64(),
        Some("boolean") => value.is_boolean(),
        _ => value.is_string(),
    };
    let number = value.as_i64().unwrap_or_default();
    let is_in_range = schema["minimum"].as_i64().is_none_or(|min| number >= min)
        && schema["maximum"].as_i64().is_none_or(|max| number <= max);
    if !is_of_type || !is_in_range {
        return Err(refused());
    }
    let Some(text) = value.as_str() else { return Ok(()) };
    if schema["enum"].as_array().is_some_and(|allowed| !text.is_empty() && !allowed.contains(value))
    {
        return Err(refused());
    }
    let (chars, max) = (text.chars().count(), schema["maxLength"].as_u64().unwrap_or(u64::MAX));
    if chars as u64 > max {
        let message = format!("{name} has {chars} characters, and {max} are allowed");
        return Err(Refusal::invalid(message, format!("shorten {name}")));
    }
    // SQLite's text functions stop at a NUL, so what is stored and what is found would differ.
    if text.contains('\0') {
        let message = format!("{name} contains a NUL character");
        return Err(Refusal::invalid(message, format!("remove it from {name}")));
    }
    Ok(())
}

/// Returns a text that is there and not blank.
fn text<'a>(arguments: &'a Row, name: &str) -> Option<&'a str> {
    arguments.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn required<'a>(arguments: &'a Row, name: &str, action: &str) -> Result<&'a str, Refusal> {
    text(arguments, name).ok_or_else(|| {
        let hint = match name {
            "project_id" => "call find_projects to see the ids, then call again with project_id",
            "task_id" => "call find_tasks to see the ids, then call again with task_id",
            name => &format!("call again with {name}"),
        };
        Refusal::missing(format!("{action} needs {name}"), hint)
    })
}

fn shorten(row: &mut Row) {
    let Some(Value::String(description)) = row.get_mut("description") else { return };
    if let Some((end, _)) = description.char_indices().nth(LISTED_DESCRIPTION_CHARS_MAX) {
        description.truncate(end);
        description.push('…');
    }
}
