//! `archon openapi`: prints the description of the API, made from the code.

use clap::Args;

use crate::api;

/// Prints the description of the API. The one in the repository is made with it:
/// `archon openapi > crates/archon-server/openapi.json`.
#[derive(Debug, Args)]
pub struct OpenApi {}

impl OpenApi {
    /// Prints it.
    pub fn run(self) -> anyhow::Result<()> {
        println!("{}", api::description().to_pretty_json()?);
        Ok(())
    }
}
