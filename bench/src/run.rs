//! A whole run: every scenario before every front, in interleaved rounds.

mod stage;

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::LocalRuntime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::stage::{Front, Stage};
use crate::args::{RunArgs, Scenario};
use crate::load::calls::{self, STEADY_CLIENTS};
use crate::load::recovery::{self, Recovered, Stored};
use crate::load::{Outcome, drive, events, idle, relay};
use crate::mcp;
use crate::process::gateway;
use crate::process::usage::{self, Machine};
use crate::report::document::Document;
use crate::report::{IdleResult, Kind, Measurement, Results, Round};

/// Clients of the `modern` scenario.
const MODERN_CLIENTS: usize = 64;
/// Clients of the `churn` scenario.
const CHURN_CLIENTS: usize = 16;
/// Large answers under way at a time.
const LARGE_CLIENTS: usize = 4;
/// Streams of events at a time.
const RELAY_CLIENTS: usize = 4;
/// How long a front may take for its first calls.
const TRY_PATIENCE: Duration = Duration::from_secs(20);
/// A breath between two measurements, for what the last one left behind.
const PAUSE: Duration = Duration::from_millis(300);

/// Measures, reports, and returns whether every answer was right.
pub fn run(args: &RunArgs) -> Result<bool> {
    let document = args.write.as_deref().map(Document::open).transpose()?;
    let folder = args.json.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).context("could not create the folder of the results")?;
    raise_descriptor_limit();
    // Beside the results and not in the system's place for temporary files: that may be memory,
    // where durability costs nothing.
    let scratch = tempfile::tempdir_in(folder.canonicalize()?)?;

    let mut runner = Runner::new(args)?;
    runner.measure_loads(scratch.path())?;
    runner.measure_idle(scratch.path())?;
    runner.measure_recovery(scratch.path())?;
    runner.measure_events(scratch.path())?;
    let results = runner.results.judged();

    let json = serde_json::to_string_pretty(&results)?;
    std::fs::write(&args.json, json + "\n").context("could not write the results")?;
    let text = results.markdown();
    println!("{text}");
    if results.faults > 0 {
        eprintln!("{} answers were wrong or missing; nothing is published", results.faults);
        return Ok(false);
    }
    if let Some(document) = document {
        document.replace(&text)?;
    }
    Ok(true)
}

/// Each stream takes two descriptors in the gateway; children inherit the limit.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_err() {
        eprintln!("could not raise the limit of open files; the idle scenario may run out");
    }
}

struct Runner<'a> {
    args: &'a RunArgs,
    runtime: LocalRuntime,
    interrupts: [Signal; 2],
    results: Results,
}

impl<'a> Runner<'a> {
    fn new(args: &'a RunArgs) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(Default::default())?;
        let interrupts = {
            let _inside = runtime.enter();
            [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?]
        };
        let results = Results::new(args.rounds, args.round());
        Ok(Self { args, runtime, interrupts, results })
    }

    /// Runs to the end, or stops at a signal so that the children are stopped too.
    fn block_on<T>(&mut self, work: impl Future<Output = T>) -> Result<T> {
        let [interrupt, terminate] = &mut self.interrupts;
        self.runtime.block_on(async {
            // Nothing is lost but the measurement that was interrupted.
            tokio::select! {
                done = work => Ok(done),
                _ = interrupt.recv() => bail!("interrupted"),
                _ = terminate.recv() => bail!("terminated"),
            }
        })
    }

    fn measure_loads(&mut self, folder: &Path) -> Result<()> {
        let loads = self.loads();
        if loads.is_empty() {
            return Ok(());
        }
        let stage = Stage::start(self.args, folder)?;
        for front in &stage.fronts {
            let tried = self.block_on(try_out(front, self.args.wants(Scenario::Modern)))?;
            tried.with_context(|| format!("{} does not serve", front.kind.name()))?;
        }
        for (scenario, clients) in loads {
            self.compare(&stage.fronts, scenario, clients)?;
        }
        Ok(())
    }

