//! The demo server's two tables. A row is the JSON object that clients see.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, QueryBuilder, Sqlite, SqliteConnection};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::refusal::Refusal;

const TABLES: &str = include_str!("schema.sql");
/// What a new database starts with.
const SAMPLES: &str = include_str!("samples.json");

/// A row, or a part of one.
pub type Row = Map<String, Value>;

/// One of the two tables.
#[derive(Debug)]
pub struct Table {
    /// What is in it, as in `archon_demo_tasks` and in answers.
    pub things: &'static str,
    /// One of them.
    pub thing: &'static str,
    /// The argument that names one.
    pub id: &'static str,
    /// What clients see of a row.
    columns: &'static [&'static str],
    /// What a search looks at.
    searched: &'static [&'static str],
    order: &'static str,
    /// Rows that it holds, so that no client can fill the disk.
    limit: i64,
}

pub static PROJECTS: Table = Table {
    things: "projects",
    thing: "project",
    id: "project_id",
    columns: &["id", "title", "description", "github_repo", "created_at", "updated_at"],
    searched: &["title", "description"],
    order: "created_at DESC, title, id",
    limit: 10_000,
};

pub static TASKS: Table = Table {
    things: "tasks",
    thing: "task",
    id: "task_id",
    columns: &[
        "id",
        "project_id",
        "title",
        "description",
        "status",
        "assignee",
        "task_order",
        "feature",
        "created_at",
        "updated_at",
    ],
    searched: &["title", "description", "feature"],
    order: "task_order DESC, created_at, id",
    limit: 100_000,
};

/// Conditions that rows must meet: SQL before a value, the value, and SQL after it.
pub type Conditions = Vec<(&'static str, Value, &'static str)>;

/// Where projects and tasks are. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Store {
    /// In the gateway's own file. It is opened for each call: operators may remove or replace it.
    File(Box<SqliteConnectOptions>),
    /// In memory, until the process ends.
    Memory(Arc<Mutex<SqliteConnection>>),
}

impl Store {
    /// Returns a store in memory.
    ///
    /// # Errors
    /// If there is no memory for one.
    pub async fn in_memory() -> sqlx::Result<Self> {
        let connection = SqliteConnection::connect("sqlite::memory:").await?;
        Ok(Self::Memory(Arc::new(Mutex::new(connection))))
    }

    /// Connects, and makes the tables where there are none.
    ///
    /// # Errors
    /// If the database cannot be used.
    pub async fn open(&self, now: Timestamp) -> sqlx::Result<Connection> {
        let mut connection = match self {
            Self::File(options) => Connection::Own(options.connect().await?),
            Self::Memory(shared) => Connection::Shared(shared.clone().lock_owned().await),
        };
        let there = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'archon_demo_tasks')";
        let is_there: bool = sqlx::query_scalar(there).fetch_one(&mut *connection).await?;
        if !is_there {
            // Two processes may start together.
            let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
            let is_there: bool = sqlx::query_scalar(there).fetch_one(&mut *tx).await?;
            if !is_there {
                sqlx::raw_sql(TABLES).execute(&mut *tx).await?;
                add_samples(&mut tx, now).await?;
            }
            tx.commit().await?;
        }
        Ok(connection)
    }
}

/// A connection for one call.
pub enum Connection {
    /// Of its own.
    Own(SqliteConnection),
    /// One at a time.
    Shared(OwnedMutexGuard<SqliteConnection>),
}

impl Deref for Connection {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        match self {
            Self::Own(connection) => connection,
            Self::Shared(connection) => connection,
        }
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Own(connection) => connection,
            Self::Shared(connection) => connection,
        }
    }
}

async fn add_samples(connection: &mut SqliteConnection, now: Timestamp) -> sqlx::Result<()> {
    let projects: Vec<Row> = serde_json::from_str(SAMPLES).unwrap_or_default();
    for mut project in projects {
        let tasks = project.remove("tasks");
        let project = PROJECTS.insert(connection, project, now).await?;
        let tasks = tasks.as_ref().and_then(Value::as_array).into_iter().flatten();
        for task in tasks.filter_map(Value::as_object) {
            let mut task = task.clone();
            task.insert("project_id".into(), project["id"].clone());
            TASKS.insert(connection, task, now).await?;
        }
    }
    Ok(())
}

impl Table {
    /// Returns one row.
    pub async fn get(&self, connection: &mut SqliteConnection, id: &str) -> Result<Row, Refusal> {
        let one = vec![("id = ", id.into(), "")];
        let (rows, _) = self.list(connection, &one, (1, 0)).await?;
        rows.into_iter().next().ok_or_else(|| Refusal::unknown(self, id))
    }

    /// Returns the rows of a page (`size`, `offset`) and how many there are on all pages.
    pub async fn list(
        &self,
        connection: &mut SqliteConnection,
        conditions: &Conditions,
        (size, offset): (i64, i64),
    ) -> sqlx::Result<(Vec<Row>, i64)> {
        let pairs: Vec<String> =
            self.columns.iter().map(|name| format!("'{name}', {name}")).collect();
        let mut count = self.query("SELECT count(*)", conditions);
        let mut select =
            self.query(&format!("SELECT json_object({})", pairs.join(", ")), conditions);
        select.push(format_args!(" ORDER BY {} LIMIT {size} OFFSET {offset}", self.order));
        let total = count.build_query_scalar().fetch_one(&mut *connection).await?;
        let rows: Vec<String> = select.build_query_scalar().fetch_all(connection).await?;
        Ok((rows.iter().filter_map(|row| serde_json::from_str(row).ok()).collect(), total))
    }

