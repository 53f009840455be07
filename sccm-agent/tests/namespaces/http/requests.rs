//! Which requests are answered, and how the others are refused.

use anyhow::Result;
use nix::sys::signal::Signal;
use sccm_tests::agent::{Hosts, METRICS, POINT};

use super::client::{ask, request};

const LOCAL: &str = "Host: localhost:19470\r\n";

#[test]
fn every_request_has_its_status() -> Result<()> {
    let hosts = Hosts::new()?;
    let agent = hosts.enforce(POINT)?;
    let long = format!("{LOCAL}X-Long: {}\r\n", "x".repeat(20_000));
    let many = format!("{LOCAL}{}", "X-Many: x\r\n".repeat(200));
    let long_path = format!("/{}", "x".repeat(20_000));
    let with = |line: &str| format!("{LOCAL}{line}\r\n");
    for (method, path, lines, status) in [
        // Methods and paths.
        ("GET", "/", LOCAL, 200),
        ("GET", "/metrics", LOCAL, 200),
        ("GET", "/metrics?x=y", LOCAL, 200),
        ("HEAD", "/metrics", LOCAL, 200),
        ("GET", "/-/healthy", LOCAL, 200),
        ("GET", "/-/ready", LOCAL, 200),
        ("POST", "/metrics", LOCAL, 405),
        ("POST", "/metrics", &with("Content-Length: 1000000000"), 405),
        ("PUT", "/", LOCAL, 405),
        ("DELETE", "/-/healthy", LOCAL, 405),
        ("OPTIONS", "/-/ready", LOCAL, 405),
        ("TRACE", "/", LOCAL, 405),
        ("BREW", "/", LOCAL, 405),
        ("GET", "/nothing", LOCAL, 404),
        ("POST", "/nothing", LOCAL, 404),
        ("GET", "/metrics/", LOCAL, 404),
        ("GET", "/../../etc/passwd", LOCAL, 404),
        ("GET", "/%2e%2e/%00", LOCAL, 404),
        ("OPTIONS", "*", LOCAL, 404),
        // The name that the server is called by.
        ("GET", "/metrics", "Host: 127.0.0.1\r\n", 200),
        ("GET", "/metrics", "Host: [::1]:1\r\n", 200),
        ("GET", "/metrics", "", 400),
        ("GET", "/metrics", "Host:\r\n", 400),
        (
            "GET",
            "/metrics",
            "Host: localhost\r\nHost: localhost\r\n",
            400,
        ),
        ("GET", "/metrics", "Host: me@localhost\r\n", 400),
        ("GET", "/metrics", "Host: local host\r\n", 400),
        ("GET", "/metrics", "Host: rebind.example\r\n", 421),
        ("GET", "/metrics", "Host: rebind.example:19470\r\n", 421),
        ("GET", "/metrics", "Host: 192.0.2.2\r\n", 421),
        ("GET", "/nothing", "Host: rebind.example\r\n", 421),
        ("POST", "/metrics", "Host: rebind.example\r\n", 421),
        ("GET", "http://localhost:19470/metrics", LOCAL, 200),
        ("GET", "http://rebind.example/metrics", LOCAL, 400),
        ("CONNECT", "rebind.example:443", LOCAL, 400),
        // The page that asks.
        (
            "GET",
            "/metrics",
            &with("Origin: http://localhost:19470"),
            200,
        ),
        ("GET", "/metrics", &with("Origin: http://localhost"), 403),
        ("GET", "/", &with("Origin: https://page.example"), 403),
        (
            "POST",
            "/metrics",
            &with("Origin: https://page.example"),
            403,
        ),
        ("GET", "/-/healthy", &with("Origin: null"), 403),
        // Too much.
        ("GET", "/metrics", &long, 431),
        ("GET", "/metrics", &many, 431),
        ("GET", &long_path, LOCAL, 431),
        // No HTTP.
        ("GET", "/met rics", LOCAL, 400),
        ("G\u{1}T", "/", LOCAL, 400),
        ("GET", "/", "no header\r\n", 400),
    ] {
        let answer = ask(&hosts.point, METRICS, &request(method, path, lines))?;
        let start: String = lines.chars().take(60).collect();
        assert_eq!(
            answer.status, status,
            "{method} {path:.60} {start:?}: {answer:?}"
        );
    }
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &[0; 100],
        b"GET\n\n",
    ] {
        let answer = ask(&hosts.point, METRICS, bytes)?;
        assert!([0, 400].contains(&answer.status), "{bytes:?}: {answer:?}");
    }
    assert_eq!(agent.get("/-/ready")?.0, 200);
    let finished = agent.end(Signal::SIGTERM)?;
    assert_eq!(finished.code, Some(0));
    assert!(!finished.stderr.contains("panic"), "{finished:?}");
    Ok(())
}

#[test]
fn answers_say_what_a_browser_may_do_with_them() -> Result<()> {
    let hosts = Hosts::new()?;
    let _agent = hosts.enforce(POINT)?;
    for (method, path, lines) in [
        ("GET", "/", LOCAL),
        ("GET", "/metrics", LOCAL),
        ("GET", "/nothing", LOCAL),
        ("POST", "/metrics", LOCAL),
        ("GET", "/", "Host: rebind.example\r\n"),
    ] {
        let answer = ask(&hosts.point, METRICS, &request(method, path, lines))?;
        let policy = answer.header("content-security-policy").unwrap_or_default();
        for part in [
            "default-src 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{answer:?}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "deny"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{answer:?}");
        }
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let wrong = ask(&hosts.point, METRICS, &request("POST", "/metrics", LOCAL))?;
    assert_eq!(wrong.header("allow"), Some("get,head"));
    Ok(())
}
