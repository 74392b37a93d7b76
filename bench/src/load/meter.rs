//! What the clients of one measurement share: the phase they are in and the counts.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::Outcome;

/// Enough to see what is wrong; the rest is the same a thousand times.
const FAULT_TEXTS_MAX: usize = 3;
/// Nothing is faster than a microsecond, and what takes longer than a minute counts as a minute.
const NANOS: (u64, u64) = (1_000, 60_000_000_000);
/// One part in a thousand.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Where a measurement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    #[default]
    WarmingUp,
    Measuring,
    Over,
}

/// The shared counts; everything runs on one thread.
pub struct Meter {
    phase: Cell<Phase>,
    arrived: Cell<usize>,
    left: Cell<usize>,
    times: RefCell<Histogram<u64>>,
    faults: Cell<u64>,
    fault_texts: RefCell<Vec<String>>,
}

impl Meter {
    /// Returns whether the clients should stop.
    pub fn is_over(&self) -> bool {
        self.phase.get() == Phase::Over
    }

    /// Returns whether what happens now counts.
    pub fn is_measuring(&self) -> bool {
        self.phase.get() == Phase::Measuring
    }

    /// Says that a client is set up and begins to call.
    pub fn arrive(&self) {
        self.arrived.set(self.arrived.get() + 1);
    }

    /// Says that a client has ended, for whatever reason.
    pub fn leave(&self) {
        self.left.set(self.left.get() + 1);
    }

    /// Counts a call that took so long, if the window is open.
    pub fn record(&self, took: Duration) {
        if self.phase.get() == Phase::Measuring {
            let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            self.times.borrow_mut().saturating_record(nanos);
        }
    }

    /// Counts a wrong or failed answer, in every phase.
    pub fn fault(&self, what: impl Display) {
        self.faults.set(self.faults.get() + 1);
        let mut texts = self.fault_texts.borrow_mut();
        if texts.len() < FAULT_TEXTS_MAX {
            texts.push(what.to_string());
        }
    }

    /// Moves on to the next phase.
    pub fn enter(&self, phase: Phase) {
        self.phase.set(phase);
    }

    /// Waits until every client has arrived or left.
    pub async fn wait_for_all(&self, clients: usize, patience: Duration) {
        let start = Instant::now();
        while self.arrived.get() + self.left.get() < clients {
            if start.elapsed() > patience {
                self.fault(format_args!("only {} clients were set up", self.arrived.get()));
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Sums up: the time the window was open, and the weighed processes' and our own share of it.
    pub fn outcome(&self, elapsed: Duration, [cpu, load_cpu]: [Duration; 2]) -> Outcome {
        let times = self.times.borrow();
        let calls = times.len();
        if calls == 0 {
            self.fault("not one call was completed");
        }
        let micros = |quantile| times.value_at_quantile(quantile) as f64 / 1e3;
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / calls.max(1) as f64;
        Outcome {
            rate: calls as f64 / elapsed.as_secs_f64(),
            p50_us: micros(0.5),
            p99_us: micros(0.99),
            cpu_us: each(cpu),
            load_cpu_us: each(load_cpu),
            faults: self.faults.get(),
            fault_texts: self.fault_texts.borrow().clone(),
        }
    }
}

impl Default for Meter {
    fn default() -> Self {
        let times = Histogram::new_with_bounds(NANOS.0, NANOS.1, SIGNIFICANT_DIGITS)
            .expect("the bounds are two apart and three digits are allowed");
        Self {
            phase: Cell::default(),
            arrived: Cell::default(),
            left: Cell::default(),
            times: RefCell::new(times),
            faults: Cell::default(),
            fault_texts: RefCell::default(),
        }
    }
}
