//! A server that embeds the library, on a port of its own and with a database of its own, and a client for it.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use archon_sessions::session::{Session, SessionId, Timestamp};
use archon_sessions::store::reports::{Days, Reports, RequestQuery};
use archon_sessions::store::{RequestRow, SessionStore};
use archon_sessions::{Settings, SqliteStore, Tracker};
use axum::Router;
use rmcp::RoleClient;
use rmcp::model::{CallToolResult, ClientCapabilities, Implementation, InitializeRequestParams};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// How a server is made; it is told when it stops.
type Make = Box<dyn Fn(&Tracker, CancellationToken) -> Router>;

/// See the module.
pub struct Deployment {
    pub url: String,
    pub store: Arc<SqliteStore>,
    make: Make,
    /// Outlives restarts: connections wait meanwhile instead of being refused.
    listener: TcpListener,
    running: Option<Running>,
    folder: tempfile::TempDir,
}

struct Running {
    tracker: Tracker,
    app: Router,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Deployment {
    /// Starts a server.
    pub async fn of(make: impl Fn(&Tracker, CancellationToken) -> Router + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let store = open(&folder).await;
        let make = Box::new(make);
        let mut deployment = Self { url, store, make, listener, running: None, folder };
        deployment.start().await;
        deployment
    }

    async fn start(&mut self) {
        let tracker = tracker_on(self.store.clone()).await;
        let stopping = CancellationToken::new();
        let app = (self.make)(&tracker, stopping.clone());
        let listener = self.listener.try_clone().unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (streams, serving) = (tracker.clone(), app.clone());
        let served = tokio::spawn(async move {
            let stop = async move {
                let _ = stopped.await;
                streams.close_streams();
                stopping.cancel();
            };
            axum::serve(listener, serving).with_graceful_shutdown(stop).await.unwrap();
        });
        self.running = Some(Running { tracker, app, stop, served });
    }

    /// Ends the server and what it knows in memory, and starts it again on the same database.
    pub async fn restart(&mut self) {
        self.end().await;
        self.store = open(&self.folder).await;
        self.start().await;
    }

    /// Ends the server, and its database with it.
    pub async fn stop(mut self) {
        self.end().await;
    }

    async fn end(&mut self) {
        let Running { tracker, app, stop, served } = self.running.take().unwrap();
        stop.send(()).unwrap();
        drop(app);
        tokio::time::timeout(LIMIT, served).await.expect("the server ends").unwrap();
        tracker.shutdown(LIMIT).await;
        self.store.close().await;
    }

    /// Returns the server as a service, to be asked without a socket.
    pub fn app(&self) -> Router {
        self.running.as_ref().unwrap().app.clone()
    }

    /// Waits for the row of a tool's latest call.
    pub async fn row_of(&self, tool: &str) -> RequestRow {
        let query = RequestQuery { tool: Some(tool.into()), limit: 10, ..RequestQuery::default() };
        let limit = std::time::Instant::now() + LIMIT;
        loop {
            let mut page = self.store.requests(&query).await.unwrap();
            if !page.rows.is_empty() {
                return page.rows.remove(0).row;
            }
            assert!(std::time::Instant::now() < limit, "no row of {tool} within a minute");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Returns a session's row.
    pub async fn session(&self, id: SessionId) -> Session {
        SessionStore::session(&*self.store, id).await.unwrap().unwrap()
    }

    /// Returns the days of a report on what happens now; midnight may be near.
    pub fn today(&self) -> Days {
        Days::until(Timestamp::now(), 2)
    }
}

async fn open(folder: &tempfile::TempDir) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(folder.path().join("embed.db")).await.unwrap())
}

/// Starts a tracker.
pub async fn tracker_on(store: Arc<dyn SessionStore>) -> Tracker {
    Tracker::start(store, Settings { count_tokens: false, ..Settings::default() }).await.unwrap()
}

/// Connects rmcp's own client.
pub async fn connect(
    url: &str,
    mode: ClientLifecycleMode,
) -> RunningService<RoleClient, InitializeRequestParams> {
    let transport = StreamableHttpClientTransport::from_uri(url);
    let client = Implementation::new("rmcp", "3");
    let client = InitializeRequestParams::new(ClientCapabilities::default(), client);
    client.serve_with_lifecycle(transport, mode).await.unwrap()
}

/// Returns the text of a tool's answer.
pub fn text_of(answer: &CallToolResult) -> String {
    answer.content[0].as_text().unwrap().text.clone()
}

/// Waits for a condition, within a wide limit.
pub async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let limit = std::time::Instant::now() + LIMIT;
    while !condition().await {
        assert!(std::time::Instant::now() < limit, "{what}: not within a minute");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
