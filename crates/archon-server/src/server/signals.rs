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
/// it. So it does of SIGHUP, which a closed terminal sends.
#[derive(Debug)]
pub struct Upgrades {
    upgrade: Signal,
    hangup: Signal,
}

impl Upgrades {
    /// Begins to listen.
    ///
    /// # Errors
    /// If the runtime cannot.
    pub fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("could not listen for SIGUSR2 and SIGHUP");
        Ok(Self {
            upgrade: listen(SignalKind::user_defined2())?,
            hangup: listen(SignalKind::hangup())?,
        })
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
    hangup: Signal,
}

impl Signals {
    /// Begins to listen for the rest. Until then SIGTERM ends a process at once, which is right while it only
    /// starts.
    ///
    /// # Errors
    /// If the runtime cannot.
    pub fn listen(Upgrades { upgrade, hangup }: Upgrades) -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("could not listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            upgrade,
            hangup,
        })
    }

    /// Waits for the next one. SIGHUP asks for nothing: the terminal it comes from is gone, and the configuration is
    /// read again by a successor.
    pub async fn next(&mut self) -> Told {
        loop {
            // Signals that lose stay pending and come next.
            return tokio::select! {
                _ = self.interrupt.recv() => Told::Stop,
                _ = self.terminate.recv() => Told::Stop,
                _ = self.upgrade.recv() => Told::Upgrade,
                Some(()) = self.hangup.recv() => {
                    tracing::info!("SIGHUP ignored; `archon upgrade` reads the configuration again");
                    continue;
                }
            };
        }
    }
}
