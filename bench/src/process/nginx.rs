//! nginx as a plain reverse proxy that knows no MCP, set up as well as we know how.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{START_PATIENCE, Server};
use crate::mcp::Endpoint;

/// Where nginx lies on systems whose `PATH` leaves these out for users.
const MORE_FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];
/// Another process may take the free port first; it will not do so this often.
const ATTEMPTS: usize = 5;

/// Starts nginx in front of the upstream.
pub fn start(upstream: &Endpoint, folder: &Path) -> Result<(Server, Endpoint)> {
    let binary = binary()?;
    for attempt in 1..=ATTEMPTS {
        let port = free_port()?;
        let file = folder.join("nginx.conf");
        fs::write(&file, config(upstream, port, folder)).context("could not write nginx.conf")?;
        let mut command = Command::new(&binary);
        command.arg("-p").arg(folder).arg("-c").arg(&file);
        let mut server = Server::start("nginx", &mut command, folder)?;
        let endpoint = upstream.on_port(port);
        if serves(&mut server, &endpoint) {
            return Ok((server, endpoint));
        }
        if attempt == ATTEMPTS {
            return Err(server.failure("did not start"));
        }
    }
    bail!("nginx did not start");
}

/// Returns `nginx version: …` as nginx says it.
pub fn version() -> Option<String> {
    let output = Command::new(binary().ok()?).arg("-v").output().ok()?;
    let said = String::from_utf8(output.stderr).ok()?;
    Some(said.trim().strip_prefix("nginx version: ")?.to_owned())
}

fn binary() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(MORE_FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join("nginx"))
        .find(|file| file.is_file())
        .context("found no nginx; install it or pass --without-nginx")
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("found no free port")?;
    Ok(listener.local_addr()?.port())
}

fn serves(server: &mut Server, endpoint: &Endpoint) -> bool {
    let start = Instant::now();
    while server.is_running() && start.elapsed() < START_PATIENCE {
        if TcpStream::connect(endpoint.address).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// Everything it writes stays in the folder, so that it runs without privileges.
fn config(upstream: &Endpoint, port: u16, folder: &Path) -> String {
    let folder = folder.display();
    let upstream = upstream.address;
    format!(
        "daemon off;
worker_processes auto;
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    client_max_body_size 64m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream mcp {{
        server {upstream};
        keepalive 512;
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://mcp;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host $http_host;
            proxy_buffering off;
            proxy_read_timeout 1h;
        }}
    }}
}}
"
    )
}
