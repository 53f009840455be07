//! The file of the socket: nobody else changes what is in its directory, and the umask changes nothing.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Command;

use anyhow::Result;
use sccm_tests::agent::{Agent, Hosts, POINT};

use super::{MEMBERS, NOBODY, connect_as, with_groups};

#[test]
fn no_umask_locks_the_group_out() -> Result<()> {
    let hosts = Hosts::new()?;
    let above = tempfile::tempdir()?;
    fs::set_permissions(above.path(), Permissions::from_mode(0o755))?;
    for umask in ["077", "000"] {
        let directory = above.path().join(umask);
        let path = directory.join("socket");
        let arguments = format!("{POINT} --control-socket {}", path.display());
        let (agent, _groups) =
            with_groups(&hosts, &format!("sccm-agent:x:{MEMBERS}:\n"), &arguments)?;
        let mut command: Command = hosts.point.command("sh");
        command
            .args(["-c", &format!("umask {umask} && exec \"$0\" \"$@\"")])
            .arg(agent.get_program())
            .args(agent.get_args())
            .env_remove("RUST_LOG");
        let _agent = Agent::start(&hosts.point, command)?;
        let mode = |path| -> Result<u32> { Ok(fs::metadata(path)?.permissions().mode() & 0o7777) };
        assert_eq!((mode(&directory)?, mode(&path)?), (0o755, 0o660));
        assert_eq!(fs::metadata(&path)?.gid(), MEMBERS);
        let mut stream = connect_as(NOBODY, MEMBERS, &path)?;
        stream.write_all(b"{\"command\":\"confirm\"}\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        assert!(answer.contains("nothing waits"), "{answer}");
    }
    Ok(())
}

/// Whoever may write in the directory could put a link to a file of root's in the socket's place
/// while its mode is set.
#[test]
fn a_directory_that_others_may_change_is_refused() -> Result<()> {
    let hosts = Hosts::new()?;
    let above = tempfile::tempdir()?;
    let directory = above.path().join("directory");
    let line = |path| format!("enforce {POINT} --control-socket {path}");
    for (mode, owner) in [(0o777, 0), (0o1777, 0), (0o775, 0), (0o755, NOBODY)] {
        fs::create_dir(&directory)?;
        fs::set_permissions(&directory, Permissions::from_mode(mode))?;
        chown(&directory, Some(owner), None)?;
        let inside = line(directory.join("socket").display().to_string());
        let why = "others than root may change what is in";
        hosts.run(&inside)?.assert_refused(&[why, "chmod go-w"]);
        // In one that is made there, nobody changes anything, if nobody can move it away.
        let below = line(directory.join("new/socket").display().to_string());
        match mode {
            0o1777 => drop(Agent::start(&hosts.point, hosts.command(&below)?)?),
            _ => hosts.run(&below)?.assert_refused(&[why]),
        }
        hosts.run("detach")?;
        fs::remove_dir_all(&directory)?;
    }
    hosts.assert_untouched()
}