    /// Adds a row to those that there are, with what it leaves out; returns it whole.
    pub async fn insert(
        &self,
        connection: &mut SqliteConnection,
        mut row: Row,
        now: Timestamp,
    ) -> sqlx::Result<Row> {
        let now = stored_time(now);
        let defaults = json!({ "description": "", "status": "todo", "assignee": "User", "task_order": 0,
            "id": uuid::Uuid::new_v4().to_string(), "created_at": now, "updated_at": now });
        for name in self.columns {
            let given = row.remove(*name).filter(|value| !is_blank(value));
            row.insert((*name).to_owned(), given.unwrap_or_else(|| defaults[*name].clone()));
        }
        let names = self.columns.join(", ");
        let mut sql = QueryBuilder::<Sqlite>::new("INSERT INTO archon_demo_");
        sql.push(format_args!("{} ({names}, search_text) VALUES (", self.things));
        for name in self.columns {
            bind(&mut sql, &row[*name]);
            sql.push(", ");
        }
        sql.push_bind(self.search_text(&row)).push(")");
        sql.build().execute(connection).await?;
        Ok(row)
    }

    /// Adds a row, unless there are as many as there may be.
    pub async fn create(
        &self,
        connection: &mut SqliteConnection,
        row: Row,
        now: Timestamp,
    ) -> Result<Row, Refusal> {
        let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
        check_project(&mut tx, &row).await?;
        let (_, total) = self.list(&mut tx, &Vec::new(), (0, 0)).await?;
        if total >= self.limit {
            return Err(Refusal::limit_reached(self.things, self.limit));
        }
        let row = self.insert(&mut tx, row, now).await?;
        tx.commit().await?;
        Ok(row)
    }

    /// Changes what is given of a row; a blank text removes what may be absent.
    pub async fn update(
        &self,
        connection: &mut SqliteConnection,
        id: &str,
        changes: Row,
        now: Timestamp,
    ) -> Result<Row, Refusal> {
        let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut row = self.get(&mut tx, id).await?;
        check_project(&mut tx, &changes).await?;
        for (name, value) in changes {
            let is_removed = matches!(&*name, "feature" | "github_repo") && is_blank(&value);
            row.insert(name, if is_removed { Value::Null } else { value });
        }
        row.insert("updated_at".into(), stored_time(now).into());
        let mut sql = QueryBuilder::<Sqlite>::new("UPDATE archon_demo_");
        sql.push(format_args!("{} SET search_text = ", self.things));
        sql.push_bind(self.search_text(&row));
        for name in self.columns {
            sql.push(format_args!(", {name} = "));
            bind(&mut sql, &row[*name]);
        }
        sql.push(" WHERE id = ").push_bind(id);
        sql.build().execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(row)
    }

    /// Deletes a row, and a project's tasks with it; returns how many tasks those were.
    pub async fn delete(
        &self,
        connection: &mut SqliteConnection,
        id: &str,
    ) -> Result<u64, Refusal> {
        let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
        // Not left to the foreign key: SQLite enforces those only where the connection asks.
        let tasks = sqlx::query("DELETE FROM archon_demo_tasks WHERE project_id = ?");
        let tasks = tasks.bind(id).execute(&mut *tx).await?.rows_affected();
        let mut sql = QueryBuilder::<Sqlite>::new("DELETE FROM archon_demo_");
        sql.push(self.things).push(" WHERE id = ").push_bind(id);
        if sql.build().execute(&mut *tx).await?.rows_affected() == 0 {
            return Err(Refusal::unknown(self, id));
        }
        tx.commit().await?;
        Ok(tasks)
    }

    fn query(&self, select: &str, conditions: &Conditions) -> QueryBuilder<Sqlite> {
        let mut sql = QueryBuilder::new(select);
        sql.push(" FROM archon_demo_").push(self.things).push(" WHERE TRUE");
        for (before, value, after) in conditions {
            sql.push(" AND ").push(before);
            bind(&mut sql, value);
            sql.push(after);
        }
        sql
    }

    /// SQLite folds only ASCII letters: searching this finds "Übersicht" by "übersicht".
    fn search_text(&self, row: &Row) -> String {
        let text =
            |name: &&str| row.get(*name).and_then(Value::as_str).unwrap_or_default().to_lowercase();
        self.searched.iter().map(text).collect::<Vec<_>>().join("\n")
    }
}

/// Refuses a task of a project that does not exist.
async fn check_project(connection: &mut SqliteConnection, row: &Row) -> Result<(), Refusal> {
    if let Some(id) = row.get("project_id").and_then(Value::as_str) {
        PROJECTS.get(connection, id).await?;
    }
    Ok(())
}

fn bind(sql: &mut QueryBuilder<Sqlite>, value: &Value) {
    match value {
        Value::String(text) => sql.push_bind(text.clone()),
        other => sql.push_bind(other.as_i64()),
    };
}

fn is_blank(value: &Value) -> bool {
    value.as_str().is_some_and(str::is_empty)
}

/// RFC 3339 in UTC, of one length, so that text sorts like time.
fn stored_time(time: Timestamp) -> String {
    format!("{time:.3}")
}
