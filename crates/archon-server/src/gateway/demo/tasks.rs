//! Tasks in the store.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::{FromRow, QueryBuilder, Sqlite, SqliteConnection};

use super::checks::Page;
use super::refusal::{Refusal, shown};
use super::store::{Found, Store, new_id, push_words, stored_time};

/// A task, as stored and as shown to clients.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct Task {
    pub id: String,
    pub project_id: String,
    pub title: String,
    pub description: String,
    pub status: Status,
    pub assignee: String,
    pub task_order: i64,
    pub feature: Option<String>,
    pub created_at: String,
    pub updated_at: String,
}

/// How far a task has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
pub enum Status {
    #[default]
    Todo,
    Doing,
    Review,
    Done,
}

impl Status {
    /// Returns the status of that name. `argument` is what the client calls it.
    pub fn parse(argument: &str, name: &str) -> Result<Status, Refusal> {
        match name {
            "todo" => Ok(Status::Todo),
            "doing" => Ok(Status::Doing),
            "review" => Ok(Status::Review),
            "done" => Ok(Status::Done),
            _ => Err(Refusal::invalid(
                format!("{argument} is \"{}\", which is not a status", shown(name)),
                "use todo, doing, review or done",
            )),
        }
    }
}

/// What a new task is made of. An empty `feature` means none.
#[derive(Debug, Default)]
pub struct NewTask {
    pub project_id: String,
    pub title: String,
    pub description: String,
    pub status: Status,
    pub assignee: String,
    pub task_order: i64,
    pub feature: String,
}

/// What an update changes. An empty `feature` removes it.
#[derive(Debug, Default, PartialEq)]
pub struct TaskChanges {
    pub project_id: Option<String>,
    pub title: Option<String>,
    pub description: Option<String>,
    pub status: Option<Status>,
    pub assignee: Option<String>,
    pub task_order: Option<i64>,
    pub feature: Option<String>,
}

/// Which tasks are wanted: those that meet every condition given.
#[derive(Debug, Default)]
pub struct TaskFilter {
    pub words: Vec<String>,
    pub project_ids: Vec<String>,
    pub status: Option<Status>,
    pub assignee: Option<String>,
    pub without_done: bool,
}

impl TaskFilter {
    fn push_conditions(&self, sql: &mut QueryBuilder<Sqlite>) {
        push_words(sql, &self.words);
        for project_id in &self.project_ids {
            sql.push(" AND project_id = ").push_bind(project_id.clone());
        }
        if let Some(status) = self.status {
            sql.push(" AND status = ").push_bind(status);
        }
        if let Some(assignee) = &self.assignee {
            sql.push(" AND assignee = ").push_bind(assignee.clone()).push(" COLLATE NOCASE");
        }
        if self.without_done {
            sql.push(" AND status <> ").push_bind(Status::Done);
        }
    }
}

impl Task {
    pub(super) fn new(new: NewTask, now: Timestamp) -> Task {
        let now = stored_time(now);
        Task {
            id: new_id(),
            project_id: new.project_id,
            title: new.title,
            description: new.description,
            status: new.status,
            assignee: new.assignee,
            task_order: new.task_order,
            feature: Some(new.feature).filter(|feature| !feature.is_empty()),
            created_at: now.clone(),
            updated_at: now,
        }
    }

    fn apply(&mut self, changes: TaskChanges, now: Timestamp) {
        if let Some(project_id) = changes.project_id {
            self.project_id = project_id;
        }
        if let Some(title) = changes.title {
            self.title = title;
        }
        if let Some(description) = changes.description {
            self.description = description;
        }
        if let Some(status) = changes.status {
            self.status = status;
        }
        if let Some(assignee) = changes.assignee {
            self.assignee = assignee;
        }
        if let Some(task_order) = changes.task_order {
            self.task_order = task_order;
        }
        if let Some(feature) = changes.feature {
            self.feature = Some(feature).filter(|feature| !feature.is_empty());
        }
        self.updated_at = stored_time(now);
    }

    fn search_text(&self) -> String {
        let feature = self.feature.as_deref().unwrap_or_default();
        format!("{}\n{}\n{feature}", self.title, self.description).to_lowercase()
    }
}

impl Store {
    /// Returns one task.
    pub async fn task(&self, id: &str) -> Result<Task, Refusal> {
        let mut connection = self.readers.pool().acquire().await?;
        select(&mut connection, id).await?.ok_or_else(|| Refusal::unknown_task(id))
    }

