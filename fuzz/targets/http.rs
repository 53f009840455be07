//! What a client sends to the HTTP server.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sccm_tests::probes::Web;

static WEB: LazyLock<Web> = LazyLock::new(|| Web::start().expect("a server"));

fuzz_target!(|bytes: &[u8]| WEB.probe(bytes));
