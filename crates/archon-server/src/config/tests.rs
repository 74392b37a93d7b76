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
    assert!(!format!("{:?}", config.upstreams[0].headers).contains("Bearer"));
}

#[test]
fn mistakes_are_named() {
    let flag = |text: &str| Overrides { upstreams: vec![text.into()], ..Overrides::default() };
    let host = Overrides { host: Some("0.0.0.0".into()), ..Overrides::default() };
    for (toml, overrides, hint) in [
        ("[server]\nmcp_prot = 1", Overrides::default(), "mcp_prot"),
        ("[sessions]\nidle_timeout_seconds = -1", Overrides::default(), "idle_timeout_seconds"),
        ("[upstreams.a]\nurl = \"ftp://x\"", Overrides::default(), "http"),
        ("[upstreams.\"a/b\"]\nurl = \"http://x\"", Overrides::default(), "a/b"),
        ("", flag("nonsense"), "NAME=URL"),
        ("", flag("a=http://user:pw@x/"), "password"),
        ("", host, "allowed_hosts"),
    ] {
        let error = format!("{:#}", load(toml, overrides).unwrap_err());
        assert!(error.contains(hint), "{error}");
    }
}
