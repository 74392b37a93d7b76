//! Runs a command that waits for others.

use anyhow::Context;

/// Runs work to its end, on this thread.
///
/// # Errors
/// The work's, or if there can be no runtime.
pub fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("could not start the runtime")?.block_on(work)
}
