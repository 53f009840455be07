use super::*;

const RULE: &str = "[[allow]]\nname = \"NAME\"\nprotocol = \"tcp\"\nports = [22]\nfrom = \"any\"\n\
                    reason = \"r\"\n";

fn rule(name: &str) -> String {
    RULE.replace("NAME", name)
}

#[test]
fn files_add_up() {
    let first = with_entry("[site]\nhttp-port = 8080\n[peers]\nclient = \"any\"");
    let second = format!(
        "[site]\nsql-port = 1500\n[peers]\nprovider = [\"10.1.0.1\"]\n{}",
        rule("b")
    );
    let third = rule("a");
    let policy = read(&[&first, &second, &third]).unwrap();
    assert_eq!(policy.site.http.http().get(), 8080);
    assert_eq!(policy.site.sql.get(), 1500);
    assert_eq!(policy.peers.unwrap().len(), 2);
    let names: Vec<&str> = policy.allow.iter().map(|rule| &*rule.name).collect();
    assert_eq!(names, ["b", "a"]);
}

#[test]
fn the_edition_may_be_said_in_any_file() {
    let policy = read(&[&with_entry(""), "[site]\nedition = \"2007\""]).unwrap();
    assert_eq!(policy.site.catalog.edition, Edition::V2007);
    let problems = read(&[&with_entry(""), "[site]\nedition = \"1999\""]).unwrap_err();
    let problems = problems.to_string();
    assert!(
        problems.starts_with("10.toml:2:11: there is no edition `1999`"),
        "{problems}"
    );
}

#[test]
fn a_policy_that_does_not_say_its_edition_is_noticed() {
    let notice = |texts: &[&str]| read_with_notice(texts).unwrap().notice;
    let unsaid = notice(&[
        &with_entry("[peers]\nclient = \"any\""),
        "[site]\nsql-port = 1500",
    ]);
    let unsaid = unsaid.unwrap().to_string();
    assert!(
        unsaid.starts_with("policy.toml:1:1: the policy does not say its edition"),
        "{unsaid}"
    );
    assert!(unsaid.contains("edition = \"current-branch\""), "{unsaid}");
    for edition in Edition::ALL {
        let said = format!("[site]\nedition = \"{edition}\"");
        assert_eq!(notice(&[&with_entry(""), &said]), None);
    }
}

#[test]
fn conflicts_name_both_locations() {
    let base = with_entry("[site]\nhttp-port = 8080\n[peers]\nclient = [\"10.0.0.0/8\"]");
    let rules = with_entry(&rule("a"));
    for (first, second, expected) in [
        (
            &base,
            "[site]\n  http-port = 8081",
            "10.toml:2:3: `http-port` is set already, at policy.toml:2:1",
        ),
        (
            &base,
            "[peers]\nclient = [\"11.0.0.0/8\"]",
            "10.toml:2:1: `client` is set already, at policy.toml:4:1",
        ),
        (
            &base,
            "[[protect]]\nname = \"dp\"\nroles = [\"client\"]\naddresses = [\"10.3.0.1\"]",
            "10.toml:2:8: the name `dp` is given already, at policy.toml:6:8",
        ),
        (
            &rules,
            &rule("a"),
            "10.toml:2:8: the name `a` is given already, at policy.toml:2:8",
        ),
        (
            &base,
            "protect = 5",
            "10.toml:1:1: `protect` is set already, at policy.toml:5:3",
        ),
    ] {
        let problems = read(&[first, second]).unwrap_err().to_string();
        assert!(problems.starts_with(expected), "{problems}");
    }
}

#[test]
fn a_key_is_set_once_in_a_file() {
    let text = "[site]\nsql-port = 1\nsql-port = 2";
    refused(text, "3:1", &["`sql-port` is set twice"]);
    refused("[site]\n[site]", "2:2", &["`site` is set twice"]);
}

#[test]
fn a_name_is_for_one_rule_of_either_kind() {
    let text = with_entry(&(rule("a") + rule("a").replace("allow", "management.allow").as_str()));
    refused(&text, "8:8", &["`a` is given already, at policy.toml:2:8"]);
}

#[test]
fn every_file_that_is_no_toml_is_named() {
    let problems = read(&["a = ", "[[[", "x"]).unwrap_err();
    let files: Vec<_> = problems
        .list()
        .iter()
        .map(|p| p.location.to_string())
        .collect();
    assert_eq!(
        files,
        ["10.toml:1:3", "20.toml:1:2", "policy.toml:1:5"],
        "{problems}"
    );
}
