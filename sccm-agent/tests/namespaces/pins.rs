//! Whose the pin directory is: whoever else could write to it, or hold its lock, is kept out.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use anyhow::Result;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use sccm_tests::agent::{Agent, Hosts, POINT, command, run};
use sccm_tests::bpffs::BpfMount;

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::metadata(path)?.mode() & 0o7777)
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
}

#[test]
fn directories_are_for_their_owner_whatever_the_umask() -> Result<()> {
    for mask in [Mode::empty(), Mode::S_IRWXO] {
        let hosts = Hosts::new()?;
        let mut enforce = hosts.command(&format!("enforce {POINT}"))?;
        let before_exec = move || {
            umask(mask);
            Ok(())
        };
        // SAFETY: umask(2) is async-signal-safe.
        unsafe { enforce.pre_exec(before_exec) };
        let agent = Agent::start(&hosts.point, enforce)?;
        for directory in [".", "maps", "links"] {
            assert_eq!(mode(&hosts.pins().join(directory))?, 0o700, "{directory}");
        }
        assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    }
    Ok(())
}

#[test]
fn what_others_own_or_may_write_is_refused_with_what_mends_it() -> Result<()> {
    let hosts = Hosts::new()?;
    let pins = hosts.pins();
    let enforce = || hosts.run(&format!("enforce {POINT}"));
    let detach = || hosts.run("detach");

    // Somebody was there first.
    fs::create_dir(&pins)?;
    chown(&pins, Some(1000), None)?;
    for refused in [enforce()?, detach()?] {
        refused.assert_refused(&["belongs to user 1000", "chown root"]);
    }
    chown(&pins, Some(0), None)?;
    set_mode(&pins, 0o777)?;
    for refused in [enforce()?, detach()?] {
        refused.assert_refused(&["others than its owner may write", "chmod 700"]);
    }
    assert_eq!(mode(&pins)?, 0o777);
    set_mode(&pins, 0o755)?;

    // As earlier versions left it: others get no further than the lock that they have.
    let held = File::open(&pins)?;
    held.try_lock()?;
    enforce()?.assert_refused(&["another sccm-agent works with"]);
    assert_eq!(mode(&pins)?, 0o700);
    drop(held);
    fs::create_dir(pins.join("links"))?;
    set_mode(&pins.join("links"), 0o770)?;
    enforce()?.assert_refused(&["links", "chmod 700"]);
    set_mode(&pins.join("links"), 0o700)?;
    let agent = hosts.enforce(POINT)?;
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    hosts.assert_untouched()
}

#[test]
fn the_way_to_it_is_looked_at_too() -> Result<()> {
    let hosts = Hosts::new()?;
    let mount = BpfMount::new()?;
    let above = mount.path().join("above");
    fs::create_dir(&above)?;
    let pins = above.join("agent");
    let enforce = || run(command(&hosts.point, &format!("enforce {POINT}"), &pins)?);
    set_mode(&above, 0o777)?;
    enforce()?.assert_refused(&["others may remove directories from", "chmod go-w"]);
    set_mode(&above, 0o755)?;
    chown(&above, Some(1000), None)?;
    enforce()?.assert_refused(&["belongs to user 1000"]);
    chown(&above, Some(0), None)?;
    // As a bpf file system is that nobody gave a mode: only owners remove.
    set_mode(&above, 0o1777)?;
    let agent = Agent::start(
        &hosts.point,
        command(&hosts.point, &format!("enforce {POINT}"), &pins)?,
    )?;
    assert_eq!(agent.end(Signal::SIGTERM)?.code, Some(0));
    Ok(())
}

#[test]
fn no_other_directory_is_touched() -> Result<()> {
    let hosts = Hosts::new()?;
    let directory = tempfile::tempdir()?;
    set_mode(directory.path(), 0o755)?;
    for line in [&format!("enforce {POINT}"), "detach"] {
        let refused = run(command(&hosts.point, line, directory.path())?)?;
        refused.assert_refused(&["is not on a bpf file system", "--pin-dir"]);
    }
    assert_eq!(mode(directory.path())?, 0o755);
    Ok(())
}
