//! What the configuration takes and what it refuses.

use super::*;

fn load(toml: &str, overrides: Overrides) -> anyhow::Result<Config> {
    Config::build(toml::from_str(toml)?, overrides)
}

#[test]
fn an_empty_file_is_the_documented_default() {
    let config = load("", Overrides::default()).unwrap();
    assert_eq!(
        (config.host.as_str(), config.mcp_port, config.server_port),
        ("127.0.0.1", 8051, 8181)
    );
    assert_eq!(config.database, Database::Sqlite("data/archon.db".into()));
    assert_eq!(config.sessions.idle_timeout, Duration::from_secs(300));
    assert_eq!(config.limits.body_bytes_max, 4 * 1024 * 1024);
    assert!(config.inject_tools && config.upstreams.is_empty());
}

#[test]
fn flags_win_over_the_file() {
    let file = r#"
        [server]
        mcp_port = 1
        server_port = 2
        [upstreams.a]
        url = "http://a.example/mcp"
    "#;
    let overrides = Overrides {
        mcp_port: Some(7),
        upstreams: vec!["b=https://b.example:8443/x".into()],
        db: Some("memory".into()),
        ..Overrides::default()
    };
    let config = load(file, overrides).unwrap();
    assert_eq!((config.mcp_port, config.server_port), (7, 2));
    assert_eq!(config.upstreams[0].name, "b");
    assert_eq!(config.upstreams.len(), 1);
    assert_eq!(config.database, Database::Memory);
}

#[test]
fn a_database_server_is_shown_without_its_password() {
    let file = r#"
        [store]
        database = "postgresql://me:secret@db.example/archon?pgbouncer=true"
    "#;
    let config = load(file, Overrides::default()).unwrap();
    assert!(matches!(config.database, Database::Postgres(_)));
    assert_eq!(config.database.to_string(), "PostgreSQL, db.example:5432/archon");
    assert!(!format!("{config:?}").contains("secret"));
}

#[test]
fn the_default_upstream_comes_first() {
    let file = r#"
        [upstreams.a]
        url = "http://a.example/mcp"
        [upstreams.b]
        url = "http://b.example/mcp"
        default = true
        headers = { Authorization = "Bearer x" }
    "#;
    let config = load(file, Overrides::default()).unwrap();
    assert_eq!(config.upstreams[0].name, "b");
    assert!(matches!(config.upstreams[0].reached, Reached::Http(_)));
    assert!(!format!("{:?}", config.upstreams).contains("Bearer"));
}

#[test]
fn a_command_can_be_an_upstream() {
    let stdio = |config: &Config| match &config.upstreams[0].reached {
        Reached::Stdio(stdio) => stdio.clone(),
        Reached::Http(_) => panic!("it is no URL"),
    };
    let flag = r#"a=sh -c "echo a,b" --url http://x"#;
    let overrides = Overrides { upstreams: vec![flag.into()], ..Overrides::default() };
    let of_flag = stdio(&load("", overrides).unwrap());
    assert_eq!(of_flag.command, ["sh", "-c", "echo a,b", "--url", "http://x"]);
    assert!(!of_flag.shared);

    let file = r#"
        [upstreams.a]
        command = ["npx", "-y", "x"]
        env = { KEY = "secret" }
        cwd = "/"
        shared = true
        idle_shutdown_seconds = 7
    "#;
    let config = load(file, Overrides::default()).unwrap();
    let of_file = stdio(&config);
    assert_eq!(of_file.command, ["npx", "-y", "x"]);
    assert!(of_file.shared && of_file.idle_shutdown == Duration::from_secs(7));
    assert!(!format!("{config:?}").contains("secret"));
    let line = load("[upstreams.a]\ncommand = \"npx -y 'a b'\"", Overrides::default()).unwrap();
    assert_eq!(stdio(&line).command, ["npx", "-y", "a b"]);
}

#[test]
fn the_variable_holds_a_line_for_each_command() {
    let split = upstream::split_variable;
    assert_eq!(split("a=http://x,b=https://y"), ["a=http://x", "b=https://y"]);
    assert_eq!(split("a=x 1,2\n\n b=http://y \n"), ["a=x 1,2", "b=http://y"]);
    assert!(split("").is_empty());
}

#[test]
fn mistakes_are_named() {
    let flag = |text: &str| Overrides { upstreams: vec![text.into()], ..Overrides::default() };
    let database = |text: &str| Overrides { db: Some(text.into()), ..Overrides::default() };
    let host = Overrides { host: Some("0.0.0.0".into()), ..Overrides::default() };
    for (toml, overrides, hint) in [
        ("[server]\nmcp_prot = 1", Overrides::default(), "mcp_prot"),
        ("[sessions]\nidle_timeout_seconds = -1", Overrides::default(), "idle_timeout_seconds"),
        ("[upstreams.a]\nurl = \"ftp://x\"", Overrides::default(), "http"),
        ("[upstreams.\"a/b\"]\nurl = \"http://x\"", Overrides::default(), "a/b"),
        ("", flag("nonsense"), "NAME=URL"),
        ("", flag("a=http://user:pw@x/"), "password"),
        ("", flag("a=ftp://x/"), "http"),
        ("", flag("a="), "empty"),
        ("", flag("a=sh -c 'x"), "quote"),
        ("[upstreams.a]\nurl = \"http://x\"\ncommand = \"x\"", Overrides::default(), "exclude"),
        ("[upstreams.a]\ndefault = true", Overrides::default(), "command"),
        ("[upstreams.a]\ncommand = []", Overrides::default(), "empty"),
        ("[upstreams.a]\ncommand = \"x\"\nheaders = {}", Overrides::default(), "headers"),
        ("[upstreams.a]\nurl = \"http://x\"\nshared = true", Overrides::default(), "shared"),
        ("[upstreams.a]\ncommand = \"x\"\ncwd = \"/no/such\"", Overrides::default(), "cwd"),
        ("[upstreams.a]\ncommand = \"x\"\nchildren_max = 0", Overrides::default(), "positive"),
        ("", host, "allowed_hosts"),
        ("", database("postgres://me:secret@h:x/d"), "URL"),
        ("[store]\ndatabase = \"mysql://me:secret@h/d\"", Overrides::default(), "PostgreSQL"),
    ] {
        let error = format!("{:#}", load(toml, overrides).unwrap_err());
        assert!(error.contains(hint) && !error.contains("secret"), "{error}");
    }
}
