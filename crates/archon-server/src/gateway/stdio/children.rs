//! The children of an upstream: found by whose they are, started as needed, and stopped when nobody needs
//! them any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use archon_sessions::layer::{CallFailed, codes};
use archon_sessions::session::{Era, SessionId};
use archon_sessions::tracker::Presence;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::backoff::{Backoff, Wait};
use super::child::{Child, Given, InUse, Mourner};
use super::starting::{Starting, Starts};
use crate::config::StdioConfig;
use crate::gateway::catalog::Catalog;
use crate::gateway::condition::Condition;
use crate::gateway::wire::answer::{failure, not_running};

/// How often we look for children that nobody needs. A child's end is noticed at once.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// More than any child takes to stop beyond its own limits.
const STOP_SLACK: Duration = Duration::from_secs(8);

/// What is looked at again that goes to another process.
const GONE_WITHIN: Duration = Duration::from_millis(2);

/// Whose a child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A legacy connection's.
    Link(Uuid),
    /// All legacy connections'.
    SharedLegacy,
    /// A client's of the modern era.
    Session(SessionId),
    /// All modern clients', or those whose session is only a guess.
    Common,
    /// Nobody's: it is asked which era it speaks, and stopped.
    Probe,
}

/// What is found under a key.
pub enum Hold {
    /// A child, which stays for as long as this is held.
    Here(InUse),
    /// One that is about to go to another process.
    Leaving,
    /// None.
    Absent,
}

/// See the module.
pub struct Children {
    name: Arc<str>,
    config: StdioConfig,
    /// What is known of its tools, for its children to drop when they change.
    catalog: Arc<Catalog>,
    /// Those that take requests. Held for single operations, never across an await.
    open: Mutex<HashMap<Key, Arc<Child>>>,
    /// Held for single operations, never across an await.
    backoff: Mutex<Backoff>,
    /// Children whose handshake takes longer than a client waits.
    starts: Starts,
    condition: Condition,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Children {
    /// Returns the children of an upstream: none yet. Looks after them from now on.
    pub fn new(name: &str, config: StdioConfig, catalog: Arc<Catalog>) -> Arc<Self> {
        let children = Arc::new(Self {
            name: name.into(),
            config,
            catalog,
            open: Mutex::default(),
            backoff: Mutex::default(),
            starts: Starts::default(),
            condition: Condition::of(name),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        });
        children.tasks.spawn(children.clone().look_after());
        children
    }

    /// Returns the upstream's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns its settings.
    pub fn config(&self) -> &StdioConfig {
        &self.config
    }

    /// Returns what the last start, or the last end, said.
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.open().len()
    }

    /// Returns the child of this key.
    pub fn find(&self, key: Key) -> Option<Arc<Child>> {
        self.open().get(&key).filter(|child| child.is_open()).cloned()
    }

    /// Returns the child of this key, to be used.
    pub fn hold(&self, key: Key) -> Hold {
        match self.find(key) {
            Some(child) => child.in_use().map_or(Hold::Leaving, Hold::Here),
            None => Hold::Absent,
        }
    }

    /// Gives a modern client's session the child of the session that it continues.
    pub fn inherit(&self, session: SessionId, before: SessionId) {
        let mut open = self.open();
        let (key, before) = (Key::Session(session), Key::Session(before));
        // One that is on its way to another process is on its way by its old key.
        let stays = |child: &Arc<Child>| child.in_use().is_some();
        if !open.contains_key(&key)
            && open.get(&before).is_some_and(stays)
            && let Some(child) = open.remove(&before)
        {
            open.insert(key, child);
        }
    }

    /// Returns the keys of those that may go to another process once no call is in flight.
    pub fn resting(&self) -> Vec<Key> {
        let open = self.open();
        let rests = open
            .iter()
            .filter(|(key, child)| child.table().has_no_call() && !self.starts.has(**key));
        rests.map(|(key, _)| *key).collect()
    }

    /// Returns whether there is none of this key yet, and one may be taken over.
    pub fn has_place(&self, key: Key) -> bool {
        !self.stopping.is_cancelled() && self.find(key).is_none()
    }

