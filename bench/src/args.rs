//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use serde::Serialize;

/// Measures the gateway against nginx and against no proxy at all.
#[derive(Debug, Parser)]
#[command(name = "archon-bench", version)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the MCP server that every measured front stands before.
    Upstream(UpstreamArgs),
    /// Measure and compare.
    Run(Box<RunArgs>),
    /// Fill a new database as a gateway would in months.
    Generate(GenerateArgs),
    /// Time the API's questions on such a database.
    Reports(ReportsArgs),
}

#[derive(Debug, clap::Args)]
pub struct GenerateArgs {
    /// A file that is not there yet, or the URL of an empty PostgreSQL database.
    #[arg(long)]
    pub db: String,
    /// Sessions; one of a thousand is active.
    #[arg(long, default_value_t = 1_000_000)]
    pub sessions: u32,
    /// Requests.
    #[arg(long, default_value_t = 10_000_000)]
    pub requests: u32,
    /// Days over which they are spread, up to now.
    #[arg(long, default_value_t = 90)]
    pub days: u32,
}

#[derive(Debug, clap::Args)]
pub struct ReportsArgs {
    /// The file, or the URL of a PostgreSQL database.
    #[arg(long)]
    pub db: String,
    /// How often each question is asked.
    #[arg(long, default_value_t = 100, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub repeats: usize,
}

#[derive(Debug, clap::Args)]
pub struct UpstreamArgs {
    /// Port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Exit when standard input closes, so that the server never outlives the run that started it.
    #[arg(long)]
    pub until_eof: bool,
    /// Send no comments that keep streams alive.
    #[arg(long)]
    pub silent_streams: bool,
}

#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// What to measure; all by default.
    #[arg(long = "scenario", value_enum, value_delimiter = ',')]
    pub scenarios: Vec<Scenario>,
    /// Client counts of the `throughput` scenario.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 64, 256])]
    pub clients: Vec<usize>,
    /// Rounds of each measurement; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub rounds: u32,
    /// Measured seconds in each round.
    #[arg(long, default_value_t = 4.0)]
    pub seconds: f64,
    /// Rounds of two seconds.
    #[arg(long)]
    pub quick: bool,
    /// The gateway's binary.
    #[arg(long, default_value = "target/release/archon")]
    pub archon: PathBuf,
    /// Measure direct and nginx only.
    #[arg(long)]
    pub without_archon: bool,
    /// Measure without nginx; there are no ratios to it then.
    #[arg(long)]
    pub without_nginx: bool,
    /// An argument more for `archon serve`; repeat for several.
    #[arg(long, allow_hyphen_values = true)]
    pub archon_arg: Vec<String>,
    /// An argument that makes a second gateway strictly durable; measured in `throughput` when given.
    #[arg(long, allow_hyphen_values = true)]
    pub strict_arg: Vec<String>,
    /// Sessions in the base and again in the growth of the `idle` scenario.
    #[arg(long, default_value_t = 10_000)]
    pub idle_sessions: usize,
    /// Open connections with a GET stream in the `idle` scenario.
    #[arg(long, default_value_t = 2_000)]
    pub idle_streams: usize,
    /// Stored sessions, and as many requests, in the `recovery` scenario.
    #[arg(long, default_value_t = 1_000_000)]
    pub stored_sessions: usize,
    /// How many of them are active; several are measured one after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [100_000, 1_000_000])]
    pub active_sessions: Vec<usize>,
    /// Listeners of the `events` scenario.
    #[arg(long, default_value_t = 1_000)]
    pub listeners: usize,
    /// Finished calls a second in the `events` scenario.
    #[arg(long, default_value_t = 5_000)]
    pub events_per_second: u32,
    /// Where the results go as JSON.
    #[arg(long, default_value = "target/bench/results.json")]
    pub json: PathBuf,
    /// A Markdown file whose text between the `bench` markers is replaced.
    #[arg(long)]
    pub write: Option<PathBuf>,
}

impl RunArgs {
    /// Returns the measured time of one round.
    pub fn round(&self) -> Duration {
        let seconds = if self.quick { 2.0 } else { self.seconds.clamp(0.2, 600.0) };
        Duration::from_secs_f64(seconds)
    }

    /// Returns whether the scenario was asked for.
    pub fn wants(&self, scenario: Scenario) -> bool {
        self.scenarios.is_empty() || self.scenarios.contains(&scenario)
    }
}

/// One kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scenario {
    /// Closed loop of calls in legacy sessions.
    Throughput,
    /// Closed loop of 2026-07-28 calls.
    Modern,
    /// 100 calls a second, open loop.
    Steady,
    /// initialize, initialized, one call, DELETE.
    Churn,
    /// Answers of 10 MiB.
    Large,
    /// Events of a stream: from sent upstream to received.
    Relay,
    /// Memory and processor time of idle sessions and streams.
    Idle,
    /// Live events on WebSockets: from the end of a call to each listener.
    Events,
    /// Starts of a gateway that finds many sessions in its database.
    Recovery,
}
