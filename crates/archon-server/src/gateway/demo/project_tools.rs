//! The tools `find_projects` and `manage_project`.

use jiff::Timestamp;
use rmcp::model::{Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::checks::{
    DESCRIPTION_CHARS_MAX, ID_CHARS_MAX, PAGE_MAX, PER_PAGE_MAX, Page, QUERY_CHARS_MAX,
    REPO_CHARS_MAX, TITLE_CHARS_MAX, changed_title, given, required, text, words,
};
use super::projects::{NewProject, ProjectChanges};
use super::refusal::Refusal;
use super::store::Store;
use super::tools::shorten;

pub const FIND: &str = "find_projects";
pub const MANAGE: &str = "manage_project";

/// What a client may send to `find_projects`. The doc comments are what it reads about them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct FindProjects {
    /// Returns this one project in full; the other arguments are then ignored.
    #[schemars(length(max = ID_CHARS_MAX))]
    project_id: Option<String>,
    /// Words that must all occur in the title or description, in upper or lower case.
    #[schemars(length(max = QUERY_CHARS_MAX))]
    query: Option<String>,
    /// Which page to return, from 1.
    #[schemars(range(min = 1, max = PAGE_MAX))]
    page: Option<i64>,
    /// How many projects make a page; 10 by default.
    #[schemars(range(min = 1, max = PER_PAGE_MAX))]
    per_page: Option<i64>,
}

/// What a client may send to `manage_project`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct ManageProject {
    /// What to do: create needs title; update and delete need project_id.
    #[schemars(extend("enum" = ["create", "update", "delete"]))]
    action: String,
    /// The project to update or delete.
    #[schemars(length(max = ID_CHARS_MAX))]
    project_id: Option<String>,
    /// The project's title.
    #[schemars(length(max = TITLE_CHARS_MAX))]
    title: Option<String>,
    /// What the project is about.
    #[schemars(length(max = DESCRIPTION_CHARS_MAX))]
    description: Option<String>,
    /// Address of the project's repository; an empty text removes it.
    #[schemars(length(max = REPO_CHARS_MAX))]
    github_repo: Option<String>,
}

/// Returns the definition of `find_projects`.
pub fn find_definition() -> Tool {
    Tool::new(
        FIND,
        "Lists projects, searches them by words in title or description, or returns one by its \
         id. Call it without arguments to see all projects, newest first.",
        Map::new(),
    )
    .with_input_schema::<FindProjects>()
    .with_title("Find projects")
    .with_annotations(
        ToolAnnotations::new()
            .read_only(true)
            .destructive(false)
            .idempotent(true)
            .open_world(false),
    )
}

/// Returns the definition of `manage_project`.
pub fn manage_definition() -> Tool {
    Tool::new(
        MANAGE,
        "Creates, updates or deletes a project. An update changes only what it is given. \
         Deleting a project deletes its tasks too.",
        Map::new(),
    )
    .with_input_schema::<ManageProject>()
    .with_title("Manage a project")
    .with_annotations(
        ToolAnnotations::new()
            .read_only(false)
            .destructive(true)
            .idempotent(false)
            .open_world(false),
    )
}

/// Answers a call of `find_projects`.
pub async fn find(store: &Store, arguments: FindProjects) -> Result<Value, Refusal> {
    if let Some(id) = given("project_id", arguments.project_id, ID_CHARS_MAX)? {
        let project = store.project(&id).await?;
        return Ok(json!({ "success": true, "project": project }));
    }
    let words = words(arguments.query)?;
    let page = Page::parse(arguments.page, arguments.per_page)?;
    let mut found = store.find_projects(&words, page).await?;
    for project in &mut found.rows {
        shorten(&mut project.description);
    }
    Ok(json!({
        "success": true,
        "projects": found.rows,
        "count": found.rows.len(),
        "total": found.total,
        "page": page.number,
        "per_page": page.size,
    }))
}

/// Answers a call of `manage_project`.
pub async fn manage(
    store: &Store,
    arguments: ManageProject,
    now: Timestamp,
) -> Result<Value, Refusal> {
    match arguments.action.as_str() {
        "create" => create(store, arguments, now).await,
        "update" => update(store, arguments, now).await,
        "delete" => delete(store, arguments).await,
        action => Err(Refusal::unknown_action(action)),
    }
}

async fn create(store: &Store, wanted: ManageProject, now: Timestamp) -> Result<Value, Refusal> {
    let new = NewProject {
        title: required("title", wanted.title, TITLE_CHARS_MAX, "create")?,
        description: text("description", wanted.description, DESCRIPTION_CHARS_MAX)?
            .unwrap_or_default(),
        github_repo: text("github_repo", wanted.github_repo, REPO_CHARS_MAX)?.unwrap_or_default(),
    };
    let project = store.create_project(new, now).await?;
    Ok(json!({
        "success": true,
        "project": project,
        "project_id": project.id,
        "message": "project created",
    }))
}

async fn update(store: &Store, wanted: ManageProject, now: Timestamp) -> Result<Value, Refusal> {
    let id = required("project_id", wanted.project_id, ID_CHARS_MAX, "update")?;
    let changes = ProjectChanges {
        title: changed_title(wanted.title)?,
        description: text("description", wanted.description, DESCRIPTION_CHARS_MAX)?,
        github_repo: text("github_repo", wanted.github_repo, REPO_CHARS_MAX)?,
    };
    if changes == ProjectChanges::default() {
        return Err(Refusal::missing(
            "update needs something to change",
            "give at least one of title, description and github_repo",
        ));
    }
    let project = store.update_project(&id, changes, now).await?;
    Ok(json!({ "success": true, "project": project, "message": "project updated" }))
}

async fn delete(store: &Store, wanted: ManageProject) -> Result<Value, Refusal> {
    let id = required("project_id", wanted.project_id, ID_CHARS_MAX, "delete")?;
    let tasks = store.delete_project(&id).await?;
    Ok(json!({
        "success": true,
        "project_id": id,
        "tasks_deleted": tasks,
        "message": "project deleted",
    }))
}
