//! The processes of a run: the upstream and the fronts before it.

use std::path::Path;
use std::rc::Rc;

use anyhow::Result;

use crate::args::RunArgs;
use crate::mcp::Endpoint;
use crate::process::{Server, gateway, nginx, usage};
use crate::report::Kind;

/// What is measured: an endpoint and the processes that stand between it and the upstream.
pub struct Front {
    pub kind: Kind,
    pub endpoint: Rc<Endpoint>,
    /// Nothing for the upstream itself.
    proxy_pid: Option<u32>,
}

impl Front {
    /// Returns the processes between load and upstream as they are now: workers come and go.
    pub fn pids(&self) -> Vec<u32> {
        self.proxy_pid.map(usage::tree).unwrap_or_default()
    }
}

/// Running processes; dropping it stops them, the fronts before the upstream.
pub struct Stage {
    pub fronts: Vec<Front>,
    proxies: Vec<Server>,
    upstream: Server,
}

impl Stage {
    /// Starts the upstream and every front that was asked for.
    pub fn start(args: &RunArgs, folder: &Path) -> Result<Self> {
        let (mut stage, upstream) = Self::start_upstream(false, folder)?;
        if args.without_nginx {
            eprintln!("nginx is left out: --without-nginx");
        } else {
            stage.add(Kind::Nginx, nginx::start(&upstream, folder)?);
        }
        if args.without_archon {
            eprintln!("the gateway is left out: --without-archon");
            return Ok(stage);
        }
        let archon = gateway::start("archon", &args.archon, &upstream, &args.archon_arg, folder)?;
        stage.add(Kind::Archon, archon);
        if !args.strict_arg.is_empty() {
            let more = [args.archon_arg.as_slice(), args.strict_arg.as_slice()].concat();
            let strict = gateway::start("strict", &args.archon, &upstream, &more, folder)?;
            stage.add(Kind::Strict, strict);
        }
        Ok(stage)
    }

    /// Starts an upstream whose streams are silent, and the gateway unless it is left out.
    pub fn start_idle(args: &RunArgs, folder: &Path) -> Result<Self> {
        let (mut stage, upstream) = Self::start_upstream(true, folder)?;
        if !args.without_archon {
            let archon = gateway::start("idle", &args.archon, &upstream, &args.archon_arg, folder)?;
            stage.add(Kind::Archon, archon);
        }
        Ok(stage)
    }

    /// Returns the upstream's process.
    pub fn upstream_pid(&self) -> u32 {
        self.upstream.pid()
    }

    fn start_upstream(is_silent: bool, folder: &Path) -> Result<(Self, Endpoint)> {
        let (upstream, endpoint) = gateway::start_upstream(is_silent, folder)?;
        let direct =
            Front { kind: Kind::Direct, endpoint: Rc::new(endpoint.clone()), proxy_pid: None };
        Ok((Self { fronts: vec![direct], proxies: Vec::new(), upstream }, endpoint))
    }

    fn add(&mut self, kind: Kind, (server, endpoint): (Server, Endpoint)) {
        let proxy_pid = Some(server.pid());
        self.proxies.push(server);
        self.fronts.push(Front { kind, endpoint: Rc::new(endpoint), proxy_pid });
    }
}
