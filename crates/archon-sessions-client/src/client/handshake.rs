//! How a session begins, goes on from a saved state, and is made anew when the server has forgotten it.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::Implementation;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::attempt::Settled;
use super::call::{Outgoing, Place};
use super::fault::{Allowed, Next, Tries};
use super::{Inner, Link};
use crate::error::{
    ConnectionError, ConnectionReason, Error, SessionError, SessionReason, UnknownReason,
};
use crate::session::{Era, EraChoice};
use crate::state::{SavedState, Secret};
use crate::wire::message;

/// What we ask for in a legacy handshake; the server may answer with an older one.
const LEGACY: &str = "2025-11-25";
/// The versions that begin with a handshake.
const LEGACY_VERSIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", LEGACY];
const MODERN: &str = "2026-07-28";
/// How long a server may take to say which era it speaks. One that does not answer what it does not know is legacy.
const PROBE_LIMIT: Duration = Duration::from_secs(10);
/// MCP 2026-07-28, Versioning.
const UNSUPPORTED_VERSION: i64 = -32022;

/// What a server said about the modern era.
enum Probe {
    Speaks(Box<Greeting>),
    Refuses { versions: Vec<String> },
}

/// What a server says of itself.
#[derive(Default)]
struct Greeting {
    server: Option<Implementation>,
    instructions: Option<String>,
}

impl Inner {
    /// Makes the first link.
    pub(super) async fn connect(self: &Arc<Self>, state: Option<SavedState>) -> Result<(), Error> {
        let deadline = Instant::now() + self.settings.timeout;
        let Some(state) = state else { return self.open(deadline).await };
        let wanted = state.session_id;
        {
            let mut known = self.known();
            known.session_id = wanted;
            known.reconnect_count = state.reconnect_count;
            known.token = wanted.zip(state.reconnect_token);
        }
        match (state.era, state.mcp_session_id) {
            (Era::Legacy, Some(handle)) if self.settings.era != EraChoice::Only(Era::Modern) => {
                self.go_on(state.protocol_version, handle, deadline).await?;
            }
            (Era::Legacy, None) if self.settings.era == EraChoice::Auto => {
                self.initialize(deadline).await?;
            }
            _ => self.open(deadline).await?,
        }
        let (now, token) = {
            let mut known = self.known();
            (known.session_id, known.token.take())
        };
        match (wanted, token) {
            // Our handle was good, or there is no gateway any more.
            (_, token) if now == wanted => self.known().token = token,
            (Some(wanted), Some((_, token))) => {
                if let Err(error) = self.take_back(wanted, &token, deadline).await {
                    tracing::info!("session {wanted} could not be gone on with: {error}");
                }
            }
            (Some(wanted), None) => tracing::info!("session {wanted} could not be gone on with"),
            (None, _) => {}
        }
        Ok(())
    }

    /// Goes on with a handle, if the server knows it; else begins anew.
    async fn go_on(
        self: &Arc<Self>,
        version: String,
        handle: Secret,
        deadline: Instant,
    ) -> Result<(), Error> {
        let link = self.new_link(Era::Legacy, version, Some(handle));
        let ping = Outgoing::new("ping", Map::new());
        match self.run(&ping, Place::On(&link), deadline).await {
            // A server that does not know pings knows the session, or it would have said so first.
            Ok(_) | Err(Error::Tool(_)) => {
                self.settle(link.clone(), Greeting::default());
                self.listen(&link).await;
                Ok(())
            }
            Err(Error::Session(_)) => self.open(deadline).await,
            Err(error) => Err(before_anything(error)),
        }
    }

    /// Makes a link in an era that both speak.
    async fn open(self: &Arc<Self>, deadline: Instant) -> Result<(), Error> {
        match self.settings.era {
            EraChoice::Only(Era::Legacy) => self.initialize(deadline).await,
            EraChoice::Only(Era::Modern) => match self.probe(deadline).await? {
                Probe::Speaks(greeting) => self.begin_modern(*greeting, deadline).await,
                Probe::Refuses { versions } => Err(unsupported(versions)),
            },
            EraChoice::Auto => match self.probe(deadline).await? {
                Probe::Speaks(greeting) => self.begin_modern(*greeting, deadline).await,
                Probe::Refuses { .. } => self.initialize(deadline).await,
            },
        }
    }

