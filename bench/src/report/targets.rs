//! The targets, and by how much they are reached or missed.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{Kind, Measurement, Results};
use crate::args::Scenario;
use crate::load::calls::LARGE_BYTES;

/// agentgateway's churn as a part of direct, measured on the same kind of machine.
const AGENTGATEWAY_CHURN_OF_DIRECT: f64 = 4_100.0 / 15_600.0;

/// One target and what came of it.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// The number of the target it belongs to.
    pub item: u8,
    pub what: String,
    pub goal: String,
    pub got: String,
    pub result: Judgement,
}

/// How a target stands.
#[derive(Debug, PartialEq)]
pub enum Judgement {
    Reached,
    /// By this part of the goal.
    MissedBy(f64),
    NotMeasured,
}

impl fmt::Display for Judgement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Judgement::Reached => out.write_str("reached"),
            Judgement::MissedBy(part) if *part < 1.0 => {
                write!(out, "**missed** by {:.0} %", (part * 100.0).max(1.0))
            }
            Judgement::MissedBy(part) => write!(out, "**missed**, {:.1} × the goal", part + 1.0),
            Judgement::NotMeasured => out.write_str("not in this run"),
        }
    }
}

impl Serialize for Judgement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string().replace('*', ""))
    }
}

/// A bound and the unit it is read in.
#[derive(Clone, Copy)]
enum Goal {
    AtLeast(f64, &'static str),
    AtMost(f64, &'static str),
}

impl Goal {
    fn verdict(self, item: u8, what: impl Into<String>, got: Option<f64>) -> Verdict {
        let (sign, bound, unit) = match self {
            Goal::AtLeast(bound, unit) => ('≥', bound, unit),
            Goal::AtMost(bound, unit) => ('≤', bound, unit),
        };
        let result = got.map_or(Judgement::NotMeasured, |got| self.judge(got));
        Verdict {
            item,
            what: what.into(),
            goal: format!("{sign} {} {unit}", figure(bound)),
            got: got.map_or_else(|| "–".to_owned(), |got| format!("{} {unit}", figure(got))),
            result,
        }
    }

    fn judge(self, got: f64) -> Judgement {
        let missed = match self {
            Goal::AtLeast(bound, _) => (bound - got) / bound,
            Goal::AtMost(bound, _) => (got - bound) / bound,
        };
        // A figure that is none, as from a round without calls, reaches nothing.
        if missed <= 0.0 { Judgement::Reached } else { Judgement::MissedBy(missed) }
    }
}

/// Returns the targets in their order.
pub fn judge(results: &Results) -> Vec<Verdict> {
    let mut verdicts = throughput(results);
    verdicts.extend(latency_and_churn(results));
    verdicts.extend(memory(results));
    verdicts.extend(streams(results));
    verdicts
}

fn throughput(results: &Results) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for clients in [16, 64, 256] {
        let pair = Pair::find(results, Scenario::Throughput, Some(clients), Kind::Nginx);
        let rate = pair.ratio(Measurement::rate);
        let at = format!("throughput, {clients} clients");
        verdicts.push(Goal::AtLeast(0.95, "× nginx").verdict(1, at, rate));
        let p99 = pair.ratio(Measurement::p99_us);
        let at = format!("p99, {clients} clients");
        verdicts.push(Goal::AtMost(1.0, "× nginx").verdict(1, at, p99));
    }
    let archon = results.find(Scenario::Throughput, Some(64), Kind::Archon);
    let cpu = archon.and_then(Measurement::cpu_us);
    verdicts.push(Goal::AtMost(25.0, "µs").verdict(1, "processor time per call, 64 clients", cpu));
    let strict = results.find(Scenario::Throughput, Some(64), Kind::Strict);
    let nginx = results.find(Scenario::Throughput, Some(64), Kind::Nginx);
    let strict = Pair { archon: strict, other: nginx }.ratio(Measurement::rate);
    let what = "throughput, strict durability, 64 clients";
    verdicts.push(Goal::AtLeast(0.6, "× nginx").verdict(1, what, strict));
    verdicts
}

fn latency_and_churn(results: &Results) -> Vec<Verdict> {
    let steady = Pair::find(results, Scenario::Steady, None, Kind::Direct);
    let churn_nginx = Pair::find(results, Scenario::Churn, None, Kind::Nginx);
    let churn_direct = Pair::find(results, Scenario::Churn, None, Kind::Direct);
    let agentgateway = churn_direct
        .ratio(Measurement::rate)
        .map(|of_direct| of_direct / AGENTGATEWAY_CHURN_OF_DIRECT);
    vec![
        Goal::AtMost(100.0, "µs").verdict(
            2,
            "added to the direct median at 100 calls/s",
            steady.added(Measurement::p50_us),
        ),
        Goal::AtLeast(0.7, "× nginx").verdict(
            2,
            "churn of sessions",
            churn_nginx.ratio(Measurement::rate),
        ),
        Goal::AtLeast(1.5, "× agentgateway").verdict(
            2,
            "churn of sessions (agentgateway: 0.26 × direct, in another run)",
            agentgateway,
        ),
    ]
}

fn memory(results: &Results) -> Vec<Verdict> {
    let idle = results.idle_gateway();
    let recovered = results
        .recovered
        .iter()
        .find(|found| (found.stored.sessions, found.stored.active) == (1_000_000, 100_000));
    let kib = |bytes: f64| bytes / 1024.0;
    let first = results.idle.as_ref().map_or(10_000, |idle| idle.weighed.sessions / 2);
    let first = super::markdown::thousands(first as f64);
    vec![
        Goal::AtMost(1.0, "KiB").verdict(
            3,
            format!("memory per idle session beyond the first {first}"),
            idle.map(|idle| kib(idle.bytes_per_session)),
        ),
        Goal::AtMost(4.0, "KiB").verdict(
            3,
            "memory per open connection with its GET stream",
            idle.map(|idle| kib(idle.bytes_per_stream)),
        ),
        Goal::AtLeast(1e6, "sessions").verdict(3, "sessions in one process", None),
        Goal::AtMost(2.0, "s").verdict(
            3,
            "first answer after a start, 100,000 of 1,000,000 sessions active",
            recovered.and_then(Results::ready_s),
        ),
        Goal::AtMost(0.0, "MiB").verdict(3, "growth over an hour of churn", None),
    ]
}

fn streams(results: &Results) -> Vec<Verdict> {
    let idle = results.idle_gateway();
    let relay = Pair::find(results, Scenario::Relay, None, Kind::Direct);
    let large = Pair::find(results, Scenario::Large, None, Kind::Nginx);
    vec![
        Goal::AtMost(0.1, "% of a core").verdict(
            6,
            "processor time with silent streams open",
            idle.map(|idle| idle.cpu_percent_streams),
        ),
        Goal::AtMost(1_000.0, "µs").verdict(
            6,
            "added to the way of an event, p99",
            relay.added(Measurement::p99_us),
        ),
        Goal::AtLeast(0.9, "× nginx").verdict(
            6,
            "answers of 10 MiB",
            large.ratio(Measurement::rate),
        ),
        Goal::AtMost(LARGE_BYTES as f64 / super::MIB, "MiB").verdict(
            6,
            "growth of memory with four such answers under way",
            large.archon.and_then(Measurement::rss_growth_mib),
        ),
        Goal::AtMost(100.0, "ms").verdict(
            8,
            "a live event to 1,000 listeners at 5,000 a second, p99",
            results.told(true, |told| told.p99_us / 1000.0),
        ),
    ]
}

/// The gateway's measurement and the one it is compared with.
struct Pair<'a> {
    archon: Option<&'a Measurement>,
    other: Option<&'a Measurement>,
}

