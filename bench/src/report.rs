//! The results of a run: figures by scenario, clients and front.

pub mod document;
mod markdown;
mod targets;

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use self::targets::Verdict;
use crate::args::Scenario;
use crate::load::Outcome;
use crate::load::events::Told;
use crate::load::idle::{Idle, Weighed};
use crate::load::recovery::Recovered;
use crate::process::nginx;

const MIB: f64 = 1024.0 * 1024.0;

/// What stands between the load and the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Direct,
    Nginx,
    Archon,
    /// The gateway with strict durability.
    Strict,
}

impl Kind {
    /// Returns the name used in every output.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Direct => "direct",
            Kind::Nginx => "nginx",
            Kind::Archon => "archon",
            Kind::Strict => "archon, strict",
        }
    }
}

/// One window before one front.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    pub rate: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub cpu_us_per_call: Option<f64>,
    /// What the generator itself cost; it shares the cores.
    pub load_cpu_us_per_call: f64,
    pub peak_rss_mib: Option<f64>,
    /// From the resident memory before the window to its peak.
    pub rss_growth_mib: Option<f64>,
    pub faults: u64,
    pub fault_texts: Vec<String>,
}

impl Round {
    /// Takes the memory of the front's processes only if it has some of its own.
    pub fn new(outcome: Outcome, has_processes: bool, rss_before: u64, peak: u64) -> Self {
        Self {
            rate: outcome.rate,
            p50_us: outcome.p50_us,
            p99_us: outcome.p99_us,
            cpu_us_per_call: has_processes.then_some(outcome.cpu_us),
            load_cpu_us_per_call: outcome.load_cpu_us,
            peak_rss_mib: has_processes.then_some(peak as f64 / MIB),
            rss_growth_mib: has_processes.then_some(peak.saturating_sub(rss_before) as f64 / MIB),
            faults: outcome.faults,
            fault_texts: outcome.fault_texts,
        }
    }
}

impl fmt::Display for Round {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rate, p50, p99) = (self.rate, self.p50_us, self.p99_us);
        write!(out, "{rate:>9.1}/s  p50 {p50:>9.1} µs  p99 {p99:>9.1} µs")?;
        write!(out, "  load's cpu {:>6.1} µs", self.load_cpu_us_per_call)?;
        if let Some(cpu) = self.cpu_us_per_call {
            write!(out, "  proxy's cpu {cpu:>6.1} µs")?;
        }
        for text in &self.fault_texts {
            write!(out, "\n  fault: {text}")?;
        }
        Ok(())
    }
}

/// All rounds of one scenario before one front.
#[derive(Debug, Serialize)]
pub struct Measurement {
    pub scenario: Scenario,
    pub clients: usize,
    pub front: Kind,
    pub rounds: Vec<Round>,
}

impl Measurement {
    /// Starts without a round.
    pub fn new(scenario: Scenario, clients: usize, front: Kind) -> Self {
        Self { scenario, clients, front, rounds: Vec::new() }
    }

    /// Returns the median calls a second.
    pub fn rate(&self) -> f64 {
        self.median(|round| Some(round.rate)).unwrap_or(0.0)
    }

    /// Returns the median of the rounds' medians.
    pub fn p50_us(&self) -> f64 {
        self.median(|round| Some(round.p50_us)).unwrap_or(0.0)
    }

    /// Returns the median of the rounds' 99th percentiles.
    pub fn p99_us(&self) -> f64 {
        self.median(|round| Some(round.p99_us)).unwrap_or(0.0)
    }

    /// Returns the median processor time per call, for fronts with processes.
    pub fn cpu_us(&self) -> Option<f64> {
        self.median(|round| round.cpu_us_per_call)
    }

    /// Returns the highest resident memory of any round.
    pub fn peak_rss_mib(&self) -> Option<f64> {
        self.rounds.iter().filter_map(|round| round.peak_rss_mib).max_by(f64::total_cmp)
    }

    /// Returns the largest growth of resident memory in any round.
    pub fn rss_growth_mib(&self) -> Option<f64> {
        self.rounds.iter().filter_map(|round| round.rss_growth_mib).max_by(f64::total_cmp)
    }

    fn median(&self, figure: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
        median(self.rounds.iter().filter_map(figure).collect())
    }
}

/// The idle processes, by name.
#[derive(Debug, Serialize)]
pub struct IdleResult {
    pub names: Vec<&'static str>,
    pub weighed: Weighed,
}

impl IdleResult {
    /// Returns each process with its name.
    pub fn processes(&self) -> impl Iterator<Item = (&'static str, &Idle)> {
        self.names.iter().copied().zip(&self.weighed.processes)
    }
}

/// Everything a run found.
#[derive(Debug, Serialize)]
pub struct Results {
    cores: usize,
    nginx: Option<String>,
    rounds: u32,
    round_seconds: f64,
    /// Parts of the processors that others used while ours were at rest.
    pub background: Vec<f64>,
    measurements: Vec<Measurement>,
    pub idle: Option<IdleResult>,
    pub recovered: Vec<Recovered>,
    /// Rounds of the `events` scenario.
    told: Vec<Told>,
    targets: Vec<Verdict>,
    pub faults: u64,
}

impl Results {
    /// Starts empty.
    pub fn new(rounds: u32, round: Duration) -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            nginx: nginx::version(),
            rounds,
            round_seconds: round.as_secs_f64(),
            background: Vec::new(),
            measurements: Vec::new(),
            idle: None,
            recovered: Vec::new(),
            told: Vec::new(),
            targets: Vec::new(),
            faults: 0,
        }
    }

    /// Adds a measurement and its faults.
    pub fn add(&mut self, measurement: Measurement) {
        self.faults += measurement.rounds.iter().map(|round| round.faults).sum::<u64>();
        self.measurements.push(measurement);
    }

    /// Adds a round of live events and its faults.
    pub fn add_told(&mut self, told: Told) {
        self.faults += told.faults;
        self.told.push(told);
    }

    /// Returns the median of a figure of live events.
    fn told(&self, is_deflated: bool, figure: impl Fn(&Told) -> f64) -> Option<f64> {
        let rounds = self.told.iter().filter(|told| told.crowd.is_deflated == is_deflated);
        median(rounds.map(figure).collect())
    }

    /// Compares with the targets.
    pub fn judged(mut self) -> Self {
        self.targets = targets::judge(&self);
        self
    }

    fn idle_gateway(&self) -> Option<&Idle> {
        let mut processes = self.idle.as_ref()?.processes();
        processes.find(|(name, _)| *name == Kind::Archon.name()).map(|(_, idle)| idle)
    }

    /// Returns the median time to the first answer, in seconds.
    fn ready_s(found: &Recovered) -> Option<f64> {
        median(found.ready_in.iter().map(Duration::as_secs_f64).collect())
    }

    fn background_percent(&self) -> f64 {
        let samples = self.background.len().max(1) as f64;
        self.background.iter().sum::<f64>() / samples * 100.0
    }

    fn find(
        &self,
        scenario: Scenario,
        clients: Option<usize>,
        front: Kind,
    ) -> Option<&Measurement> {
        self.measurements.iter().find(|found| {
            found.scenario == scenario
                && found.front == front
                && clients.is_none_or(|clients| clients == found.clients)
        })
    }
}

fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let upper = *figures.get(figures.len() / 2)?;
    if figures.len() % 2 == 1 {
        return Some(upper);
    }
    Some((figures.get(figures.len() / 2 - 1)? + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
