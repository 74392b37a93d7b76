//! The latest warnings and errors, kept for who looks at `/api/mcp/status`.

use std::collections::VecDeque;
use std::fmt::{self, Write};

use archon_sessions::session::Timestamp;
use archon_sessions_api::status::LogLine;
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines kept: what an operator reads.
const LINES_MAX: usize = 100;
/// Characters of a line.
const CHARS_MAX: usize = 500;

/// Held for single operations, never across an await.
static LINES: Mutex<VecDeque<LogLine>> = Mutex::new(VecDeque::new());

/// Returns them, oldest first.
pub fn latest() -> Vec<LogLine> {
    LINES.lock().iter().cloned().collect()
}

/// Keeps what goes by.
pub struct Latest;

impl<S: Subscriber> Layer<S> for Latest {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        if level > Level::WARN {
            return;
        }
        let message = message_of(event, CHARS_MAX);
        let timestamp = Timestamp::now().to_string();
        let line = LogLine { timestamp, level: level.to_string(), message };
        let mut lines = LINES.lock();
        if lines.len() >= LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

/// Returns the beginning of what an event says.
pub(super) fn message_of(event: &Event<'_>, chars_max: usize) -> String {
    let mut message = Message(String::new());
    event.record(&mut message);
    message.0.chars().take(chars_max).collect()
}

/// The message alone: it says what there is to say.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing to a text does not fail.
            let _ = write!(self.0, "{value:?}");
        }
    }
}
