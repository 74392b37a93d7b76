//! What the checks found.

use serde::Serialize;

use crate::cli::print;

/// A check that was made, or could not be.
#[derive(Debug, Serialize)]
pub struct Check {
    result: &'static str,
    name: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

/// The checks in order; each is shown when it is over.
pub struct Report {
    checks: Vec<Check>,
    is_shown: bool,
}

/// What is wrong, and what to do.
pub struct Complaint {
    /// What was expected, and what was found.
    pub why: String,
    /// What helps.
    pub fix: &'static str,
}

impl Complaint {
    /// Returns a complaint.
    pub fn new(why: impl Into<String>, fix: &'static str) -> Self {
        Self { why: why.into(), fix }
    }

    /// Returns a complaint about what failed, with all its causes.
    pub fn of(error: &anyhow::Error, fix: &'static str) -> Self {
        Self::new(format!("{error:#}"), fix)
    }
}

impl Report {
    /// Returns an empty report.
    pub fn new(is_shown: bool) -> Self {
        Self { checks: Vec::new(), is_shown }
    }

    /// Returns the checks.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Returns how many failed.
    pub fn failures(&self) -> usize {
        self.checks.iter().filter(|check| check.fix.is_some()).count()
    }

    /// Adds a check that was made. Returns true if it passed.
    pub fn add(&mut self, name: &'static str, found: Result<String, Complaint>) -> bool {
        let is_good = found.is_ok();
        self.push(match found {
            Ok(detail) => Check { result: "PASS", name, detail, fix: None },
            Err(Complaint { why, fix }) => {
                Check { result: "FAIL", name, detail: why, fix: Some(fix.to_owned()) }
            }
        });
        is_good
    }

    /// Adds a check that could not be made.
    pub fn skip(&mut self, name: &'static str, why: &str) {
        self.push(Check { result: "SKIP", name, detail: why.to_owned(), fix: None });
    }

    fn push(&mut self, check: Check) {
        if self.is_shown {
            let Check { result, name, detail, fix } = &check;
            // What others say is shown as text. A reader that has left does not end the checks: the exit code counts.
            let _ = print::lines(&format!("[{result}] {name}: {}", print::plain(detail)));
            if let Some(fix) = fix {
                let _ = print::lines(&format!("       {fix}"));
            }
        }
        self.checks.push(check);
    }
}
