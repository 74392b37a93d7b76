//! `archon completions`: what completes the command in a shell, made from what it takes.

use clap::Args;
use clap_complete::Shell;

use super::print;

/// A package puts it where the shell looks; docs/install.md says where that is.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Prints it.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn run(self) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::shown(), "archon", &mut script);
        print::lines(String::from_utf8_lossy(&script).trim_end())
    }
}