    /// Returns the scenarios of load with their clients, in the order they run.
    fn loads(&self) -> Vec<(Scenario, usize)> {
        let mut loads: Vec<_> =
            self.args.clients.iter().map(|clients| (Scenario::Throughput, *clients)).collect();
        loads.push((Scenario::Modern, MODERN_CLIENTS));
        loads.push((Scenario::Steady, STEADY_CLIENTS));
        loads.push((Scenario::Churn, CHURN_CLIENTS));
        loads.push((Scenario::Large, LARGE_CLIENTS));
        loads.push((Scenario::Relay, RELAY_CLIENTS));
        loads.retain(|(scenario, _)| self.args.wants(*scenario));
        loads
    }

    /// Measures one load before every front, round after round, each time from another front on.
    fn compare(&mut self, fronts: &[Front], scenario: Scenario, clients: usize) -> Result<()> {
        let fronts: Vec<_> = fronts
            .iter()
            .filter(|front| front.kind != Kind::Strict || scenario == Scenario::Throughput)
            .collect();
        let mut measured: Vec<_> =
            fronts.iter().map(|front| Measurement::new(scenario, clients, front.kind)).collect();
        for round in 0..self.args.rounds as usize {
            for turn in 0..fronts.len() {
                let index = (round + turn) % fronts.len();
                let round = self.measure(fronts[index], scenario, clients)?;
                eprintln!("{scenario:?} {clients:>3} {:>7} {round}", fronts[index].kind.name());
                measured[index].rounds.push(round);
            }
        }
        for measurement in measured {
            self.results.add(measurement);
        }
        Ok(())
    }

    fn measure(&mut self, front: &Front, scenario: Scenario, clients: usize) -> Result<Round> {
        let window = self.args.round();
        let pids = front.pids();
        usage::reset_peak(&pids);
        let rss_before = usage::rss_bytes(&pids);
        let outcome = self.block_on(load(front, &pids, scenario, clients, window))?;
        let peak = usage::peak_rss_bytes(&pids);
        self.pause(front.kind);
        Ok(Round::new(outcome, !pids.is_empty(), rss_before, peak))
    }

    /// Lets the processes come to rest; who is busy after a direct round is none of ours.
    fn pause(&mut self, after: Kind) {
        let before = Machine::now();
        std::thread::sleep(PAUSE);
        if let (Kind::Direct, Some(before), Some(now)) = (after, before, Machine::now()) {
            self.results.background.push(now.busy_since(before));
        }
    }

    /// Weighs fresh processes, so that what a load left behind does not hide growth.
    fn measure_idle(&mut self, folder: &Path) -> Result<()> {
        if !self.args.wants(Scenario::Idle) {
            return Ok(());
        }
        let stage = Stage::start_idle(self.args, folder)?;
        let upstream = usage::tree(stage.upstream_pid());
        let front = stage.fronts.last().context("a stage has a front")?;
        let pids = front.pids();
        let mut trees = vec![upstream.as_slice()];
        let mut names = vec!["upstream"];
        if front.kind == Kind::Archon {
            trees.push(&pids);
            names.push(front.kind.name());
        }
        eprintln!("Idle: {} sessions before {}", 2 * self.args.idle_sessions, front.kind.name());
        let (sessions, streams) = (self.args.idle_sessions, self.args.idle_streams);
        match self.block_on(idle::weigh(&front.endpoint, &trees, sessions, streams))? {
            Ok(weighed) => self.results.idle = Some(IdleResult { names, weighed }),
            // The loads have been measured by now; they are reported all the same.
            Err(error) => {
                eprintln!("  fault: {error:#}");
                self.results.faults += 1;
            }
        }
        Ok(())
    }

