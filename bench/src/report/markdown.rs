//! The results as a section of Markdown: ratios first, figures beside them.

use std::fmt::Write;

use super::{Kind, Measurement, Results};
use crate::args::Scenario;
use crate::load::calls::LARGE_BYTES;
use crate::load::events::Told;

/// More than this beside us, and two runs no longer agree.
const BACKGROUND_PERCENT_MAX: f64 = 5.0;

impl Results {
    /// Returns the section.
    pub fn markdown(&self) -> String {
        let mut out = self.preamble();
        out += &self.targets_table();
        let scenarios = [
            (Scenario::Throughput, "Calls in legacy sessions, closed loop"),
            (Scenario::Modern, "Calls of 2026-07-28, closed loop"),
            (Scenario::Churn, "Churn: initialize, initialized, one call, DELETE"),
        ];
        for (scenario, title) in scenarios {
            out += &self.table(scenario, title, &LOOP_COLUMNS);
        }
        out += &self.table(Scenario::Steady, "100 calls a second, open loop", &TIME_COLUMNS);
        out += &self.table(Scenario::Large, "Answers of 10 MiB, four at a time", &LARGE_COLUMNS);
        let title = "Events of a stream, from sent upstream to received";
        out += &self.table(Scenario::Relay, title, &TIME_COLUMNS);
        out += &self.idle_table();
        out += &self.recovery_table();
        out += &self.events_table();
        out
    }

    fn preamble(&self) -> String {
        let mut out = format!(
            "Load, proxy and upstream share {} cores; rounds of {} s, {} for each line, interleaved; \
             medians. The upstream is an echo tool on rmcp that streams its answers; every answer's \
             id and text was checked.",
            self.cores, self.round_seconds, self.rounds
        );
        if let Some(nginx) = &self.nginx {
            let _ = write!(out, " Compared with {nginx} as a plain proxy that knows no MCP.");
        }
        out += " Read the ratios, not the absolute figures.\n";
        let background = self.background_percent();
        if background > BACKGROUND_PERCENT_MAX {
            let _ = write!(
                out,
                "\n**Something else used {background:.0} % of the cores meanwhile: the figures are \
                 rough.**\n"
            );
        }
        if self.faults > 0 {
            let faults = self.faults;
            let _ =
                write!(out, "\n**{faults} answers were wrong or missing: no figure counts.**\n");
        }
        out
    }

    fn targets_table(&self) -> String {
        let rows = self.targets.iter().map(|target| {
            vec![
                target.item.to_string(),
                target.what.clone(),
                target.goal.clone(),
                target.got.clone(),
                target.result.to_string(),
            ]
        });
        section("Targets", &["", "target", "goal", "measured", "result"], rows.collect())
    }

    fn table(&self, scenario: Scenario, title: &str, columns: &[Column]) -> String {
        let rows: Vec<_> = self
            .measurements
            .iter()
            .filter(|found| found.scenario == scenario)
            .map(|found| columns.iter().map(|column| (column.cell)(self, found)).collect())
            .collect();
        if rows.is_empty() {
            return String::new();
        }
        let heads: Vec<_> = columns.iter().map(|column| column.head).collect();
        section(title, &heads, rows)
    }

    fn idle_table(&self) -> String {
        let Some(idle) = &self.idle else { return String::new() };
        let weighed = &idle.weighed;
        let title = format!(
            "Idle: {} sessions, then {} open streams",
            thousands(weighed.sessions as f64),
            thousands(weighed.streams as f64)
        );
        let heads =
            ["process", "per session", "per stream", "resident", "CPU", "CPU with the streams"];
        let rows = idle.processes().map(|(name, idle)| {
            vec![
                name.to_owned(),
                format!("{:.2} KiB", idle.bytes_per_session / 1024.0),
                format!("{:.2} KiB", idle.bytes_per_stream / 1024.0),
                format!("{:.0} MiB", idle.rss_mib),
                format!("{:.2} %", idle.cpu_percent),
                format!("{:.2} %", idle.cpu_percent_streams),
            ]
        });
        let [first, second] = weighed.opened_in.map(|time| time.as_secs_f64());
        section(&title, &heads, rows.collect())
            + &format!(
                "\nOpening the first half of the sessions took {first:.1} s, the second {second:.1} s.\n"
            )
    }

    fn recovery_table(&self) -> String {
        if self.recovered.is_empty() {
            return String::new();
        }
        let heads = ["stored sessions", "active", "database", "first answer after", "resident"];
        let rows = self.recovered.iter().map(|found| {
            vec![
                thousands(found.stored.sessions as f64),
                thousands(found.stored.active as f64),
                format!("{:.0} MiB", found.file_mib),
                or_dash(Self::ready_s(found).map(|seconds| format!("{seconds:.2} s"))),
                format!("{:.0} MiB", found.rss_mib),
            ]
        });
        section("Recovery: from the start of the process to an answer", &heads, rows.collect())
    }

