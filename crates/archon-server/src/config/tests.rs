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
fn the_environment_wins_over_the_file_for_tokens_and_its_secret_is_not_shown() {
    let file = "[sessions]\nreconnect_token_minutes = 3\nreconnects_per_minute = 7";
    let variables = |secret: Option<&str>, expiry: Option<&str>| Overrides {
        tokens: TokenVariables { secret: secret.map(Into::into), expiry: expiry.map(Into::into) },
        ..Overrides::default()
    };
    let config = load(file, variables(None, None)).unwrap();
    let reconnect = &config.sessions.reconnect;
    assert!(reconnect.key.is_none());
    assert_eq!(reconnect.token_lifetime, Duration::from_secs(180));
    assert_eq!((reconnect.rate.per_token, reconnect.rate.per_address), (7, 60));
    let secret = "a secret that is long enough";
    let overrides = variables(Some(secret), Some("0.5"));
    assert!(!format!("{overrides:?}").contains(secret));
    let config = load(file, overrides).unwrap();
    assert!(config.sessions.reconnect.key.is_some() && !format!("{config:?}").contains(secret));
    assert_eq!(config.sessions.reconnect.token_lifetime, Duration::from_secs(30));
    for (secret, expiry, expected) in [
        (Some("too short"), None, "MCP_SESSION_SECRET must have 16"),
        (None, Some("soon"), "MCP_RECONNECT_TOKEN_EXPIRY is a number of minutes"),
        (None, Some("0"), "MCP_RECONNECT_TOKEN_EXPIRY"),
        (None, Some("-1"), "MCP_RECONNECT_TOKEN_EXPIRY"),
    ] {
        let refusal = load(file, variables(secret, expiry)).unwrap_err().to_string();
        assert!(refusal.contains(expected) && !refusal.contains("too short"), "{refusal}");
    }
}

#[test]
fn a_nodes_name_can_be_told_from_its_processes() {
    let node = |toml: &str| load(toml, Overrides::default()).map(|config| config.node);
    assert_eq!(node("").unwrap(), None);
    assert_eq!(node("[node]\nname = \"a\"").unwrap().as_deref(), Some("a"));
    assert!(node("[node]\nname = \"a#1\"").is_err());
    assert!(node("[node]\nname = \"\"").is_err());
}