    /// Starts gateways on a full database, one after the other.
    fn measure_recovery(&mut self, folder: &Path) -> Result<()> {
        if !self.args.wants(Scenario::Recovery) || self.args.without_archon {
            return Ok(());
        }
        let (args, sessions) = (self.args, self.args.stored_sessions);
        let (_upstream, endpoint) = gateway::start_upstream(true, folder)?;
        for active in &args.active_sessions {
            let stored = Stored { sessions, active: (*active).min(sessions), requests: sessions };
            eprintln!("Recovery: {} of {sessions} sessions active", stored.active);
            let bytes = self.block_on(recovery::fill(folder, stored))??;
            let mut found = Recovered {
                stored,
                file_mib: bytes as f64 / (1024.0 * 1024.0),
                ready_in: Vec::new(),
                rss_mib: 0.0,
            };
            for _ in 0..args.rounds {
                let start = recovery::start_once(&args.archon, &endpoint, &args.archon_arg, folder);
                let (ready_in, rss) = self.block_on(start)??;
                eprintln!("  ready in {ready_in:.2?}");
                found.ready_in.push(ready_in);
                found.rss_mib = rss as f64 / (1024.0 * 1024.0);
            }
            self.results.recovered.push(found);
        }
        Ok(())
    }
}

impl Runner<'_> {
    /// Listens to a gateway that answers many calls: with compression, then without.
    fn measure_events(&mut self, folder: &Path) -> Result<()> {
        if !self.args.wants(Scenario::Events) || self.args.without_archon {
            return Ok(());
        }
        let args = self.args;
        let (_upstream, endpoint) = gateway::start_upstream(true, folder)?;
        for is_deflated in [true, false] {
            let name = if is_deflated { "deflated" } else { "plain" };
            let (server, [mcp, api]) =
                gateway::start_with_api(name, &args.archon, &endpoint, &args.archon_arg, folder)?;
            let crowd = events::Crowd {
                listeners: args.listeners,
                per_second: args.events_per_second,
                is_deflated,
            };
            eprintln!(
                "Events: {} a second to {} listeners, {name}",
                crowd.per_second, crowd.listeners
            );
            for _ in 0..args.rounds {
                let pids = [server.pid()];
                usage::reset_peak(&pids);
                let work = events::measure(&mcp, &api, crowd, &pids, args.round());
                let told = self.block_on(work)?;
                eprintln!("  {told}");
                self.results.add_told(told);
            }
        }
        Ok(())
    }
}

/// Refuses a front that serves no calls at all before anything is measured.
async fn try_out(front: &Front, is_modern: bool) -> Result<()> {
    let tries = async {
        mcp::try_legacy(&front.endpoint).await?;
        if is_modern { mcp::try_modern(&front.endpoint).await } else { Ok(()) }
    };
    tokio::time::timeout(TRY_PATIENCE, tries).await.context("no answer in time")?
}

async fn load(
    front: &Front,
    pids: &[u32],
    scenario: Scenario,
    clients: usize,
    window: Duration,
) -> Outcome {
    let endpoint = || Rc::clone(&front.endpoint);
    match scenario {
        Scenario::Throughput => {
            drive(clients, window, pids, |client, meter| calls::legacy(endpoint(), client, meter))
                .await
        }
        Scenario::Modern => {
            drive(clients, window, pids, |client, meter| calls::modern(endpoint(), client, meter))
                .await
        }
        Scenario::Steady => {
            drive(clients, window, pids, |client, meter| calls::steady(endpoint(), client, meter))
                .await
        }
        Scenario::Churn => {
            drive(clients, window, pids, |client, meter| calls::churn(endpoint(), client, meter))
                .await
        }
        Scenario::Large => {
            drive(clients, window, pids, |_, meter| calls::large(endpoint(), meter)).await
        }
        Scenario::Relay => {
            drive(clients, window, pids, |_, meter| relay::relay(endpoint(), meter)).await
        }
        Scenario::Idle | Scenario::Recovery | Scenario::Events => {
            unreachable!("it is measured without a load")
        }
    }
}
