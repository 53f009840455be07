//! One conversation, tried without the agent and with it, and judged.

use crate::attempt::{Attempt, Outcome};
use crate::reasons::Expectation;

/// One conversation: what should happen and what did.
pub struct Row {
    /// What was tried.
    pub attempt: Attempt,
    /// What should come of it.
    pub expectation: Expectation,
    /// What came of it without the agent.
    pub without: Outcome,
    /// What came of it with the agent.
    pub with: Outcome,
}

impl Row {
    /// What should have happened, if it did not.
    pub fn fault(&self) -> Option<String> {
        let works = |outcome: &Outcome| matches!(outcome, Outcome::Worked(_));
        if !works(&self.without) {
            return Some("should work without the agent".to_owned());
        }
        let should = match (self.expectation.passes, &self.with) {
            (true, Outcome::Worked(_)) | (false, Outcome::Silent) => return None,
            (true, _) => "should work",
            (false, _) => "should be dropped",
        };
        Some(format!("{should} ({})", self.expectation.reason))
    }
}

/// How an outcome reads, with or without the agent.
pub fn words(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Worked(how) => how,
        Outcome::Silent => "no answer",
        Outcome::Odd(what) => what,
    }
}
