//! A second reading of a policy file and of the catalog's rows: slow, by hand, and by nobody
//! else's code.
//!
//! [`Document`] is the file as serde reads it, [`Interpreter`] answers who may open what to whom by
//! walking every list and every link anew. Both share nothing with the policy compiler, the site's
//! settings or the tables but the rows of the catalog: they must agree only because both are right.
//! Tests of the compiled rights and the differential fuzzer ask here.

mod document;
mod holders;
mod interpreter;
mod names;
mod random;
mod rows;

pub use document::{
    Addresses, Document, Ends, Entry, Management, OutRule, Outbound, Outward, Publish, Rule, Site,
};
pub use interpreter::{Interpreter, THIS_MACHINE, Way};
pub use names::Names;
pub use rows::{Carrier, Span};
