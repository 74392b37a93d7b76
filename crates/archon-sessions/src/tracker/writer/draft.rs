//! A request's row before it is known what it cost.

use std::sync::Arc;
use std::time::Duration;

use crate::protocol::Found;
use crate::session::Timestamp;
use crate::store::{Outcome, Price, RequestRow};
use crate::tracker::call::CallFacts;
use crate::tracker::observer::{EndedRequest, ErrorType, Observer};

use super::prices::Prices;
use super::tokens::Estimator;

/// Stored error messages are cut off after so many characters.
const ERROR_CHARS_MAX: usize = 500;

/// What the request's path leaves to the writer.
#[derive(Debug)]
pub struct Draft {
    pub facts: Arc<CallFacts>,
    pub duration_us: i64,
    pub outcome: Outcome,
    pub error: Option<Box<str>>,
    /// The JSON-RPC code of our own answer, or of the upstream's once that was read.
    pub code: Option<i64>,
    pub response_bytes: i64,
    /// The answer's JSON, or the beginning of it.
    pub answer: Vec<u8>,
    /// Whether the call is to leave the ledger.
    pub is_in_ledger: bool,
}

impl Draft {
    /// Returns the bytes that it keeps: of its answer, and of the whole body of which its facts are parts.
    pub(super) fn held_bytes(&self) -> usize {
        self.facts.body_bytes() + self.answer.len()
    }

    pub(super) fn forget_texts(&mut self) {
        self.facts = Arc::new(self.facts.without_body());
        self.answer = Vec::new();
    }

    pub(super) fn ended_at(&self) -> Timestamp {
        let took = Duration::from_micros(u64::try_from(self.duration_us).unwrap_or(0));
        self.facts.started.plus(took)
    }

    /// Tells an observer how the request ended.
    pub(super) fn tell(&mut self, observer: &dyn Observer) {
        let error = self.error_type();
        let facts = &self.facts;
        observer.request_ended(&EndedRequest {
            session: facts.session,
            handle: facts.handle,
            id: &facts.request,
            method: &facts.method,
            tool: facts.tool.as_deref(),
            upstream: &facts.upstream,
            protocol_version: &facts.protocol_version,
            started: facts.started,
            took: Duration::from_micros(u64::try_from(self.duration_us).unwrap_or(0)),
            outcome: self.outcome,
            error,
            error_message: self.error.as_deref(),
            request_bytes: u64::try_from(facts.request_bytes).unwrap_or(0),
            response_bytes: u64::try_from(self.response_bytes).unwrap_or(0),
            carried: facts.carried.as_deref(),
        });
    }

    /// Returns how it failed; what is found in the answer for that is kept.
    fn error_type(&mut self) -> Option<ErrorType> {
        match self.outcome {
            Outcome::Success => return None,
            Outcome::Timeout => return Some(ErrorType::Timeout),
            Outcome::Error => {}
        }
        if let Some(code) = self.code {
            return Some(ErrorType::Code(code));
        }
        if self.answer.is_empty() {
            return Some(ErrorType::Unanswered);
        }
        let Found { code, message } = Found::in_answer(&self.answer);
        self.code = code;
        self.error = self.error.take().or(message).map(|text| shown(&text));
        // A long answer is not kept whole, so its code may be missing. JSON-RPC errors are short, and tools are
        // what answers at length.
        Some(code.map_or(ErrorType::Tool, ErrorType::Code))
    }

    /// Returns its row. What was said of it counts, and only what was not is estimated.
    pub(super) fn into_row(self, estimator: &mut Estimator, prices: &Prices) -> RequestRow {
        let facts = &self.facts;
        let notes = facts.notes.close();
        // Tokens that a service says are those of a model of its own. Those that we estimate are of the client's.
        let cost = match notes.tokens {
            Some(_) => Price::cost_of_model_micros,
            None => Price::cost_of_call_micros,
        };
        let (prompt_tokens, completion_tokens) = notes.tokens.unwrap_or_else(|| {
            let prompt = estimator.tokens(&facts.params(), facts.request_bytes);
            (prompt, estimator.tokens(&self.answer, self.response_bytes))
        });
        let (model, cost_micros) = match notes.cost_micros {
            Some(cost) => (notes.model, cost),
            None => {
                let (model, price) = prices.of(notes.model);
                let cost = price.map_or(0, |price| cost(&price, prompt_tokens, completion_tokens));
                (model, cost)
            }
        };
        let error = match self.outcome {
            Outcome::Success => None,
            Outcome::Error | Outcome::Timeout => self
                .error
                .or_else(|| Found::in_answer(&self.answer).message)
                .map(|text| shown(&text)),
        };
        RequestRow {
            call: self.is_in_ledger.then_some(facts.id),
            session: facts.session,
            method: (&*facts.method).into(),
            tool: facts.tool.as_deref().map(Into::into),
            upstream: facts.upstream.clone(),
            started: facts.started,
            duration_us: self.duration_us,
            outcome: self.outcome,
            error,
            request_bytes: facts.request_bytes,
            response_bytes: self.response_bytes,
            prompt_tokens,
            completion_tokens,
            cost_micros,
            model,
        }
    }
}

fn shown(text: &str) -> Box<str> {
    text.chars().filter(|c| *c != '\0').take(ERROR_CHARS_MAX).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_error_is_cut_off() {
        assert_eq!(shown(&"x\0".repeat(900)).len(), ERROR_CHARS_MAX);
    }
}