    fn events_table(&self) -> String {
        let Some(crowd) = self.told.first().map(|told| told.crowd) else { return String::new() };
        let title = format!(
            "Live events: {} finished calls a second, told to {} listeners",
            thousands(f64::from(crowd.per_second)),
            thousands(crowd.listeners as f64)
        );
        let heads = [
            "frames",
            "calls a second",
            "frames a second",
            "bytes each",
            "p50",
            "p99",
            "slowest",
            "gateway's cores",
            "load's cores",
            "peak memory",
        ];
        let rows = [true, false].into_iter().map(|is_deflated| {
            let cell = |figure: fn(&Told) -> f64, show: fn(f64) -> String| {
                or_dash(self.told(is_deflated, figure).map(show))
            };
            let cores = |cores: f64| format!("{cores:.2}");
            vec![
                if is_deflated { "compressed" } else { "plain" }.to_owned(),
                cell(|told| told.calls_per_second, thousands),
                cell(|told| told.frames_per_second, thousands),
                cell(|told| told.bytes_per_frame, thousands),
                cell(|told| told.p50_us, time),
                cell(|told| told.p99_us, time),
                cell(|told| told.max_us, time),
                cell(|told| told.cores, cores),
                cell(|told| told.load_cores, cores),
                cell(|told| told.peak_rss_mib, |mib| format!("{mib:.0} MiB")),
            ]
        });
        section(&title, &heads, rows.collect())
            + "\nTimes are from the end of a call to a listener's socket, of one listener in twenty; all are counted.\n"
    }

    fn ratio(&self, found: &Measurement, to: Kind, figure: impl Fn(&Measurement) -> f64) -> String {
        let other = self.find(found.scenario, Some(found.clients), to);
        match other.filter(|_| found.front != to) {
            Some(other) => format!("{:.2} ×", figure(found) / figure(other)),
            None => "–".to_owned(),
        }
    }

    fn added_to_direct(&self, found: &Measurement) -> String {
        let direct = self.find(found.scenario, Some(found.clients), Kind::Direct);
        match direct.filter(|_| found.front != Kind::Direct) {
            Some(direct) => format!("{:+.0} µs", found.p50_us() - direct.p50_us()),
            None => "–".to_owned(),
        }
    }
}

/// One column and how its cells are filled.
struct Column {
    head: &'static str,
    cell: fn(&Results, &Measurement) -> String,
}

const CLIENTS: Column = Column { head: "clients", cell: |_, found| found.clients.to_string() };
const FRONT: Column = Column { head: "front", cell: |_, found| found.front.name().to_owned() };
const OF_DIRECT: Column = Column {
    head: "of direct",
    cell: |all, found| all.ratio(found, Kind::Direct, Measurement::rate),
};
const OF_NGINX: Column = Column {
    head: "of nginx",
    cell: |all, found| all.ratio(found, Kind::Nginx, Measurement::rate),
};
const P99_OF_NGINX: Column = Column {
    head: "p99 of nginx",
    cell: |all, found| all.ratio(found, Kind::Nginx, Measurement::p99_us),
};
const ADDED: Column =
    Column { head: "added to p50", cell: |all, found| all.added_to_direct(found) };
const RATE: Column = Column { head: "per second", cell: |_, found| thousands(found.rate()) };
const P50: Column = Column { head: "p50", cell: |_, found| time(found.p50_us()) };
const P99: Column = Column { head: "p99", cell: |_, found| time(found.p99_us()) };
const CPU: Column = Column {
    head: "proxy's CPU each",
    cell: |_, found| or_dash(found.cpu_us().map(|cpu| format!("{cpu:.1} µs"))),
};
const THROUGHPUT: Column = Column {
    head: "throughput",
    cell: |_, found| format!("{} MiB/s", thousands(found.rate() * LARGE_BYTES as f64 / super::MIB)),
};
const PEAK: Column = Column {
    head: "proxy's peak memory",
    cell: |_, found| or_dash(found.peak_rss_mib().map(|mib| format!("{mib:.1} MiB"))),
};
const GROWTH: Column = Column {
    head: "growth",
    cell: |_, found| or_dash(found.rss_growth_mib().map(|mib| format!("{mib:.1} MiB"))),
};

const LOOP_COLUMNS: [Column; 9] =
    [CLIENTS, FRONT, OF_DIRECT, OF_NGINX, P99_OF_NGINX, RATE, P50, P99, CPU];
const TIME_COLUMNS: [Column; 6] = [FRONT, ADDED, P99_OF_NGINX, P50, P99, CPU];
const LARGE_COLUMNS: [Column; 8] = [FRONT, OF_DIRECT, OF_NGINX, THROUGHPUT, P50, P99, PEAK, GROWTH];

fn section(title: &str, heads: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut out = format!("\n### {title}\n\n| {} |\n", heads.join(" | "));
    out += &format!("|{}\n", "---|".repeat(heads.len()));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
    out
}

fn or_dash(cell: Option<String>) -> String {
    cell.unwrap_or_else(|| "–".to_owned())
}

/// Microseconds below a millisecond, milliseconds above.
fn time(micros: f64) -> String {
    match micros {
        ..1_000.0 => format!("{micros:.0} µs"),
        ..10_000.0 => format!("{:.2} ms", micros / 1e3),
        _ => format!("{:.1} ms", micros / 1e3),
    }
}

/// Rounds to a whole number and groups its digits.
pub fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::from(if value <= -0.5 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(thousands(1_234_567.6), "1,234,568");
        assert_eq!(thousands(999.0), "999");
        assert_eq!(thousands(-1_500.0), "-1,500");
        assert_eq!(time(159.4), "159 µs");
        assert_eq!(time(2_216.0), "2.22 ms");
    }
}
