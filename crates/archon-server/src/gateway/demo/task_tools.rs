//! The tools `find_tasks` and `manage_task`.

use jiff::Timestamp;
use rmcp::model::{Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::checks::{
    DESCRIPTION_CHARS_MAX, ID_CHARS_MAX, LABEL_CHARS_MAX, PAGE_MAX, PER_PAGE_MAX, Page,
    QUERY_CHARS_MAX, TASK_ORDER_MAX, TITLE_CHARS_MAX, changed_title, check_range, given, required,
    text, words,
};
use super::refusal::{Refusal, shown};
use super::store::Store;
use super::tasks::{NewTask, Status, TaskChanges, TaskFilter};
use super::tools::shorten;

pub const FIND: &str = "find_tasks";
pub const MANAGE: &str = "manage_task";

/// Who a task is assigned to if the client does not say.
const ASSIGNEE_DEFAULT: &str = "User";

/// What a client may send to `find_tasks`. The doc comments are what it reads about them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct FindTasks {
    /// Returns this one task in full; the other arguments are then ignored.
    #[schemars(length(max = ID_CHARS_MAX))]
    task_id: Option<String>,
    /// Words that must all occur in the title, description or feature, in upper or lower case.
    #[schemars(length(max = QUERY_CHARS_MAX))]
    query: Option<String>,
    /// What filter_value is compared with.
    #[schemars(extend("enum" = ["status", "project", "assignee", null]))]
    filter_by: Option<String>,
    /// The status (todo, doing, review, done), project id or assignee to filter by.
    #[schemars(length(max = LABEL_CHARS_MAX))]
    filter_value: Option<String>,
    /// Returns only tasks of this project.
    #[schemars(length(max = ID_CHARS_MAX))]
    project_id: Option<String>,
    /// Whether tasks that are done are returned too; true by default.
    include_closed: Option<bool>,
    /// Which page to return, from 1.
    #[schemars(range(min = 1, max = PAGE_MAX))]
    page: Option<i64>,
    /// How many tasks make a page; 10 by default.
    #[schemars(range(min = 1, max = PER_PAGE_MAX))]
    per_page: Option<i64>,
}

/// What a client may send to `manage_task`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct ManageTask {
    /// What to do: create needs project_id and title; update and delete need task_id.
    #[schemars(extend("enum" = ["create", "update", "delete"]))]
    action: String,
    /// The task to update or delete.
    #[schemars(length(max = ID_CHARS_MAX))]
    task_id: Option<String>,
    /// The project to create the task in; in an update, the project to move it to.
    #[schemars(length(max = ID_CHARS_MAX))]
    project_id: Option<String>,
    /// The task's title.
    #[schemars(length(max = TITLE_CHARS_MAX))]
    title: Option<String>,
    /// What is to be done.
    #[schemars(length(max = DESCRIPTION_CHARS_MAX))]
    description: Option<String>,
    /// How far the task has come; todo for a new task by default.
    #[schemars(extend("enum" = ["todo", "doing", "review", "done", null]))]
    status: Option<String>,
    /// Who does it: a person or an agent. "User" for a new task by default.
    #[schemars(length(max = LABEL_CHARS_MAX))]
    assignee: Option<String>,
    /// How urgent it is, from 0 to 100; lists show the highest first.
    #[schemars(range(min = 0, max = TASK_ORDER_MAX))]
    task_order: Option<i64>,
    /// What the task belongs to within its project; an empty text removes it.
    #[schemars(length(max = LABEL_CHARS_MAX))]
    feature: Option<String>,
}

/// Returns the definition of `find_tasks`.
pub fn find_definition() -> Tool {
    Tool::new(
        FIND,
        "Lists tasks, searches them by words, filters them by status, project or assignee, or \
         returns one by its id. Call it without arguments to see all tasks, most urgent first.",
        Map::new(),
    )
    .with_input_schema::<FindTasks>()
    .with_title("Find tasks")
    .with_annotations(
        ToolAnnotations::new()
            .read_only(true)
            .destructive(false)
            .idempotent(true)
            .open_world(false),
    )
}

/// Returns the definition of `manage_task`.
pub fn manage_definition() -> Tool {
    Tool::new(
        MANAGE,
        "Creates, updates or deletes a task. An update changes only what it is given; to move \
         work on, update status from todo to doing, review and done.",
        Map::new(),
    )
    .with_input_schema::<ManageTask>()
    .with_title("Manage a task")
    .with_annotations(
        ToolAnnotations::new()
            .read_only(false)
            .destructive(true)
            .idempotent(false)
            .open_world(false),
    )
}

/// Answers a call of `find_tasks`.
pub async fn find(store: &Store, mut arguments: FindTasks) -> Result<Value, Refusal> {
    if let Some(id) = given("task_id", arguments.task_id.take(), ID_CHARS_MAX)? {
        let task = store.task(&id).await?;
        return Ok(json!({ "success": true, "task": task }));
    }
    let page = Page::parse(arguments.page, arguments.per_page)?;
    let filter = filter(arguments)?;
    let mut found = store.find_tasks(&filter, page).await?;
    for task in &mut found.rows {
        shorten(&mut task.description);
    }
    Ok(json!({
        "success": true,
        "tasks": found.rows,
        "count": found.rows.len(),
        "total": found.total,
        "page": page.number,
        "per_page": page.size,
    }))
}

