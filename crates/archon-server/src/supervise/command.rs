//! `archon run-supervised`: the last step before the command, in the process that becomes it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::bail;
use clap::Args;
use rustix::process::{Signal, getppid, nice, set_parent_process_death_signal};

/// What shells exit with when there is no such command.
const NO_COMMAND: i32 = 127;
/// Where processors are short, the gateway comes first: what one client has its child compute must not slow down the
/// calls of all others.
const NICE: i32 = 5;

/// Arguments of the hidden subcommand.
#[derive(Debug, Args)]
pub struct RunSupervised {
    /// The supervisor
    #[arg(long)]
    parent: i32,
    /// Directory to run the command in
    #[arg(long)]
    cwd: Option<PathBuf>,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl RunSupervised {
    /// Becomes the command. The death signal stays set across `exec`; it is bound to the thread that
    /// started us, which is the supervisor's main thread and lives as long as the supervisor.
    ///
    /// # Errors
    /// If there is no such command.
    pub fn run(self) -> anyhow::Result<()> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have died before the signal was set.
        if getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(self.parent) {
            bail!("the supervisor is gone");
        }
        if let Some(cwd) = &self.cwd
            && let Err(error) = std::env::set_current_dir(cwd)
        {
            eprintln!("could not enter the directory {}: {error}", cwd.display());
            std::process::exit(NO_COMMAND);
        }
        // A command that the kernel takes for more important than us still runs.
        let _ = nice(NICE);
        let Some((program, arguments)) = self.command.split_first() else {
            bail!("there is no command");
        };
        let error = Command::new(program).args(arguments).exec();
        eprintln!("could not start {}: {error}", program.display());
        std::process::exit(NO_COMMAND);
    }
}
