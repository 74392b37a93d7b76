//! The sample projects and tasks that a new database starts with.

use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::projects::{self, NewProject, Project};
use super::tasks::{self, NewTask, Status, Task};

struct SampleProject {
    title: &'static str,
    description: &'static str,
    tasks: &'static [SampleTask],
}

struct SampleTask {
    title: &'static str,
    description: &'static str,
    status: Status,
    task_order: i64,
    feature: &'static str,
}

/// Who the samples are assigned to, as a new task is unless the client says otherwise.
const ASSIGNEE: &str = "User";

const SAMPLES: &[SampleProject] = &[
    SampleProject {
        title: "Customer portal",
        description: "Where customers see their orders and invoices. Needs authentication, \
                      a dashboard and an export.",
        tasks: &[
            SampleTask {
                title: "Add authentication with OpenID Connect",
                description: "Let customers sign in with their company account. Keep a session \
                              for eight hours, then ask again.",
                status: Status::Doing,
                task_order: 90,
                feature: "authentication",
            },
            SampleTask {
                title: "Reset a forgotten password",
                description: "Send a link by mail that works once, for an hour.",
                status: Status::Todo,
                task_order: 70,
                feature: "authentication",
            },
            SampleTask {
                title: "Export invoices as CSV",
                description: "One row for each invoice, amounts in the invoice's currency.",
                status: Status::Review,
                task_order: 40,
                feature: "invoices",
            },
        ],
    },
    SampleProject {
        title: "Search service",
        description: "Full text search over the product catalogue, answering in under 100 ms.",
        tasks: &[
            SampleTask {
                title: "Measure the present response times",
                description: "Percentiles for the hundred most frequent queries.",
                status: Status::Done,
                task_order: 80,
                feature: "performance",
            },
            SampleTask {
                title: "Index product descriptions",
                description: "Rebuild at night; update single products within a minute.",
                status: Status::Todo,
                task_order: 60,
                feature: "indexing",
            },
        ],
    },
    SampleProject {
        title: "Website relaunch",
        description: "New design, same addresses: no link may break.",
        tasks: &[SampleTask {
            title: "List every address that is linked from outside",
            description: "From the access log of the last twelve months.",
            status: Status::Todo,
            task_order: 50,
            feature: "",
        }],
    },
];

/// Inserts the samples.
pub async fn insert(connection: &mut SqliteConnection, now: Timestamp) -> sqlx::Result<()> {
    for sample in SAMPLES {
        let project = Project::new(
            NewProject {
                title: sample.title.to_owned(),
                description: sample.description.to_owned(),
                github_repo: String::new(),
            },
            now,
        );
        projects::insert(connection, &project, i64::MAX).await?;
        for task in sample.tasks {
            let task = Task::new(
                NewTask {
                    project_id: project.id.clone(),
                    title: task.title.to_owned(),
                    description: task.description.to_owned(),
                    status: task.status,
                    assignee: ASSIGNEE.to_owned(),
                    task_order: task.task_order,
                    feature: task.feature.to_owned(),
                },
                now,
            );
            tasks::insert(connection, &task, i64::MAX).await?;
        }
    }
    Ok(())
}
