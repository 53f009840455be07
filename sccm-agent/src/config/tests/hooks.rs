use super::*;
use crate::policy::{HookChoice, hash_of};

#[test]
fn each_card_may_have_a_hook_of_its_own() {
    let policy = good(
        "[hooks]\neth0 = \"tc\"\n\"eth1.20\" = \"xdp\"\nlan = \"auto\"\nwg0 = \"xdp-generic\"",
    );
    let hooks: Vec<(&str, HookChoice)> = policy
        .hooks
        .iter()
        .map(|(name, hook)| (name.as_str(), *hook))
        .collect();
    let expected = [
        ("eth0", HookChoice::Tc),
        ("eth1.20", HookChoice::Xdp),
        ("lan", HookChoice::Auto),
        ("wg0", HookChoice::XdpGeneric),
    ];
    assert_eq!(hooks, expected);
    assert!(good("[hooks]").hooks.is_empty());
}

/// A file of `policy.d` may have those of one machine.
#[test]
fn hooks_of_several_files_are_one_table() {
    let files = [
        with_entry("[hooks]\neth0 = \"tc\""),
        "[hooks]\neth1 = \"xdp\"".to_owned(),
    ];
    let policy = read(&files.each_ref().map(String::as_str)).unwrap();
    assert_eq!(policy.hooks.len(), 2);
}

/// Whoever reads the hash must see that a hook changed; a policy without keeps the hash that it had.
#[test]
fn a_hook_is_part_of_the_policy() {
    let hash = |text: &str| hash_of(&good(text));
    assert_ne!(hash("[hooks]\neth0 = \"tc\""), hash(""));
    assert_ne!(
        hash("[hooks]\neth0 = \"tc\""),
        hash("[hooks]\neth0 = \"xdp\"")
    );
    assert_eq!(hash("[hooks]"), hash(""));
    let written = serde_json::to_string(&WrittenPolicy::of(&good(""))).unwrap();
    assert!(!written.contains("hooks"), "{written}");
}

#[test]
fn what_is_no_card_or_no_hook_is_refused() {
    let hooks = |line: &str, column: usize, parts: &[&str]| {
        refused(
            &with_entry(&format!("[hooks]\n{line}")),
            &format!("2:{column}"),
            parts,
        );
    };
    hooks(
        "eth0 = \"tcp\"",
        8,
        &["`tcp` is unknown here", "did you mean tc?"],
    );
    hooks(
        "eth0 = \"\"",
        8,
        &["write one of auto, xdp, tc, xdp-generic"],
    );
    hooks("eth0 = \"TC\"", 8, &["is unknown here"]);
    hooks("eth0 = 1", 8, &["text"]);
    hooks("eth0 = [\"tc\"]", 8, &["text"]);
    // A name with a dot that nobody quoted is a table.
    hooks("eth1.20 = \"tc\"", 1, &["text"]);
    for name in [
        "",
        ".",
        "..",
        "eth0/1",
        "eth0:1",
        "eth 0",
        "eth0\\u0000",
        "sixteen-letters-",
    ] {
        hooks(
            &format!("\"{name}\" = \"tc\""),
            1,
            &["is not the name of a card", "15"],
        );
    }
    refused(&with_entry("hooks = \"tc\""), "1:9", &["table"]);
    refused(
        &with_entry("[hook]\neth0 = \"tc\""),
        "1:2",
        &["did you mean hooks?"],
    );
}
