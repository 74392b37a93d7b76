//! Looks now and then whether upstreams are there, so that health does not wait for a call to find out.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Upstream;

/// See the module; it ends with [`Looks::stop`].
#[derive(Default)]
pub struct Looks {
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Looks {
    /// Looks at each of these now, and again each time that none of its answers has said so for `every`; not at all
    /// without that.
    pub fn start(upstreams: &[Upstream], every: Option<Duration>) -> Self {
        let looks = Self::default();
        let Some(every) = every else { return looks };
        for upstream in upstreams {
            let upstream = upstream.clone();
            let look = async move {
                loop {
                    upstream.look(every).await;
                    tokio::time::sleep(every).await;
                }
            };
            let stopping = looks.stopping.clone();
            // Nothing is lost when it is told to stop.
            looks.tasks.spawn(async move { stopping.run_until_cancelled(look).await });
        }
        looks
    }

    /// Looks no more.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
