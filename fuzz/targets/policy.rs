//! Policy files.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

// In memory: a disk would be most of the time.
static FOLDER: LazyLock<tempfile::TempDir> =
    LazyLock::new(|| tempfile::tempdir_in(Path::new("/dev/shm")).expect("a folder"));

fuzz_target!(|bytes: &[u8]| sccm_tests::probes::policy(FOLDER.path(), bytes));