/// Answers a call of `manage_task`.
pub async fn manage(
    store: &Store,
    arguments: ManageTask,
    now: Timestamp,
) -> Result<Value, Refusal> {
    match arguments.action.as_str() {
        "create" => create(store, arguments, now).await,
        "update" => update(store, arguments, now).await,
        "delete" => delete(store, arguments).await,
        action => Err(Refusal::unknown_action(action)),
    }
}

fn filter(arguments: FindTasks) -> Result<TaskFilter, Refusal> {
    let mut filter = TaskFilter {
        words: words(arguments.query)?,
        without_done: arguments.include_closed == Some(false),
        ..TaskFilter::default()
    };
    filter.project_ids.extend(given("project_id", arguments.project_id, ID_CHARS_MAX)?);

    let by = given("filter_by", arguments.filter_by, LABEL_CHARS_MAX)?;
    let value = given("filter_value", arguments.filter_value, LABEL_CHARS_MAX)?;
    match (by.as_deref(), value) {
        (None, None) => {}
        (Some("status"), Some(value)) => {
            filter.status = Some(Status::parse("filter_value", &value)?);
        }
        (Some("project"), Some(value)) => filter.project_ids.push(value),
        (Some("assignee"), Some(value)) => filter.assignee = Some(value),
        (Some("status" | "project" | "assignee"), None) => {
            let hint = "call again with filter_value, or without filter_by";
            return Err(Refusal::missing("filter_by needs filter_value", hint));
        }
        (None, Some(_)) => {
            let hint = "call again with filter_by: status, project or assignee";
            return Err(Refusal::missing("filter_value needs filter_by", hint));
        }
        (Some(by), _) => {
            let message = format!("tasks cannot be filtered by \"{}\"", shown(by));
            return Err(Refusal::invalid(message, "use status, project or assignee"));
        }
    }
    Ok(filter)
}

async fn create(store: &Store, wanted: ManageTask, now: Timestamp) -> Result<Value, Refusal> {
    let new = NewTask {
        project_id: required("project_id", wanted.project_id, ID_CHARS_MAX, "create")?,
        title: required("title", wanted.title, TITLE_CHARS_MAX, "create")?,
        description: text("description", wanted.description, DESCRIPTION_CHARS_MAX)?
            .unwrap_or_default(),
        status: status(wanted.status)?.unwrap_or_default(),
        assignee: given("assignee", wanted.assignee, LABEL_CHARS_MAX)?
            .unwrap_or_else(|| ASSIGNEE_DEFAULT.to_owned()),
        task_order: task_order(wanted.task_order)?.unwrap_or_default(),
        feature: text("feature", wanted.feature, LABEL_CHARS_MAX)?.unwrap_or_default(),
    };
    let task = store.create_task(new, now).await?;
    Ok(json!({
        "success": true,
        "task": task,
        "task_id": task.id,
        "message": "task created",
    }))
}

async fn update(store: &Store, wanted: ManageTask, now: Timestamp) -> Result<Value, Refusal> {
    let id = required("task_id", wanted.task_id, ID_CHARS_MAX, "update")?;
    let changes = TaskChanges {
        project_id: given("project_id", wanted.project_id, ID_CHARS_MAX)?,
        title: changed_title(wanted.title)?,
        description: text("description", wanted.description, DESCRIPTION_CHARS_MAX)?,
        status: status(wanted.status)?,
        assignee: given("assignee", wanted.assignee, LABEL_CHARS_MAX)?,
        task_order: task_order(wanted.task_order)?,
        feature: text("feature", wanted.feature, LABEL_CHARS_MAX)?,
    };
    if changes == TaskChanges::default() {
        return Err(Refusal::missing(
            "update needs something to change",
            "give at least one of title, description, status, assignee, task_order, feature and \
             project_id",
        ));
    }
    let task = store.update_task(&id, changes, now).await?;
    Ok(json!({ "success": true, "task": task, "message": "task updated" }))
}

async fn delete(store: &Store, wanted: ManageTask) -> Result<Value, Refusal> {
    let id = required("task_id", wanted.task_id, ID_CHARS_MAX, "delete")?;
    store.delete_task(&id).await?;
    Ok(json!({ "success": true, "task_id": id, "message": "task deleted" }))
}

fn status(value: Option<String>) -> Result<Option<Status>, Refusal> {
    given("status", value, LABEL_CHARS_MAX)?.map(|name| Status::parse("status", &name)).transpose()
}

fn task_order(value: Option<i64>) -> Result<Option<i64>, Refusal> {
    if let Some(value) = value {
        check_range("task_order", value, 0, TASK_ORDER_MAX)?;
    }
    Ok(value)
}