impl<'a> Pair<'a> {
    fn find(results: &'a Results, scenario: Scenario, clients: Option<usize>, with: Kind) -> Self {
        Self {
            archon: results.find(scenario, clients, Kind::Archon),
            other: results.find(scenario, clients, with),
        }
    }

    fn ratio(&self, figure: impl Fn(&Measurement) -> f64) -> Option<f64> {
        Some(figure(self.archon?) / figure(self.other?))
    }

    fn added(&self, figure: impl Fn(&Measurement) -> f64) -> Option<f64> {
        Some(figure(self.archon?) - figure(self.other?))
    }
}

fn figure(value: f64) -> String {
    if value == 0.0 || value.abs() >= 100.0 {
        super::markdown::thousands(value)
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_says_by_how_much_it_was_missed() {
        let result = |goal: Goal, got| goal.judge(got).to_string();
        assert_eq!(result(Goal::AtLeast(0.95, ""), 0.95), "reached");
        assert_eq!(result(Goal::AtLeast(1.0, ""), 0.75), "**missed** by 25 %");
        assert_eq!(result(Goal::AtMost(100.0, ""), 150.0), "**missed** by 50 %");
        assert_eq!(result(Goal::AtMost(1.0, ""), 3.0), "**missed**, 3.0 × the goal");
        assert_ne!(Goal::AtLeast(1.0, "").judge(f64::NAN), Judgement::Reached);
    }

    #[test]
    fn what_was_not_measured_is_neither_reached_nor_missed() {
        let verdict = Goal::AtMost(1.0, "KiB").verdict(3, "memory", None);
        assert_eq!((verdict.result, verdict.got.as_str()), (Judgement::NotMeasured, "–"));
    }
}
