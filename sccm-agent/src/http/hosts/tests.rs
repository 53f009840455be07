use super::*;

fn know(extra: &[&str], called: &str, local: &str) -> bool {
    let extra: Vec<HostName> = extra.iter().map(|name| name.parse().unwrap()).collect();
    Hosts::new(&extra).know(&called.parse().unwrap(), local.parse().unwrap())
}

#[test]
fn loopback_and_the_own_address_are_known_with_any_port() {
    for called in [
        "localhost",
        "LocalHost:9",
        "127.0.0.1:19470",
        "127.8.9.1",
        "[::1]:80",
        "[::ffff:127.0.0.1]",
        "192.0.2.1:19470",
    ] {
        assert!(know(&[], called, "192.0.2.1"), "{called}");
    }
    assert!(know(&[], "[2001:db8::1]:19470", "2001:db8::1"));
}

#[test]
fn names_that_somebody_else_can_own_are_not() {
    for called in [
        "rebind.example",
        "192.0.2.2",
        "localhost.example",
        "127.0.0.1.example",
        "[2001:db8::2]",
        "localhost.",
        "0x7f000001",
    ] {
        assert!(!know(&[], called, "192.0.2.1"), "{called}");
    }
}

#[test]
fn further_names_and_addresses_are_known_when_given() {
    let extra = ["Gateway.example.org", "203.0.113.9", "[2001:db8::7]"];
    for called in ["gateway.EXAMPLE.org:1", "203.0.113.9", "[2001:db8::7]:443"] {
        assert!(know(&extra, called, "192.0.2.1"), "{called}");
    }
    assert!(!know(&extra, "example.org", "192.0.2.1"));
}

#[test]
fn what_is_no_name_is_refused() {
    for text in ["", "gateway:19470", "http://gateway", "a b", "näme", "a/b"] {
        let error = text.parse::<HostName>().unwrap_err().to_string();
        assert!(error.contains("without a port"), "{error}");
    }
}

#[test]
fn a_page_is_own_by_host_and_port() {
    let called: Authority = "localhost:19470".parse().unwrap();
    for (origin, own) in [
        ("http://localhost:19470", true),
        ("https://LOCALHOST:19470", true),
        ("http://localhost", false),
        ("http://localhost:8080", false),
        ("https://page.example", false),
        ("localhost:19470", false),
        ("null", false),
        ("", false),
    ] {
        assert_eq!(is_own_page(origin, &called), own, "{origin}");
    }
}
