//! A PostgreSQL server for this process's tests: started once, gone with the process.

#![allow(clippy::unwrap_used)] // A test that has no server has failed.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

use super::PostgresUrl;

/// It ends when its input does, and our end of that ends with us, even where we are killed.
struct Server {
    folder: String,
    _process: Child,
    _input: ChildStdin,
}

static SERVER: OnceLock<Server> = OnceLock::new();

/// Makes an empty database, and returns where it is, with these parameters.
pub(crate) async fn new_database(parameters: &str) -> PostgresUrl {
    let folder = &SERVER.get_or_init(start).folder;
    let name = format!("d{}", uuid::Uuid::new_v4().simple());
    let options = PgConnectOptions::new_without_pgpass().socket(folder).username("archon");
    let mut connection: PgConnection = options.database("postgres").connect().await.unwrap();
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    let host = folder.replace('/', "%2F");
    format!("postgres://archon:secret@{host}/{name}{parameters}").parse().unwrap()
}

fn start() -> Server {
    let script = include_str!("../../../../../tests/postgres/server.sh");
    // PostgreSQL refuses to run as root.
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = Command::new(if is_root { "setpriv" } else { "sh" });
    if is_root {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh"]);
    }
    // A process group of its own: Ctrl-C is for us, and what follows from it for the server.
    let mut process = command
        .args(["-c", script])
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
    let mut folder = String::new();
    BufReader::new(output).read_line(&mut folder).unwrap();
    assert!(!folder.is_empty(), "PostgreSQL did not start: run scripts/install-system --test");
    Server { folder: folder.trim_end().to_owned(), _process: process, _input: input }
}
