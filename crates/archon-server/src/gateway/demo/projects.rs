//! Projects in the store.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::{FromRow, QueryBuilder, Sqlite, SqliteConnection};

use super::checks::Page;
use super::refusal::Refusal;
use super::store::{Found, Store, new_id, push_words, stored_time};

/// A project, as stored and as shown to clients.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct Project {
    pub id: String,
    pub title: String,
    pub description: String,
    pub github_repo: Option<String>,
    pub created_at: String,
    pub updated_at: String,
}

/// What a new project is made of. An empty `github_repo` means none.
#[derive(Debug, Default)]
pub struct NewProject {
    pub title: String,
    pub description: String,
    pub github_repo: String,
}

/// What an update changes. An empty `github_repo` removes it.
#[derive(Debug, Default, PartialEq)]
pub struct ProjectChanges {
    pub title: Option<String>,
    pub description: Option<String>,
    pub github_repo: Option<String>,
}

impl Project {
    pub(super) fn new(new: NewProject, now: Timestamp) -> Project {
        let now = stored_time(now);
        Project {
            id: new_id(),
            title: new.title,
            description: new.description,
            github_repo: Some(new.github_repo).filter(|repo| !repo.is_empty()),
            created_at: now.clone(),
            updated_at: now,
        }
    }

    fn apply(&mut self, changes: ProjectChanges, now: Timestamp) {
        if let Some(title) = changes.title {
            self.title = title;
        }
        if let Some(description) = changes.description {
            self.description = description;
        }
        if let Some(github_repo) = changes.github_repo {
            self.github_repo = Some(github_repo).filter(|repo| !repo.is_empty());
        }
        self.updated_at = stored_time(now);
    }

    fn search_text(&self) -> String {
        format!("{}\n{}", self.title, self.description).to_lowercase()
    }
}

impl Store {
    /// Returns one project.
    pub async fn project(&self, id: &str) -> Result<Project, Refusal> {
        let mut connection = self.readers.pool().acquire().await?;
        select(&mut connection, id).await?.ok_or_else(|| Refusal::unknown_project(id))
    }

    /// Returns the projects that contain all `words`, newest first.
    pub async fn find_projects(
        &self,
        words: &[String],
        page: Page,
    ) -> Result<Found<Project>, Refusal> {
        let mut count =
            QueryBuilder::<Sqlite>::new("SELECT COUNT(*) FROM archon_demo_projects WHERE TRUE");
        push_words(&mut count, words);
        let total = count.build_query_scalar().fetch_one(&self.readers.pool()).await?;

        let mut select = QueryBuilder::<Sqlite>::new(
            "SELECT id, title, description, github_repo, created_at, updated_at
             FROM archon_demo_projects WHERE TRUE",
        );
        push_words(&mut select, words);
        select.push(" ORDER BY created_at DESC, title, id LIMIT ").push_bind(page.size);
        select.push(" OFFSET ").push_bind(page.offset());
        let rows = select.build_query_as().fetch_all(&self.readers.pool()).await?;
        Ok(Found { rows, total })
    }

    /// Adds a project.
    pub async fn create_project(
        &self,
        new: NewProject,
        now: Timestamp,
    ) -> Result<Project, Refusal> {
        let project = Project::new(new, now);
        let mut connection = self.readers.pool().acquire().await?;
        if !insert(&mut connection, &project, self.limits.projects).await? {
            return Err(Refusal::limit_reached("projects", self.limits.projects));
        }
        Ok(project)
    }

    /// Changes a project.
    pub async fn update_project(
        &self,
        id: &str,
        changes: ProjectChanges,
        now: Timestamp,
    ) -> Result<Project, Refusal> {
        let mut tx = self.readers.pool().begin_with("BEGIN IMMEDIATE").await?;
        let Some(mut project) = select(&mut tx, id).await? else {
            return Err(Refusal::unknown_project(id));
        };
        project.apply(changes, now);
        sqlx::query(
            "UPDATE archon_demo_projects
             SET title = ?, description = ?, github_repo = ?, search_text = ?, updated_at = ?
             WHERE id = ?",
        )
        .bind(&project.title)
        .bind(&project.description)
        .bind(&project.github_repo)
        .bind(project.search_text())
        .bind(&project.updated_at)
        .bind(&project.id)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(project)
    }

    /// Deletes a project with its tasks, and returns how many tasks those were.
    pub async fn delete_project(&self, id: &str) -> Result<u64, Refusal> {
        let mut tx = self.readers.pool().begin_with("BEGIN IMMEDIATE").await?;
        // Not left to the foreign key: SQLite enforces those only where the connection asks.
        let tasks = sqlx::query("DELETE FROM archon_demo_tasks WHERE project_id = ?")
            .bind(id)
            .execute(&mut *tx)
            .await?
            .rows_affected();
        let projects = sqlx::query("DELETE FROM archon_demo_projects WHERE id = ?")
            .bind(id)
            .execute(&mut *tx)
            .await?
            .rows_affected();
        if projects == 0 {
            return Err(Refusal::unknown_project(id));
        }
        tx.commit().await?;
        Ok(tasks)
    }
}

async fn select(connection: &mut SqliteConnection, id: &str) -> sqlx::Result<Option<Project>> {
    sqlx::query_as(
        "SELECT id, title, description, github_repo, created_at, updated_at
         FROM archon_demo_projects WHERE id = ?",
    )
    .bind(id)
    .fetch_optional(connection)
    .await
}

/// Inserts unless there are already `limit` projects, and returns whether it did. One statement,
/// so that two calls at once cannot both take the last place.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    project: &Project,
    limit: i64,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "INSERT INTO archon_demo_projects
             (id, title, description, github_repo, search_text, created_at, updated_at)
         SELECT ?, ?, ?, ?, ?, ?, ?
         WHERE (SELECT COUNT(*) FROM archon_demo_projects) < ?",
    )
    .bind(&project.id)
    .bind(&project.title)
    .bind(&project.description)
    .bind(&project.github_repo)
    .bind(project.search_text())
    .bind(&project.created_at)
    .bind(&project.updated_at)
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
