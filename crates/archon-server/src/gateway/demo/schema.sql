-- The demo server's tables. `search_text` holds title and text in lower case, because SQLite
-- folds only ASCII letters; searching it finds "Übersicht" by "übersicht".

CREATE TABLE IF NOT EXISTS archon_demo_projects (
    id          TEXT PRIMARY KEY NOT NULL,
    title       TEXT NOT NULL,
    description TEXT NOT NULL,
    github_repo TEXT,
    search_text TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS archon_demo_tasks (
    id          TEXT PRIMARY KEY NOT NULL,
    project_id  TEXT NOT NULL REFERENCES archon_demo_projects (id) ON DELETE CASCADE,
    title       TEXT NOT NULL,
    description TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('todo', 'doing', 'review', 'done')),
    assignee    TEXT NOT NULL,
    task_order  INTEGER NOT NULL,
    feature     TEXT,
    search_text TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL
);

CREATE INDEX IF NOT EXISTS archon_demo_tasks_by_project ON archon_demo_tasks (project_id);

CREATE INDEX IF NOT EXISTS archon_demo_tasks_by_order
    ON archon_demo_tasks (task_order DESC, created_at, id);
