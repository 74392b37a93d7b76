//! `archon man`: the manual, made from what the command takes.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Command};
use clap_mangen::Man as Page;

use super::print;

/// `archon man | man -l -` shows the page of `archon` itself.
#[derive(Debug, Args)]
pub struct Man {
    /// Folder to write the pages of all commands to: archon.1, archon-serve.1, …
    #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    dir: Option<PathBuf>,
}

impl Man {
    /// Prints the page, or writes all of them.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn run(self) -> anyhow::Result<()> {
        // `help` has no page of its own.
        let command = super::shown().disable_help_subcommand(true);
        let Some(dir) = self.dir else {
            let mut page = Vec::new();
            Page::new(command).render(&mut page)?;
            return print::lines(String::from_utf8_lossy(&page).trim_end());
        };
        write_all(command, &dir).with_context(|| format!("could not write to {}", dir.display()))
    }
}

fn write_all(command: Command, dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(command, dir)
}