    /// Goes on with a child that another process had, which may be one more than there may be.
    ///
    /// # Errors
    /// If what came with it is not what it should be.
    pub fn resume(
        self: &Arc<Self>,
        key: Key,
        given: Given,
        presence: impl Fn(&str) -> Option<Arc<Presence>>,
    ) -> std::io::Result<()> {
        let mourner = Arc::new(Bereaved { children: self.clone(), key });
        let of = (self.name.clone(), self.catalog.clone());
        let tasks = (&self.tasks, mourner as Arc<dyn Mourner>);
        let child = Child::resume(of, kind_of(key), given, presence, &self.config, tasks)?;
        if child.has_answered() {
            self.condition.answered();
        }
        self.open().insert(key, child);
        Ok(())
    }

    /// Forgets a child that another process has.
    pub fn forget(&self, child: &Arc<Child>) {
        self.open().retain(|_, other| !Arc::ptr_eq(other, child));
    }

    /// Stops the children that have not answered their handshake in time.
    pub fn stop_starting(&self) {
        while let Some(starting) = self.starts.take_oldest() {
            self.stop_child(starting.key);
        }
    }

    /// Returns the child of this key, started if need be. Where the command has ended twice in a row and is to rest
    /// before it is started again, that is waited for within the patience that a server over HTTP gets.
    ///
    /// # Errors
    /// If it ends again and again, or there are as many as there may be and none is idle.
    pub async fn find_or_start(self: &Arc<Self>, key: Key) -> Result<InUse, CallFailed> {
        let patience = Instant::now() + self.config.restart_grace;
        loop {
            let wait = match self.find_or_start_now(key)? {
                Ok(child) => match child.in_use() {
                    Some(child) => return Ok(child),
                    // It is gone in a moment.
                    None => {
                        tokio::time::sleep(GONE_WITHIN).await;
                        continue;
                    }
                },
                Err(wait) => wait,
            };
            if Instant::now() + wait.left > patience {
                return Err(self.backing_off(&wait));
            }
            // When we are stopping, the next turn says so.
            let rest = tokio::time::sleep(wait.left);
            self.stopping.run_until_cancelled(rest).await;
        }
    }

    fn find_or_start_now(
        self: &Arc<Self>,
        key: Key,
    ) -> Result<Result<Arc<Child>, Wait>, CallFailed> {
        let mut open = self.open();
        if let Some(child) = open.get(&key).filter(|child| child.is_open()) {
            return Ok(Ok(child.clone()));
        }
        if self.stopping.is_cancelled() {
            return Err(not_running("the gateway is stopping; the call did not run".to_owned()));
        }
        if let Some(wait) = self.backoff().check(Instant::now()) {
            return Ok(Err(wait));
        }
        if key != Key::Probe && open.len() >= self.config.children_max {
            self.make_room(&mut open)?;
        }
        let name = self.name.clone();
        let mourner = Arc::new(Bereaved { children: self.clone(), key });
        let child = Child::start(
            name,
            &self.config,
            self.catalog.clone(),
            kind_of(key),
            &self.tasks,
            mourner,
        )
        .map_err(|error| {
            let name = &*self.name;
            self.condition.failed(&format!("could not start a process: {error}"));
            not_running(format!("upstream {name:?} could not be started; the call did not run"))
        })?;
        if key != Key::Probe {
            open.insert(key, child.clone());
        }
        Ok(Ok(child))
    }

    /// Stops the idle child that was used least recently.
    fn make_room(&self, open: &mut HashMap<Key, Arc<Child>>) -> Result<(), CallFailed> {
        let idle = open.iter().filter(|(_, child)| child.table().is_idle());
        let least_used = idle.min_by_key(|(_, child)| child.used()).map(|(key, _)| *key);
        let Some(key) = least_used.or_else(|| Some(self.starts.take_oldest()?.key)) else {
            let (name, max) = (&*self.name, self.config.children_max);
            tracing::warn!(upstream = name, "all {max} children of {name} are in use");
            let message = format!(
                "upstream {name:?} runs for as many clients as it may, {max}; try again later"
            );
            return Err(failure(codes::TOO_MANY, message));
        };
        if let Some(child) = open.remove(&key) {
            child.stop();
        }
        Ok(())
    }

    /// Keeps a child whose handshake was not answered in time.
    pub fn keep_starting(&self, starting: Starting) {
        self.starts.keep(starting);
    }

    /// Returns true if a child takes longer to answer its handshake than a client waits.
    pub fn is_slow_to_start(&self) -> bool {
        self.starts.any()
    }

