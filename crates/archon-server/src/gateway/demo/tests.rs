//! Tests of the tools and the store behind them, on a database in memory.

use jiff::{SignedDuration, Timestamp};
use rmcp::model::Tool;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;

use super::store::Store;
use super::tools;

/// A store, and the tools on it as a client sees them.
struct Demo {
    store: Store,
    tools: Vec<Tool>,
    now: Timestamp,
}

impl Demo {
    /// Opens a new database with the samples in it.
    async fn with_samples() -> Demo {
        Demo::on(Store::in_memory().await.unwrap())
    }

    /// Opens a new database and removes the samples.
    async fn empty() -> Demo {
        let demo = Demo::with_samples().await;
        demo.run("DELETE FROM archon_demo_tasks; DELETE FROM archon_demo_projects").await;
        demo
    }

    fn on(store: Store) -> Demo {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        Demo { store, tools: tools::definitions(), now }
    }

    async fn run(&self, sql: &'static str) {
        let mut connection = self.store.open(self.now).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut *connection).await.unwrap();
    }

    /// Calls a tool, and returns its answer, whatever it is.
    async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.now += SignedDuration::from_secs(1);
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        let tool = self.tools.iter().find(|known| known.name == tool).unwrap();
        match tools::call(&self.store, tool, arguments, self.now).await {
            Ok(answer) => answer,
            Err(refusal) => refusal.to_json(),
        }
    }

    /// Calls a tool that must succeed.
    async fn ok(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.call(tool, arguments).await;
        assert_eq!(answer["success"], true, "{answer}");
        answer
    }

    /// Calls a tool that must refuse, and returns code, message and hint.
    async fn refused(&mut self, tool: &str, arguments: Value) -> (String, String, String) {
        let answer = self.call(tool, arguments).await;
        assert_eq!(answer["success"], false, "{answer}");
        let field = |name: &str| answer["error"][name].as_str().unwrap().to_owned();
        assert!(!field("hint").is_empty());
        (field("code"), field("message"), field("hint"))
    }

    async fn project(&mut self, title: &str) -> String {
        let answer = self.ok("manage_project", json!({"action": "create", "title": title})).await;
        text(&answer["project_id"])
    }

    async fn task(&mut self, project_id: &str, title: &str) -> String {
        let task = json!({"action": "create", "project_id": project_id, "title": title});
        text(&self.ok("manage_task", task).await["task_id"])
    }

    /// Returns the titles that a find tool lists.
    async fn titles(&mut self, tool: &str, arguments: Value) -> Vec<String> {
        let answer = self.ok(tool, arguments).await;
        let rows = if tool == "find_tasks" { &answer["tasks"] } else { &answer["projects"] };
        let rows = rows.as_array().unwrap();
        assert_eq!(answer["count"], rows.len());
        rows.iter().map(|row| text(&row["title"])).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_new_database_has_samples_about_authentication() {
    let mut demo = Demo::with_samples().await;

    let query = json!({"query": "authentication"});
    assert_eq!(demo.titles("find_projects", query.clone()).await, ["Customer portal"]);
    assert_eq!(
        demo.titles("find_tasks", query).await,
        ["Add authentication with OpenID Connect", "Reset a forgotten password"]
    );
}

#[tokio::test]
async fn opening_again_adds_no_samples() {
    let mut demo = Demo::with_samples().await;
    demo.project("Mine").await;

    let mut again = Demo::on(demo.store.clone());

    assert_eq!(again.ok("find_projects", json!({})).await["total"], 4);
}

#[tokio::test]
async fn a_project_is_created_changed_and_deleted() {
    let mut demo = Demo::empty().await;

    let created = demo
        .ok(
            "manage_project",
            json!({"action": "create", "title": " Atlas ", "description": "maps",
                   "github_repo": "https://github.com/example/atlas"}),
        )
        .await;
    let id = text(&created["project_id"]);
    assert_eq!(
        created["project"],
        json!({"id": id, "title": "Atlas", "description": "maps",
               "github_repo": "https://github.com/example/atlas",
               "created_at": "2026-03-01T12:00:01.000Z",
               "updated_at": "2026-03-01T12:00:01.000Z"})
    );

    let update = json!({"action": "update", "project_id": id, "title": "Globe", "github_repo": ""});
    let updated = demo.ok("manage_project", update).await;
    let found = demo.ok("find_projects", json!({"project_id": id})).await;
    assert_eq!(found["project"], updated["project"]);
    assert_eq!(
        found["project"],
        json!({"id": id, "title": "Globe", "description": "maps", "github_repo": null,
               "created_at": "2026-03-01T12:00:01.000Z",
               "updated_at": "2026-03-01T12:00:02.000Z"})
    );
    assert_eq!(demo.titles("find_projects", json!({"query": "globe"})).await, ["Globe"]);
    assert!(demo.titles("find_projects", json!({"query": "atlas"})).await.is_empty());

    demo.ok("manage_project", json!({"action": "delete", "project_id": id})).await;
    let (code, ..) = demo.refused("find_projects", json!({"project_id": id})).await;
    assert_eq!(code, "not_found");
}

#[tokio::test]
async fn deleting_a_project_deletes_its_tasks_and_no_others() {
    let mut demo = Demo::empty().await;
    let gone = demo.project("Gone").await;
    let kept = demo.project("Kept").await;
    demo.task(&gone, "one").await;
    demo.task(&gone, "two").await;
    demo.task(&kept, "three").await;

    let delete = json!({"action": "delete", "project_id": gone});
    let answer = demo.ok("manage_project", delete).await;

    assert_eq!(answer["tasks_deleted"], 2);
    assert_eq!(demo.titles("find_tasks", json!({})).await, ["three"]);
}

#[tokio::test]
async fn a_task_is_created_changed_moved_and_deleted() {
    let mut demo = Demo::empty().await;
    let first = demo.project("First").await;
    let second = demo.project("Second").await;

    let create = json!({"action": "create", "project_id": first, "title": "Write it down"});
    let task = demo.ok("manage_task", create).await["task"].clone();
    assert_eq!(task["status"], "todo");
    assert_eq!(task["assignee"], "User");
    assert_eq!(task["task_order"], 0);
    assert_eq!(task["feature"], Value::Null);

    let update = json!({"action": "update", "task_id": task["id"], "status": "review",
                        "assignee": "Ada", "task_order": 7, "feature": "notes",
                        "project_id": second});
    demo.ok("manage_task", update).await;
    let found = demo.ok("find_tasks", json!({"task_id": task["id"]})).await;
    assert_eq!(found["task"]["title"], "Write it down");
    assert_eq!(found["task"]["status"], "review");
    assert_eq!(found["task"]["assignee"], "Ada");
    assert_eq!(found["task"]["task_order"], 7);
    assert_eq!(found["task"]["feature"], "notes");
    assert_eq!(found["task"]["project_id"], json!(second));
    assert_eq!(found["task"]["created_at"], task["created_at"]);
    assert_ne!(found["task"]["updated_at"], task["updated_at"]);

    demo.ok("manage_task", json!({"action": "delete", "task_id": task["id"]})).await;
    let delete = json!({"action": "delete", "task_id": task["id"]});
    assert_eq!(demo.refused("manage_task", delete).await.0, "not_found");
}

#[tokio::test]
async fn a_search_needs_all_words_in_any_case_and_has_no_wildcards() {
    let mut demo = Demo::empty().await;
    demo.project("Übersicht 100% fertig").await;
    demo.project("snake_case").await;

    let mut titles =
        async |query: &str| demo.titles("find_projects", json!({"query": query})).await;
    assert_eq!(titles("übersicht").await, ["Übersicht 100% fertig"]);
    assert_eq!(titles("FERTIG ÜBER").await, ["Übersicht 100% fertig"]);
    assert_eq!(titles("100%").await, ["Übersicht 100% fertig"]);
    assert_eq!(titles("e_c").await, ["snake_case"]);
    assert!(titles("fertig snake").await.is_empty());
    assert!(titles("f%g").await.is_empty());
    assert!(titles("snakexcase").await.is_empty());
    assert!(titles("' OR 1=1 --").await.is_empty());
    assert_eq!(titles("  ").await.len(), 2);
}

#[tokio::test]
async fn tasks_are_filtered_by_status_project_and_assignee() {
    let mut demo = Demo::empty().await;
    let (a, b) = (demo.project("A").await, demo.project("B").await);
    for (project, title, status, who) in
        [(&a, "a1", "todo", "Ada"), (&a, "a2", "done", "Bob"), (&b, "b1", "doing", "Ada")]
    {
        let create = json!({"action": "create", "project_id": project, "title": title,
                            "status": status, "assignee": who});
        demo.ok("manage_task", create).await;
    }

    let mut titles = async |arguments: Value| demo.titles("find_tasks", arguments).await;
    assert_eq!(titles(json!({})).await, ["a1", "a2", "b1"]);
    assert_eq!(titles(json!({"include_closed": false})).await, ["a1", "b1"]);
    assert_eq!(titles(json!({"filter_by": "status", "filter_value": "done"})).await, ["a2"]);
    assert_eq!(titles(json!({"filter_by": "project", "filter_value": b})).await, ["b1"]);
    assert_eq!(titles(json!({"filter_by": "assignee", "filter_value": "ada"})).await, ["a1", "b1"]);
    assert_eq!(titles(json!({"project_id": a, "include_closed": false})).await, ["a1"]);
    let both = json!({"project_id": a, "filter_by": "assignee", "filter_value": "Ada"});
    assert_eq!(titles(both).await, ["a1"]);
}

#[tokio::test]
async fn pages_are_complete_and_do_not_overlap() {
    let mut demo = Demo::empty().await;
    let project = demo.project("P").await;
    for number in 0..25 {
        demo.task(&project, &format!("task {number:02}")).await;
    }

    let mut seen = Vec::new();
    for page in 1..=4 {
        seen.extend(demo.titles("find_tasks", json!({"page": page, "per_page": 7})).await);
    }
    let all: Vec<String> = (0..25).map(|number| format!("task {number:02}")).collect();
    assert_eq!(seen, all);

    let past_the_end = demo.ok("find_tasks", json!({"page": 5, "per_page": 7})).await;
    assert_eq!(past_the_end["count"], 0);
    assert_eq!(past_the_end["total"], 25);
    assert_eq!(demo.ok("find_tasks", json!({})).await["per_page"], 10);
}

#[tokio::test]
async fn urgent_tasks_come_first() {
    let mut demo = Demo::empty().await;
    let project = demo.project("P").await;
    for (title, order) in [("low", 1), ("high", 90), ("middle", 50)] {
        let create = json!({"action": "create", "project_id": project, "title": title,
                            "task_order": order});
        demo.ok("manage_task", create).await;
    }

    assert_eq!(demo.titles("find_tasks", json!({})).await, ["high", "middle", "low"]);
}

#[tokio::test]
async fn a_list_shortens_long_descriptions() {
    let mut demo = Demo::empty().await;
    let long = "ä".repeat(10_000);
    let create = json!({"action": "create", "title": "T", "description": long});
    let id = text(&demo.ok("manage_project", create).await["project_id"]);

    let listed = demo.ok("find_projects", json!({})).await;
    assert_eq!(text(&listed["projects"][0]["description"]).chars().count(), 1_001);
    let whole = demo.ok("find_projects", json!({"project_id": id})).await;
    assert_eq!(whole["project"]["description"], json!(long));
}

#[tokio::test]
async fn refusals_say_what_is_wrong() {
    let mut demo = Demo::with_samples().await;
    let project = demo.project("P").await;
    let task = demo.task(&project, "T").await;
    let cases = [
        ("manage_project", json!({"action": "create"}), "missing_argument", "create needs title"),
        ("manage_project", json!({"action": "create", "title": "  "}), "missing_argument", "title"),
        ("manage_project", json!({"action": "drop"}), "invalid_argument", "\"drop\""),
        ("manage_project", json!({}), "missing_argument", "manage_project needs action"),
        ("manage_project", json!({"action": "update"}), "missing_argument", "project_id"),
        ("manage_project", json!({"action": "delete", "project_id": "x"}), "not_found", "\"x\""),
        (
            "manage_project",
            json!({"action": "update", "project_id": project}),
            "missing_argument",
            "something to change",
        ),
        (
            "manage_project",
            json!({"action": "update", "project_id": project, "title": ""}),
            "invalid_argument",
            "title is blank",
        ),
        (
            "manage_project",
            json!({"action": "create", "title": "x".repeat(201)}),
            "invalid_argument",
            "title has 201 characters, and 200 are allowed",
        ),
        (
            "manage_project",
            json!({"action": "create", "title": "x", "description": "x".repeat(10_001)}),
            "invalid_argument",
            "description has 10001 characters",
        ),
        ("manage_project", json!({"action": "create", "title": "a\0b"}), "invalid_argument", "NUL"),
        ("find_projects", json!({"project_id": "x"}), "not_found", "no project with the id \"x\""),
        ("find_projects", json!({"per_page": 101}), "invalid_argument", "per_page is 101"),
        ("find_projects", json!({"page": 0}), "invalid_argument", "page is 0"),
        ("find_projects", json!({"page": i64::MAX}), "invalid_argument", "page is"),
        ("find_projects", json!({"page": "two"}), "invalid_argument", "\"two\""),
        ("find_projects", json!({"query": "a ".repeat(17)}), "invalid_argument", "17 words"),
        ("find_tasks", json!({"task_id": "x"}), "not_found", "no task with the id \"x\""),
        ("find_tasks", json!({"project_id": "x"}), "not_found", "no project"),
        ("find_tasks", json!({"filter_by": "status"}), "missing_argument", "filter_value"),
        ("find_tasks", json!({"filter_value": "todo"}), "missing_argument", "filter_by"),
        (
            "find_tasks",
            json!({"filter_by": "colour", "filter_value": "red"}),
            "invalid_argument",
            "\"colour\"",
        ),
        (
            "find_tasks",
            json!({"filter_by": "status", "filter_value": "late"}),
            "invalid_argument",
            "filter_value is \"late\"",
        ),
        (
            "manage_task",
            json!({"action": "create", "title": "T"}),
            "missing_argument",
            "project_id",
        ),
        (
            "manage_task",
            json!({"action": "create", "title": "T", "project_id": "x"}),
            "not_found",
            "no project",
        ),
        (
            "manage_task",
            json!({"action": "update", "task_id": task, "project_id": "x"}),
            "not_found",
            "no project",
        ),
        (
            "manage_task",
            json!({"action": "update", "task_id": task, "status": "late"}),
            "invalid_argument",
            "status is \"late\"",
        ),
        (
            "manage_task",
            json!({"action": "update", "task_id": task, "task_order": 101}),
            "invalid_argument",
            "task_order is 101",
        ),
        (
            "manage_task",
            json!({"action": "update", "task_id": "x", "status": "done"}),
            "not_found",
            "no task",
        ),
    ];
    for (tool, arguments, code, part) in cases {
        let refusal = demo.refused(tool, arguments.clone()).await;
        assert_eq!(refusal.0, code, "{tool} {arguments}");
        assert!(refusal.1.contains(part), "{tool} {arguments}: {}", refusal.1);
    }
}

#[tokio::test]
async fn a_refused_update_changes_nothing() {
    let mut demo = Demo::empty().await;
    let project = demo.project("P").await;
    let task = demo.task(&project, "T").await;
    let before = demo.ok("find_tasks", json!({"task_id": task})).await;

    let update = json!({"action": "update", "task_id": task, "title": "U", "project_id": "x"});
    demo.refused("manage_task", update).await;

    assert_eq!(demo.ok("find_tasks", json!({"task_id": task})).await, before);
}

#[tokio::test]
async fn no_more_rows_are_kept_than_the_limits_allow() {
    let mut demo = Demo::empty().await;
    let project = demo.project("one").await;
    demo.run(
        "WITH RECURSIVE numbers (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)
         INSERT INTO archon_demo_projects SELECT n, n, '', NULL, '', '', '' FROM numbers",
    )
    .await;

    let another = json!({"action": "create", "title": "another"});
    let (code, message, _) = demo.refused("manage_project", another.clone()).await;
    assert_eq!((code.as_str(), message.contains("10000 projects")), ("limit_reached", true));

    demo.ok("manage_project", json!({"action": "delete", "project_id": project})).await;
    demo.ok("manage_project", another).await;
}

#[tokio::test]
async fn a_long_argument_is_not_quoted_in_full() {
    let mut demo = Demo::with_samples().await;

    let (_, message, _) = demo.refused("manage_task", json!({"action": "x".repeat(100_000)})).await;
    assert!(message.len() < 300, "{message}");
    let (_, message, _) = demo.refused("find_tasks", json!({"page": "x".repeat(100_000)})).await;
    assert!(message.len() < 300, "{message}");
}

#[tokio::test]
async fn a_lost_database_is_reported_without_our_internals_and_a_new_one_begun() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let mut demo = Demo::on(Store::File(SqliteConnectOptions::new().filename(&path).into()));

    let (code, message, _) = demo.refused("find_tasks", json!({})).await;
    assert_eq!(code, "storage_error");
    assert!(!message.contains("x.db"), "{message}");

    std::fs::write(&path, "").unwrap();
    assert_eq!(demo.ok("find_projects", json!({})).await["total"], 3);
    demo.project("Mine").await;
    assert_eq!(demo.ok("find_projects", json!({})).await["total"], 4);
}

#[test]
fn there_are_four_tools() {
    assert_eq!(tools::definitions().len(), 4);
}
