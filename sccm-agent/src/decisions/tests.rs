//! What a start enforces after each decision, and what becomes of the file.

use super::*;
use crate::kernel::PinDir;
use crate::policy::{Protected, Rpc};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tokio::runtime::Builder;

fn policy(name: &str) -> SitePolicy {
    SitePolicy {
        protect: vec![Protected {
            name: name.to_owned(),
            roles: vec!["distribution-point".into()],
            addresses: vec!["10.2.0.0/24".parse().unwrap()],
            rpc: Rpc::Static,
            elsewhere: false,
        }],
        ..SitePolicy::default()
    }
}

/// Decisions of a machine that has rebooted since: nothing runs.
struct Rebooted(Decisions);

impl Rebooted {
    #[track_caller]
    fn enforces(&self, given: &str, enforced: &str) {
        let choice = self.0.choose(&hash_of(&policy(given)), None);
        let expected = match given == enforced {
            true => Choice::Given,
            false => Choice::Confirmed(Box::new(policy(enforced))),
        };
        assert_eq!(choice, expected);
    }
}

/// `a` was confirmed, then the file said `b`, which was decided about, then the machine went down.
fn after(decide: impl FnOnce(&mut Decisions)) -> Rebooted {
    let mut decisions = Decisions::unkept();
    decisions.was_given(hash_of(&policy("a")), None);
    decisions.confirm(&policy("a"));
    decide(&mut decisions);
    decisions.follow(None);
    Rebooted(decisions)
}

#[test]
fn what_was_confirmed_last_is_enforced_until_somebody_changes_the_file() {
    let b = || hash_of(&policy("b"));
    let nothing = after(|_| {});
    nothing.enforces("a", "a");
    nothing.enforces("b", "b");

    let confirmed = after(|decisions| {
        decisions.try_out(b());
        decisions.was_given(b(), None);
        decisions.confirm(&policy("b"));
    });
    confirmed.enforces("b", "b");
    confirmed.enforces("a", "a");
    assert_eq!(confirmed.0.previous(), Some(policy("a")));

    let on_trial = after(|decisions| {
        decisions.try_out(b());
        decisions.was_given(b(), None);
    });
    on_trial.enforces("b", "a");
    on_trial.enforces("c", "c");

    let rolled_back = after(|decisions| {
        decisions.was_given(b(), None);
        decisions.confirm(&policy("b"));
        decisions.roll_back_to(&policy("a"));
    });
    rolled_back.enforces("b", "a");
    rolled_back.enforces("c", "c");
    assert_eq!(rolled_back.0.previous(), Some(policy("b")));

    // The file is as it was, and the candidate was promoted.
    let promoted = after(|decisions| decisions.confirm(&policy("c")));
    promoted.enforces("a", "c");
    promoted.enforces("b", "b");
}

#[test]
fn what_runs_is_the_truth() {
    let mut decisions = after(|_| {}).0;
    let (a, b) = (hash_of(&policy("a")), hash_of(&policy("b")));
    // Somebody decided for `b`, and it could not be written down.
    assert_eq!(decisions.choose(&a, Some(&b)), Choice::Given);
    decisions.try_out(a);
    decisions.roll_back_trial();
    assert_eq!(decisions.choose(&a, Some(&b)), Choice::Running);
    assert_eq!(decisions.choose(&b, Some(&b)), Choice::Given);
}

#[test]
fn what_was_taken_back_is_asked_for_again_by_name_only() {
    let mut decisions = after(|decisions| {
        decisions.try_out(hash_of(&policy("b")));
    });
    decisions.0.confirm(&policy("c"));
    decisions.enforces("b", "c");
    decisions.0.confirm(&policy("b"));
    decisions.enforces("b", "b");
}

fn file(directory: &Path) -> StateFile {
    StateFile::new(directory, &PinDir::new(PathBuf::from("/sys/fs/bpf/lab")))
}

fn kept(directory: &Path) -> PathBuf {
    directory.join("sys-fs-bpf-lab.json")
}

fn load(directory: &Path) -> Decisions {
    Decisions::load(file(directory)).unwrap()
}

fn save(decisions: &Decisions) {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(decisions.save().wait());
}

fn saved(directory: &Path) -> Decisions {
    let mut decisions = load(directory);
    decisions.was_given([7; 32], Some(Path::new("/etc/policy.toml")));
    decisions.confirm(&policy("a"));
    decisions.confirm(&policy("b"));
    decisions.try_out([8; 32]);
    decisions.roll_back_trial();
    decisions.try_out([9; 32]);
    save(&decisions);
    decisions
}

#[test]
fn everything_is_kept_for_the_agent_alone() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("state");
    let decisions = saved(&directory);
    assert_eq!(load(&directory).known, decisions.known);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&kept(&directory))), (0o700, 0o600));
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
}

#[test]
fn a_file_that_cannot_be_read_is_moved_aside_and_decides_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path();
    let unread = kept(directory).with_extension("unread");
    saved(directory);
    let good = fs::read(kept(directory)).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let newer = String::from_utf8(good.clone()).unwrap();
    let newer = newer.replacen("\"version\":1", "\"version\":2", 1);
    for bad in [
        &b""[..],
        &good[..good.len() / 2],
        &flipped,
        newer.as_bytes(),
    ] {
        fs::write(kept(directory), bad).unwrap();
        let decisions = load(directory);
        assert_eq!(decisions.known, Known::default());
        assert_eq!(fs::read(kept(directory)).unwrap(), bad);
        save(&decisions);
        assert_eq!(fs::read(&unread).unwrap(), bad);
        assert_eq!(load(directory).known, Known::default());
    }
}

#[test]
fn others_put_no_words_into_it() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path();
    let decisions = saved(directory);
    let all = |mode| fs::Permissions::from_mode(mode);
    fs::set_permissions(kept(directory), all(0o666)).unwrap();
    assert_eq!(load(directory).known, Known::default());
    fs::set_permissions(kept(directory), all(0o600)).unwrap();
    fs::set_permissions(directory, all(0o777)).unwrap();
    let text = super::file::text(&decisions.known).unwrap();
    assert!(file(directory).save(&text).is_err());
}