    /// Returns a child that was sent a handshake which `is_ours`, and is still starting or has just answered.
    pub fn take_starting(&self, is_ours: impl Fn(&Starting) -> bool) -> Option<Starting> {
        self.starts.take(is_ours)
    }

    /// Runs a task that ends with the upstream.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping.clone();
        self.tasks.spawn(async move {
            let _ = stopping.run_until_cancelled(task).await;
        });
    }

    /// Stops a child.
    pub fn stop_child(&self, key: Key) {
        if let Some(child) = self.open().remove(&key) {
            child.stop();
        }
    }

    /// Stops all children at once, and waits for their ends.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.starts.clear();
        for (_, child) in self.open().drain() {
            child.stop();
        }
        self.tasks.close();
        let limit = self.config.stop_limit * 2 + STOP_SLACK;
        if tokio::time::timeout(limit, self.tasks.wait()).await.is_err() {
            tracing::warn!(upstream = &*self.name, "some children of {} did not end", self.name);
        }
    }

    async fn look_after(self: Arc<Self>) {
        let look = async {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                self.stop_unneeded(Instant::now());
            }
        };
        // What a last look would have stopped is stopped with all the others.
        self.stopping.run_until_cancelled(look).await;
    }

    fn stop_unneeded(&self, now: Instant) {
        for starting in self.starts.expire(now, &self.config) {
            let name = &*self.name;
            tracing::warn!(upstream = name, "{name} was started and never answered initialize");
            self.stop_child(starting.key);
        }
        self.open().retain(|_, child| {
            let is_idle_out = child.table().is_idle()
                && now.duration_since(child.used()) >= self.config.idle_shutdown;
            let is_needed = !is_idle_out && !child.is_forsaken(now, self.config.idle_shutdown);
            if !is_needed {
                child.stop();
            }
            is_needed
        });
    }

    fn backing_off(&self, wait: &Wait) -> CallFailed {
        let (name, Wait { left, ends, reason }) = (&*self.name, wait);
        not_running(format!(
            "upstream {name:?} ended {ends} times in a row ({reason}) and is started again in {:.1} s; \
             the call did not run",
            left.as_secs_f32()
        ))
    }

    /// Returns the error for a call to a child that ended before it could be used.
    pub fn could_not_start(&self, child: &Child) -> CallFailed {
        let (name, obituary) = (&*self.name, child.obituary());
        not_running(format!(
            "upstream {name:?} could not be started: {obituary}; the call did not run"
        ))
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Key, Arc<Child>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn backoff(&self) -> MutexGuard<'_, Backoff> {
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the era of a child, and whether clients share it.
fn kind_of(key: Key) -> (Era, bool) {
    match key {
        Key::Link(_) => (Era::Legacy, false),
        Key::SharedLegacy => (Era::Legacy, true),
        Key::Session(_) | Key::Probe => (Era::Modern, false),
        Key::Common => (Era::Modern, true),
    }
}

/// Takes note of the end of one child.
struct Bereaved {
    children: Arc<Children>,
    key: Key,
}

impl Mourner for Bereaved {
    fn ended(&self, child: &Arc<Child>, was_stopped: bool) {
        let Self { children, key } = self;
        // Its key may be another by now: that of the session which continues its own.
        children.open().retain(|_, other| !Arc::ptr_eq(other, child));
        let (name, pid, obituary) = (&*children.name, child.pid(), child.obituary());
        if was_stopped {
            tracing::info!(upstream = name, pid, "{name}[{pid}] was stopped");
            return;
        }
        // A server of the legacy era may well end on a question of the modern one.
        if *key == Key::Probe && !child.is_not_a_command() {
            tracing::info!(
                upstream = name,
                pid,
                "{name}[{pid}] was asked for its era and ended: {obituary}"
            );
            return;
        }
        tracing::warn!(upstream = name, pid, "{name}[{pid}] ended: {obituary}");
        let rests = {
            let mut backoff = children.backoff();
            backoff.ended(child.started(), Instant::now(), obituary.clone());
            backoff.check(Instant::now()).is_some()
        };
        // One end alone is made good by the next request, and nobody notices.
        if rests || !child.has_answered() {
            children.condition.failed(&obituary);
        }
    }
}
