//! One measurement: clients that call, a window of time, and what was counted in it.

pub mod calls;
pub mod events;
pub mod idle;
pub mod meter;
pub mod recovery;
pub mod relay;

use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

use self::meter::{Meter, Phase};
use crate::process::usage::CpuTime;

/// Calls before the window opens: connections, caches and pools are warm then.
const WARM_UP: Duration = Duration::from_millis(400);
/// The longest that setting up or winding down may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What one window showed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Calls, iterations or events a second.
    pub rate: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    /// Processor time of the weighed processes for each call.
    pub cpu_us: f64,
    /// Our own processor time for each call.
    pub load_cpu_us: f64,
    pub faults: u64,
    /// The first few faults, in words.
    pub fault_texts: Vec<String>,
}

/// Runs the clients through a warm-up and a window of measured time.
///
/// `weighed` are the processes whose processor time is shared out over the calls.
pub async fn drive<F>(
    clients: usize,
    window: Duration,
    weighed: &[u32],
    client: impl Fn(usize, Rc<Meter>) -> F,
) -> Outcome
where
    F: Future<Output = Result<()>> + 'static,
{
    let meter = Rc::new(Meter::default());
    let mut tasks = JoinSet::new();
    for index in 0..clients {
        let (work, meter) = (client(index, Rc::clone(&meter)), Rc::clone(&meter));
        tasks.spawn_local(async move {
            if let Err(error) = work.await {
                meter.fault(format_args!("client {index} gave up: {error:#}"));
            }
            meter.leave();
        });
    }
    meter.wait_for_all(clients, PATIENCE).await;
    tokio::time::sleep(WARM_UP).await;

    let own = [std::process::id()];
    let cpu_before = [CpuTime::of(weighed), CpuTime::of(&own)];
    let start = Instant::now();
    meter.enter(Phase::Measuring);
    tokio::time::sleep(window).await;
    meter.enter(Phase::Over);
    let elapsed = start.elapsed();
    let cpu = [CpuTime::of(weighed).since(cpu_before[0]), CpuTime::of(&own).since(cpu_before[1])];

    let wind_down = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(PATIENCE, wind_down).await.is_err() {
        meter.fault(format_args!("{} clients never came back", tasks.len()));
        tasks.abort_all();
    }
    meter.outcome(elapsed, cpu)
}
