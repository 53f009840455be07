//! Files that are missing, strange, too large, or several.

use super::{EXAMPLE, Folder, SMALL};
use anyhow::Result;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::os::unix::fs::symlink;

#[test]
fn the_example_is_a_policy() -> Result<()> {
    let folder = Folder::new()?;
    folder.write("policy.toml", EXAMPLE)?;
    let policy = folder.load()?;
    assert_eq!(policy.protect.len(), 3);
    // The last is that of the set `managed`.
    assert_eq!(policy.allow.len(), 3);
    assert_eq!(policy.outbound_allow.len(), 2);
    assert_eq!(policy.management.len(), 1);
    assert_eq!(policy.peers.map(|peers| peers.len()), Some(8));
    Ok(())
}

#[test]
fn the_other_way_of_each_comment_of_the_example_is_good_too() -> Result<()> {
    let folder = Folder::new()?;
    let text = EXAMPLE
        .replace("# enable = ", "enable = ")
        .replace("# internal = ", "internal = ")
        .replace("client = [\"10.64", "# client = [\"10.64")
        .replace("# client = { file", "client = { file");
    folder.write("policy.toml", &text)?;
    folder.write(
        "clients.txt",
        "\u{feff}10.63.0.0/16\n# head office\n10.64.0.0/12 # floors 1 to 3\n\n  2001:db8:64::/48\r\n",
    )?;
    let policy = folder.load()?;
    assert!(policy.site.features.contains("named-pipes"));
    assert_eq!(policy.internal.len(), 2);
    let clients = &policy.peers.expect("peers")[&"client".into()];
    let clients: Vec<String> = clients.iter().map(ToString::to_string).collect();
    assert_eq!(
        clients,
        ["10.63.0.0/16", "10.64.0.0/12", "2001:db8:64::/48"]
    );
    Ok(())
}

#[test]
fn files_beside_the_policy_are_merged_in_the_order_of_their_names() -> Result<()> {
    let folder = Folder::new()?;
    let rule = |name: &str| {
        format!(
            "[[allow]]\nname = \"{name}\"\nprotocol = \"gre\"\nfrom = \"any\"\nreason = \"r\"\n"
        )
    };
    folder.write("policy.toml", SMALL)?;
    folder.write("policy.d/20-b.toml", rule("b"))?;
    folder.write("policy.d/10-a.toml", rule("a"))?;
    // What editors and package managers leave behind is no policy.
    folder.write("policy.d/.10-a.toml", "nonsense")?;
    folder.write("policy.d/10-a.toml~", "nonsense")?;
    folder.write("policy.d/README", "nonsense")?;
    let names: Vec<String> = folder
        .load()?
        .allow
        .into_iter()
        .map(|rule| rule.name)
        .collect();
    assert_eq!(names, ["a", "b"]);

    folder.write("policy.d/30-c.toml", rule("a"))?;
    folder.assert_refused(
        "FOLDER/policy.d/30-c.toml:2:8: the name `a` is given already, at \
         FOLDER/policy.d/10-a.toml:2:8: every [[allow]] needs its own",
    );
    Ok(())
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_reason() -> Result<()> {
    let folder = Folder::new()?;
    folder.assert_refused("FOLDER/policy.toml: there is no such file");
    symlink("gone.toml", folder.policy())?;
    folder.assert_refused("FOLDER/policy.toml: is a symbolic link to a file that does not exist");
    folder.write("gone.toml", SMALL)?;
    folder.load()?;
    std::fs::remove_file(folder.policy())?;
    std::fs::create_dir(folder.policy())?;
    folder.assert_refused("FOLDER/policy.toml: is a directory: name a file in it");
    std::fs::remove_dir(folder.policy())?;
    // Nobody writes into it: whoever opened it would wait for ever.
    mkfifo(&folder.policy(), Mode::S_IRWXU)?;
    folder.assert_refused("FOLDER/policy.toml: is not a regular file");
    std::fs::remove_file(folder.policy())?;
    folder.write("policy.toml", SMALL)?;
    folder.write("policy.d", "")?;
    folder.assert_refused("FOLDER/policy.d: a part of this path is not a directory");
    Ok(())
}

#[test]
fn text_that_is_not_utf_8_is_refused_at_its_place() -> Result<()> {
    let folder = Folder::new()?;
    folder.write(
        "policy.toml",
        [SMALL.as_bytes(), b"# gr\xf6\xdfe\n"].concat(),
    )?;
    folder.assert_refused("FOLDER/policy.toml:4:5: is not UTF-8 here: save the file as UTF-8");
    Ok(())
}

#[test]
fn lists_in_files_are_refused_at_their_lines() -> Result<()> {
    let folder = Folder::new()?;
    folder.write(
        "policy.toml",
        format!("[peers]\nclient = {{ file = \"clients.txt\" }}\n{SMALL}"),
    )?;
    folder.assert_refused("FOLDER/policy.toml:2:19: FOLDER/clients.txt: there is no such file");
    folder.write(
        "clients.txt",
        "10.0.0.0/8\n  10.0.0.1/8 # x\nhost.example\n",
    )?;
    folder.assert_refused(
        "FOLDER/clients.txt:2:3: has bits set behind its prefix length, unlike 192.0.2.0/24\n\
         FOLDER/clients.txt:3:1: is not an address or a prefix, such as 192.0.2.0/24",
    );
    folder.write("clients.txt", "# nobody yet\n")?;
    folder.assert_refused(
        "FOLDER/policy.toml:2:19: FOLDER/clients.txt lists no address: it needs at least one",
    );
    folder.write("clients.txt", b"10.0.0.0/8\n\xff")?;
    folder.assert_refused("FOLDER/clients.txt:2:1: is not UTF-8 here: save the file as UTF-8");
    folder.write("clients.txt", "10.0.0.0/8\n".repeat(100_001))?;
    folder.assert_refused(
        "FOLDER/policy.toml:2:10: with this the policy names more than 100000 prefixes (a name \
         counts as all addresses behind it): name fewer or wider prefixes",
    );
    folder.write("clients.txt", "10.0.0.0/8\n".repeat(100_000))?;
    assert!(folder.load().is_ok());
    Ok(())
}

#[test]
fn all_files_together_have_a_limit() -> Result<()> {
    let folder = Folder::new()?;
    let line = "# 16 characters\n";
    let half = line.repeat(8 * 1024 * 1024 / line.len());
    folder.write("policy.toml", format!("{SMALL}{half}"))?;
    folder.load()?;
    folder.write("policy.d/more.toml", &half)?;
    folder.assert_refused(
        "FOLDER/policy.d/more.toml: with this file the policy is larger than 16 MiB: name fewer \
         or wider prefixes",
    );
    Ok(())
}

#[test]
fn a_file_without_a_folder_is_in_this_one() {
    let error = sccm_agent::config::load("no-such-policy.toml".as_ref()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no-such-policy.toml: there is no such file"
    );
}