    /// Makes another link in the place of one that the server does not know, unless somebody has by now.
    pub(super) async fn reopen(
        self: &Arc<Self>,
        unknown: &Link,
        deadline: Instant,
    ) -> Result<(), Error> {
        let _turn = self.handshake.lock().await;
        if self.link()?.generation != unknown.generation {
            return Ok(());
        }
        tracing::info!("the server does not know this session any more; making a new handshake");
        self.forget_tools();
        self.open(deadline).await
    }

    /// Asks whether the server speaks the modern era.
    async fn probe(self: &Arc<Self>, deadline: Instant) -> Result<Probe, Error> {
        let link = self.new_link(Era::Modern, MODERN.to_owned(), None);
        // A server that fails on what it does not know fails on it again.
        let discover =
            Outgoing { is_repeatable: false, ..Outgoing::new("server/discover", Map::new()) };
        let limit = deadline.min(Instant::now() + PROBE_LIMIT);
        let refuses = |versions| Ok(Probe::Refuses { versions });
        let mut answered = self.run(&discover, Place::On(&link), limit).await;
        if matches!(&answered, Err(Error::OutcomeUnknown(error)) if error.reason == UnknownReason::ConnectionLost)
        {
            answered = self.run(&discover, Place::On(&link), limit).await;
        }
        match answered {
            Ok(answered) => {
                let result = answered.result;
                match versions(result.get("supportedVersions")) {
                    versions if versions.iter().any(|version| version == MODERN) => {
                        Ok(Probe::Speaks(Box::new(Greeting::of(&result))))
                    }
                    versions => refuses(versions),
                }
            }
            Err(Error::Tool(error)) => {
                let said = error.data.as_ref().and_then(|data| data.get("supported"));
                refuses(versions(said.filter(|_| error.code == Some(UNSUPPORTED_VERSION))))
            }
            Err(Error::Connection(ConnectionError {
                reason: ConnectionReason::Refused(_),
                ..
            })) => refuses(Vec::new()),
            // It fails on what it does not know, one way or another. One that is gone takes no handshake either.
            Err(Error::OutcomeUnknown(error))
                if error.reason != UnknownReason::TimedOut || limit < deadline =>
            {
                refuses(Vec::new())
            }
            Err(error) => Err(before_anything(error)),
        }
    }

    async fn begin_modern(
        self: &Arc<Self>,
        greeting: Greeting,
        deadline: Instant,
    ) -> Result<(), Error> {
        let link = self.new_link(Era::Modern, MODERN.to_owned(), None);
        // The gateway's session begins with the first request after discovery. Here it begins with one, before many
        // calls at once could begin many. What it lists is needed later: for headers, and to find the gateway's tools.
        match self.list_on(Place::On(&link), deadline).await {
            Ok(()) | Err(Error::Tool(_)) => {}
            Err(error) => return Err(before_anything(error)),
        }
        self.settle(link, greeting);
        Ok(())
    }

    /// Makes a legacy handshake. The session that we were in is shown, so that it goes on where it still can.
    async fn initialize(self: &Arc<Self>, deadline: Instant) -> Result<(), Error> {
        let bare = self.new_link(Era::Legacy, String::new(), None);
        let Settled { info, capabilities } = self.describe();
        let params = Map::from_iter([
            ("protocolVersion".to_owned(), Value::from(LEGACY)),
            ("capabilities".to_owned(), capabilities),
            ("clientInfo".to_owned(), info),
        ]);
        // Nobody has called anything yet: a second handshake does no harm.
        let initialize = Outgoing { is_repeatable: true, ..Outgoing::new("initialize", params) };
        let answered = self.run(&initialize, Place::On(&bare), deadline).await.map_err(refused)?;
        let version = answered.result.get("protocolVersion").and_then(Value::as_str);
        let version = version.unwrap_or_default().to_owned();
        if !LEGACY_VERSIONS.contains(&version.as_str()) {
            return Err(unsupported(vec![version]));
        }
        let link = self.new_link(Era::Legacy, version, answered.handle);
        self.say_initialized(&link, deadline).await?;
        self.settle(link.clone(), Greeting::of(&answered.result));
        self.listen(&link).await;
        Ok(())
    }

