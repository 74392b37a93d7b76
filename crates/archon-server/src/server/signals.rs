//! What the process is told from outside: to stop, or to let a successor take over.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGUSR2.
    Upgrade,
}

/// Requests for an upgrade, heard from the first moment on: a process that does not listen for SIGUSR2 dies of
/// it.
#[derive(Debug)]
pub struct Upgrades(Signal);

impl Upgrades {
    /// Begins to listen.
    ///
    /// # Errors
    /// If the runtime cannot.
    pub fn listen() -> anyhow::Result<Self> {
        signal(SignalKind::user_defined2()).map(Self).context("could not listen for SIGUSR2")
    }
}

/// Lets a write fail that the system's limit on file sizes forbids, instead of ending the process: that costs
/// the store, not calls.
///
/// # Errors
/// If the runtime cannot listen for SIGXFSZ.
pub fn survive_file_limit() -> anyhow::Result<()> {
    // It is enough that somebody listened once: the signal no longer does what it does by default.
    let kind = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    signal(kind).map(drop).context("could not listen for SIGXFSZ")
}

/// All that somebody waits for.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    upgrade: Signal,
}

impl Signals {
    /// Begins to listen for the rest. Until then SIGTERM ends a process at once, which is right while it only
    /// starts.
    ///
    /// # Errors
    /// If the runtime cannot.
    pub fn listen(Upgrades(upgrade): Upgrades) -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("could not listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            upgrade,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Told {
        // Signals that lose stay pending and come next.
        tokio::select! {
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.terminate.recv() => Told::Stop,
            _ = self.upgrade.recv() => Told::Upgrade,
        }
    }
}
