//! What every part of the reader needs at hand.

use super::files::{Budget, PolicyFile};
use super::location::{Location, Problem, Problems, Span};
use std::path::Path;

/// Prefixes of all lists together.
pub const MAX_PREFIXES: usize = 100_000;

/// Rules, `[[allow]]` and `[[management.allow]]` together.
pub const MAX_RULES: usize = 4096;

/// The files, what is wrong with them, and what may still be read.
pub(super) struct Context<'a> {
    pub files: &'a [PolicyFile],
    /// What lists of addresses are relative to.
    pub folder: &'a Path,
    pub problems: Problems,
    pub bytes: Budget,
    /// Prefixes that have been named.
    prefixes: usize,
}

impl<'a> Context<'a> {
    pub(crate) fn new(files: &'a [PolicyFile], folder: &'a Path, bytes: Budget) -> Self {
        Self {
            files,
            folder,
            problems: Problems::default(),
            bytes,
            prefixes: 0,
        }
    }

    /// Notes a mistake.
    pub(crate) fn refuse(&mut self, span: Span, message: impl Into<String>) {
        let files = self.files;
        self.problems.add(|| location(files, span), message);
    }

    /// Notes a mistake in a list of addresses.
    pub(crate) fn refuse_elsewhere(&mut self, problem: Problem) {
        self.problems.add(|| problem.location, problem.message);
    }

    /// Where a span is.
    pub(crate) fn location(&self, span: Span) -> Location {
        location(self.files, span)
    }

    /// Counts prefixes, and says once where there are too many.
    pub(crate) fn count(&mut self, prefixes: usize, span: Span) -> bool {
        let before = self.prefixes;
        self.prefixes = before.saturating_add(prefixes);
        if before <= MAX_PREFIXES && self.prefixes > MAX_PREFIXES {
            let message = format!(
                "with this the policy names more than {MAX_PREFIXES} prefixes (a name counts \
                 as all addresses behind it): name fewer or wider prefixes"
            );
            self.refuse(span, message);
        }
        self.prefixes <= MAX_PREFIXES
    }
}

fn location(files: &[PolicyFile], span: Span) -> Location {
    let file = &files[span.file];
    Location::within(&file.path, &file.text, span.start)
}