    async fn say_initialized(
        self: &Arc<Self>,
        link: &Link,
        deadline: Instant,
    ) -> Result<(), Error> {
        let method = "notifications/initialized";
        let mut tries = Tries::default();
        let allowed = Allowed {
            policy: &self.settings.retry,
            is_repeatable: true,
            can_reopen: false,
            can_relist: false,
        };
        loop {
            let text = message::notification(method, &Value::Null);
            let Err(fault) = self.post_aside(link, text, method).await else { return Ok(()) };
            match tries.next(fault, allowed, fastrand::f64(), || self.budget.spend()) {
                Next::Again(wait, _) if Instant::now() + wait < deadline => {
                    tokio::time::sleep(wait).await;
                }
                Next::Again(_, error) | Next::GiveUp(error) => return Err(refused(error)),
                Next::Reopen | Next::Relist => {}
            }
        }
    }

    fn new_link(&self, era: Era, version: String, handle: Option<Secret>) -> Arc<Link> {
        // Any number that no other link has.
        let generation = self.next_id.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Arc::new(Link { generation, era, version, handle })
    }

    fn settle(&self, link: Arc<Link>, greeting: Greeting) {
        let mut known = self.known();
        known.server = greeting.server.or(known.server.take());
        known.instructions = greeting.instructions.or(known.instructions.take());
        if !known.is_closed {
            known.link = Some(link);
        }
    }
}

impl Greeting {
    fn of(result: &Value) -> Self {
        let meta =
            result.get("_meta").and_then(|meta| meta.get("io.modelcontextprotocol/serverInfo"));
        let server = result.get("serverInfo").or(meta);
        let instructions = result.get("instructions").and_then(Value::as_str);
        Self {
            server: server.and_then(|server| serde_json::from_value(server.clone()).ok()),
            instructions: instructions.map(str::to_owned),
        }
    }
}

fn versions(list: Option<&Value>) -> Vec<String> {
    let list = list.cloned().unwrap_or_else(|| json!([]));
    serde_json::from_value(list).unwrap_or_default()
}

fn unsupported(versions: Vec<String>) -> Error {
    let spoken = match versions.is_empty() {
        true => "it does not say which it speaks".to_owned(),
        false => format!("it speaks {}", versions.join(", ")),
    };
    let message =
        format!("the server speaks no protocol version that this client may use; {spoken}");
    SessionError::new(SessionReason::UnsupportedVersion(versions), message).into()
}

/// A handshake that was refused.
fn refused(error: Error) -> Error {
    match error {
        Error::Tool(error) if error.code == Some(UNSUPPORTED_VERSION) => {
            unsupported(versions(error.data.as_ref().and_then(|data| data.get("supported"))))
        }
        Error::Tool(error) => {
            let message = format!("the server refused the handshake: {error}");
            SessionError::new(SessionReason::HandshakeRefused, message).into()
        }
        error => before_anything(error),
    }
}

/// What a handshake was made for has not been sent, whatever became of the handshake.
fn before_anything(error: Error) -> Error {
    match error {
        Error::OutcomeUnknown(error) => {
            let message = "the server was lost before there was a session; nothing was called";
            ConnectionError::new(ConnectionReason::Unreachable, message).caused(error).into()
        }
        Error::Tool(error) => {
            let message = format!("the server refused to begin a session: {error}");
            SessionError::new(SessionReason::HandshakeRefused, message).into()
        }
        error => error,
    }
}