#[test]
fn what_is_kept_for_ever_by_default_can_be_limited() {
    let limits = |toml: &str| {
        let config = load(toml, Overrides::default()).unwrap();
        (config.sessions.retention, config.sessions.absolute_timeout)
    };
    assert_eq!(limits(""), (None, None));
    let both = "[store]\nretention_days = 2\n[sessions]\nabsolute_timeout_seconds = 60";
    let (days, minute) = (Duration::from_secs(2 * 86_400), Duration::from_secs(60));
    assert_eq!(limits(both), (Some(days), Some(minute)));
    assert!(load("[store]\nretention_days = 0", Overrides::default()).is_err());
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
fn a_collector_is_named_by_its_address() {
    let load = |address: &str| {
        load(&format!("[telemetry]\notlp_endpoint = {address:?}"), Overrides::default())
    };
    let good = load("https://collector.example:4318").unwrap();
    assert_eq!(good.telemetry.otlp_endpoint.as_deref(), Some("https://collector.example:4318"));
    for bad in ["collector.example:4318", "grpc://collector.example", "", "http://"] {
        assert!(load(bad).unwrap_err().to_string().contains("otlp_endpoint"), "{bad}");
    }
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
fn without_a_mark_the_first_upstream_of_the_file_or_of_the_flags_is_the_default() {
    let names = |config: Config| -> Vec<String> {
        config.upstreams.into_iter().map(|upstream| upstream.name).collect()
    };
    let upstream = |name: &str| format!("[upstreams.{name}]\nurl = \"http://x.example/mcp\"\n");
    let file = upstream("zebra") + &upstream("ant") + &upstream("mole");
    let config = load(&file, Overrides::default()).unwrap();
    assert!(!config.upstreams[0].is_marked_default);
    assert_eq!(names(config), ["zebra", "ant", "mole"]);
    let file = file + "default = true\n";
    let config = load(&file, Overrides::default()).unwrap();
    assert!(config.upstreams[0].is_marked_default);
    assert_eq!(names(config), ["mole", "zebra", "ant"]);
    let flags = ["y=http://y.example/mcp", "b=http://b.example/mcp"].map(str::to_owned);
    let overrides = Overrides { upstreams: flags.to_vec(), ..Overrides::default() };
    assert_eq!(names(load(&file, overrides).unwrap()), ["y", "b"]);
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

/// What listening elsewhere than on loopback needs.
fn api_token() -> String {
    let hash = "0".repeat(64);
    format!("[[api.tokens]]\nname = \"tv\"\nrole = \"viewer\"\nsha256 = \"{hash}\"\n")
}

#[test]
fn an_issuer_or_a_key_makes_authentication_required() {
    let auth = |toml: &str| load(toml, Overrides::default()).unwrap().auth;
    assert!(auth("").is_none() && auth("[auth]\nrequired = false").is_none());
    let issuer = auth("[auth]\nissuer = \"https://i.example/\"").unwrap();
    assert!(issuer.is_required && issuer.api_keys.is_empty());
    assert_eq!(issuer.issuer.unwrap().name, "https://i.example/", "to the letter");
    let digits = "0123456789abcdefABCDEF0123456789".repeat(2);
    let key = format!("[[auth.api_keys]]\nname = \"a\"\nsha256 = \"{digits}\"\n");
    let keys = auth(&format!("[auth]\nrequired = false\n{key}")).unwrap();
    assert!(!keys.is_required && keys.issuer.is_none());
    assert_eq!(keys.api_keys[0].sha256.bytes()[..4], [0x01, 0x23, 0x45, 0x67]);
    assert!(!format!("{keys:?}").contains("103"));
    let public = "[server]\nhost = \"0.0.0.0\"\nallowed_hosts = [\"m.example\"]\n[auth]\n\
                  issuer = \"https://i.example\"\npublic_url = \"https://M.example:443/\"\n";
    assert_eq!(
        auth(&(public.to_owned() + &api_token())).unwrap().public_url.as_deref(),
        Some("https://m.example")
    );
}

#[test]
fn what_goes_on_to_an_upstream_can_be_chosen() {
    let load = |more: &str| {
        let toml = format!("[upstreams.a]\nurl = \"http://a.example/mcp\"\n{more}");
        let mut config = load(&toml, Overrides::default()).unwrap();
        match config.upstreams.remove(0).reached {
            Reached::Http(http) => http.forwarding,
            Reached::Stdio(_) => panic!("it is a URL"),
        }
    };
    assert_eq!(load(""), Forwarding::default());
    let chosen = load("forward_headers = [\"X-Tenant\"]\nidentity_header = \"X-Archon-Principal\"");
    assert_eq!(chosen.chosen.unwrap(), ["x-tenant"]);
    assert_eq!(chosen.identity_header.unwrap(), "x-archon-principal");
    let with_key =
        load(&format!("[[auth.api_keys]]\nname = \"a\"\nsha256 = \"{}\"", "0".repeat(64)));
    assert!(with_key.keeps_api_key && !with_key.authorization);
}

#[test]
fn mistakes_in_authentication_are_named() {
    let upstream = |more: &str| format!("[upstreams.a]\nurl = \"http://x\"\n{more}");
    let auth = |more: &str| format!("[auth]\n{more}");
    let issuer = |more: &str| auth(&format!("issuer = \"https://i.example\"\n{more}"));
    let key = |name: &str, hash: &str| {
        format!("[[auth.api_keys]]\nname = \"{name}\"\nsha256 = \"{hash}\"\n")
    };
    let hash = "0".repeat(64);
    for (toml, hint) in [
        (auth("required = true"), "issuer"),
        (auth("audience = \"x\""), "goes with `auth.issuer`"),
        (auth("issuer = \"http://i.example\""), "https"),
        (auth("issuer = \"https://u:secret@i.example\""), "password"),
        (auth("issuer = \"https://i.example?x=1\""), "query"),
        (issuer("jwks_url = \"http://i.example/jwks\""), "https"),
        (issuer("algorithms = [\"HS256\"]"), "asymmetric"),
        (issuer("algorithms = [\"none\"]"), "none"),
        (issuer("leeway_seconds = 3600"), "300"),
        (issuer("audience = \"\""), "audience"),
        (issuer("public_url = \"https://m.example/mcp\""), "origin"),
        (key("a", "secret"), "sha256"),
        (key("", &hash), "name"),
        (key("a", &hash) + &key("a", &hash), "two"),
        (upstream("forward_headers = [\"Authorization\"]"), "forward_authorization"),
        (upstream("forward_headers = [\"Connection\"]"), "one hop"),
        (upstream("forward_headers = [\"cookie\"]"), "handle"),
        (upstream("forward_headers = [\"X-Archon-Session-Id\"]"), "own"),
        (upstream("forward_headers = [\"Mcp-Session-Id\"]"), "protocol"),
        (upstream("forward_headers = [\"a b\"]"), "a b"),
        (upstream("identity_header = \"host\""), "one hop"),
        (upstream("bearer_env = \"NO_SUCH_VARIABLE\""), "NO_SUCH_VARIABLE"),
        (
            upstream("forward_authorization = true\nheaders = { authorization = \"secret\" }"),
            "exclude",
        ),
        ("[upstreams.a]\ncommand = \"x\"\nforward_headers = []".into(), "with `url`"),
    ] {
        let error = format!("{:#}", load(&toml, Overrides::default()).unwrap_err());
        assert!(error.contains(hint) && !error.contains("secret"), "{toml}: {error}");
    }
    let host = "[server]\nhost = \"0.0.0.0\"\nallowed_hosts = [\"m\"]\n";
    let toml = host.to_owned() + &issuer("") + &api_token();
    let error = load(&toml, Overrides::default()).unwrap_err();
    assert!(error.to_string().contains("public_url"), "{error}");
}

#[test]
fn mistakes_are_named() {
    let flag = |text: &str| Overrides { upstreams: vec![text.into()], ..Overrides::default() };
    let database = |text: &str| Overrides { db: Some(text.into()), ..Overrides::default() };
    let host = Overrides { host: Some("0.0.0.0".into()), ..Overrides::default() };
    for (toml, overrides, hint) in [
        ("[server]\nmcp_prot = 1", Overrides::default(), "mcp_prot"),
        ("[sessions]\nidle_timeout_seconds = -1", Overrides::default(), "idle_timeout_seconds"),
        ("[sessions]\nidle_timeout_seconds = nan", Overrides::default(), "number of seconds, not"),
        ("[sessions]\nreconnect_token_minutes = 1e300", Overrides::default(), "number of minutes"),
        ("[store]\nretention_days = 0", Overrides::default(), "number of days, not 0"),
        ("[health]\nprobe_seconds = -1", Overrides::default(), "number of seconds, or 0, not -1"),
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
        ("[upstreams.a]\nurl = \"http://x\"\nbridge = \"yes\"", Overrides::default(), "always"),
        ("", host, "allowed_hosts"),
        ("", database("postgres://me:secret@h:x/d"), "URL"),
        ("[store]\ndatabase = \"mysql://me:secret@h/d\"", Overrides::default(), "postgres"),
    ] {
        let error = format!("{:#}", load(toml, overrides).unwrap_err());
        assert!(error.contains(hint) && !error.contains("secret"), "{error}");
    }
}

#[test]
fn the_page_of_settings_shows_the_defaults() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = std::fs::read_to_string(page).unwrap();
    let shown = |toml: &str| {
        let mut config = load(toml, Overrides::default()).expect(toml);
        // It is random.
        config.sessions.node = String::new().into();
        format!("{config:?}")
    };
    let (mut table, mut compared) = (String::new(), 0);
    for line in page.lines() {
        if let Some(name) = line.strip_prefix("### `") {
            // What is in a list has no default of its own.
            let name = name.trim_end_matches('`');
            table = if name.starts_with("[[") { String::new() } else { format!("{name}\n") };
            if name == "[auth]" {
                table += "issuer = \"https://issuer.example\"\n";
            }
        } else if line.starts_with("| setting, with `url`") {
            table = "[upstreams.a]\nurl = \"http://a.example\"\n".into();
        } else if line.starts_with("| setting, ") {
            table = "[upstreams.a]\ncommand = \"a\"\n".into();
        }
        let code = |cell: &str| Some(cell.trim().strip_prefix('`')?.split_once('`')?.0.to_owned());
        let mut cells = line.strip_prefix('|').unwrap_or_default().split(" |");
        let (setting, default) = (cells.next().and_then(code), cells.nth(1).and_then(code));
        let (Some(setting), Some(default)) = (setting, default) else { continue };
        if !table.is_empty() {
            assert_eq!(shown(&format!("{table}{setting} = {default}")), shown(&table), "{setting}");
            if let Ok(number) = default.parse::<u64>() {
                let other = format!("{table}{setting} = {}", number + 1);
                assert_ne!(shown(&other), shown(&table), "{setting} is heeded");
            }
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared} defaults were found");
}