    /// Returns the tasks that meet the filter, most urgent first, then oldest first.
    pub async fn find_tasks(
        &self,
        filter: &TaskFilter,
        page: Page,
    ) -> Result<Found<Task>, Refusal> {
        let mut connection = self.readers.pool().acquire().await?;
        for project_id in &filter.project_ids {
            if !project_exists(&mut connection, project_id).await? {
                return Err(Refusal::unknown_project(project_id));
            }
        }

        let mut count =
            QueryBuilder::<Sqlite>::new("SELECT COUNT(*) FROM archon_demo_tasks WHERE TRUE");
        filter.push_conditions(&mut count);
        let total = count.build_query_scalar().fetch_one(&mut *connection).await?;

        let mut select = QueryBuilder::<Sqlite>::new(
            "SELECT id, project_id, title, description, status, assignee, task_order, feature,
                    created_at, updated_at
             FROM archon_demo_tasks WHERE TRUE",
        );
        filter.push_conditions(&mut select);
        select.push(" ORDER BY task_order DESC, created_at, id LIMIT ").push_bind(page.size);
        select.push(" OFFSET ").push_bind(page.offset());
        let rows = select.build_query_as().fetch_all(&mut *connection).await?;
        Ok(Found { rows, total })
    }

    /// Adds a task to a project.
    pub async fn create_task(&self, new: NewTask, now: Timestamp) -> Result<Task, Refusal> {
        let task = Task::new(new, now);
        let mut tx = self.readers.pool().begin_with("BEGIN IMMEDIATE").await?;
        if !project_exists(&mut tx, &task.project_id).await? {
            return Err(Refusal::unknown_project(&task.project_id));
        }
        if !insert(&mut tx, &task, self.limits.tasks).await? {
            return Err(Refusal::limit_reached("tasks", self.limits.tasks));
        }
        tx.commit().await?;
        Ok(task)
    }

    /// Changes a task; a new `project_id` moves it.
    pub async fn update_task(
        &self,
        id: &str,
        changes: TaskChanges,
        now: Timestamp,
    ) -> Result<Task, Refusal> {
        let mut tx = self.readers.pool().begin_with("BEGIN IMMEDIATE").await?;
        let Some(mut task) = select(&mut tx, id).await? else {
            return Err(Refusal::unknown_task(id));
        };
        task.apply(changes, now);
        if !project_exists(&mut tx, &task.project_id).await? {
            return Err(Refusal::unknown_project(&task.project_id));
        }
        update(&mut tx, &task).await?;
        tx.commit().await?;
        Ok(task)
    }

    /// Deletes a task.
    pub async fn delete_task(&self, id: &str) -> Result<(), Refusal> {
        let done = sqlx::query("DELETE FROM archon_demo_tasks WHERE id = ?")
            .bind(id)
            .execute(&self.readers.pool())
            .await?;
        if done.rows_affected() == 0 {
            return Err(Refusal::unknown_task(id));
        }
        Ok(())
    }
}

async fn project_exists(connection: &mut SqliteConnection, id: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM archon_demo_projects WHERE id = ?)")
        .bind(id)
        .fetch_one(connection)
        .await
}

async fn select(connection: &mut SqliteConnection, id: &str) -> sqlx::Result<Option<Task>> {
    sqlx::query_as(
        "SELECT id, project_id, title, description, status, assignee, task_order, feature,
                created_at, updated_at
         FROM archon_demo_tasks WHERE id = ?",
    )
    .bind(id)
    .fetch_optional(connection)
    .await
}

/// Inserts unless there are already `limit` tasks, and returns whether it did.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    task: &Task,
    limit: i64,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "INSERT INTO archon_demo_tasks
             (id, project_id, title, description, status, assignee, task_order, feature,
              search_text, created_at, updated_at)
         SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
         WHERE (SELECT COUNT(*) FROM archon_demo_tasks) < ?",
    )
    .bind(&task.id)
    .bind(&task.project_id)
    .bind(&task.title)
    .bind(&task.description)
    .bind(task.status)
    .bind(&task.assignee)
    .bind(task.task_order)
    .bind(&task.feature)
    .bind(task.search_text())
    .bind(&task.created_at)
    .bind(&task.updated_at)
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn update(connection: &mut SqliteConnection, task: &Task) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE archon_demo_tasks
         SET project_id = ?, title = ?, description = ?, status = ?, assignee = ?,
             task_order = ?, feature = ?, search_text = ?, updated_at = ?
         WHERE id = ?",
    )
    .bind(&task.project_id)
    .bind(&task.title)
    .bind(&task.description)
    .bind(task.status)
    .bind(&task.assignee)
    .bind(task.task_order)
    .bind(&task.feature)
    .bind(task.search_text())
    .bind(&task.updated_at)
    .bind(&task.id)
    .execute(connection)
    .await?;
    Ok(())
}
