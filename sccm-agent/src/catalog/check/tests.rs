//! Broken editions against the checks.

use super::*;

/// A small edition that is in order, for breaking.
const SMALL: &str = r#"
edition = "2007"
roles = [{ id = "a", name = "A", is_a = "b" }, { id = "b", name = "B" }]
notes = [{ id = 1, kind = "k", title = "T", line = 1, effect = "E" }]
[[links]]
id = "1"
section = "S"
from = "any"
to = "a"
direction = "->"
line = 7
services = [{ service = "http", protocol = "tcp", ports = ["80"], notes = [1], line = 9 }]
"#;

#[test]
fn a_broken_edition_is_refused() {
    Catalog::parse(SMALL).unwrap();
    for (good, bad, complaint) in [
        (
            r#"edition = "2007""#,
            r#"edition = "2006""#,
            "unknown variant",
        ),
        (
            r#"id = "b", name"#,
            r#"id = "a", name"#,
            "role `a` appears twice",
        ),
        (r#"id = "b", name"#, r#"id = "any", name"#, "is not a role"),
        (r#"id = "b", name"#, r#"id = "B", name"#, "kebab-case"),
        (
            r#"is_a = "b""#,
            r#"is_a = "c""#,
            "role `a` is a `c`, which is not there",
        ),
        (
            r#"name = "B""#,
            r#"name = "B", is_a = "a""#,
            "itself by way of",
        ),
        (r#"name = "B""#, r#"name = "B", isa = "a""#, "unknown field"),
        (r#"{ id = 1"#, r#"{ id = 2"#, "note 1 is cited"),
        (
            r#"title = "T", line = 1"#,
            r#"title = "T", line = 0"#,
            "note 1 cites no line",
        ),
        (
            r#"effect = "E""#,
            r#"effect = "E", role = "c""#,
            "unknown role `c`",
        ),
        (r#"from = "any""#, r#"from = "c""#, "unknown role `c`"),
        (r#"to = "a""#, r#"to = "any""#, "unknown role `any`"),
        (r#""->""#, r#""<-""#, "unknown variant"),
        ("line = 7", "line = 0", "line 0 cited"),
        ("line = 7", "", "no line cited"),
        (r#"kind = "k""#, r#"kind = "K""#, "kind `K` is not"),
        (
            "line = 7",
            "line = 7\nsource = 'p'",
            "source `p` is not there",
        ),
        (
            "roles = [",
            "retired = [{ id = 'a', reason = 'R' }]\nroles = [",
            "retired role `a` is there",
        ),
        (
            "roles = [",
            "retired = [{ id = 'c', replaced_by = 'd', reason = 'R' }]\nroles = [",
            "unknown role `d`",
        ),
        (
            "roles = [",
            "stale = [{ id = 'c', status = 'S' }]\nroles = [",
            "unknown role `c`",
        ),
        (
            "line = 7",
            "line = 7\nopener = 'a'",
            "opener `a` is not an end",
        ),
        (
            "\"->\"\nline = 7",
            "\"<->\"\nopener = 'c'\nline = 7",
            "opener `c` is not an end",
        ),
        (
            r#"["80"]"#,
            r#"["80"], port_from = "ftp""#,
            "unknown variant",
        ),
        (
            r#"["80"]"#,
            r#"["dynamic"], port_from = "http""#,
            "cannot replace it",
        ),
        ("line = 7", "line = 7\nnotes = [3]", "note 3 is cited"),
        ("line = 7", "line = 7\nopt_in = 'A b'", "feature `A b`"),
        ("line = 9", "line = 0", "line 0 cited"),
        (", line = 9", "", "no line cited"),
        (r#"service = "http""#, r#"service = "HTTP""#, "kebab-case"),
        (r#"["80"]"#, "[]", "no ports"),
        (r#"["80"]"#, r#"["0"]"#, "not a port from 1 to 65535"),
        (r#"["80"]"#, r#"["65536"]"#, "not a port from 1 to 65535"),
        (r#"["80"]"#, r#"["90-80"]"#, "reversed"),
        (r#"["80"]"#, r#"["echo-request"]"#, "does not fit"),
        (r#""tcp""#, r#""icmp""#, "does not fit"),
        (
            r#""tcp", ports = ["80"]"#,
            r#""udp", ports = ["dynamic"]"#,
            "does not fit",
        ),
    ] {
        let text = SMALL.replacen(good, bad, 1);
        assert_ne!(text, SMALL, "`{good}` is not there");
        let error = format!("{:#}", Catalog::parse(&text).expect_err(bad));
        assert!(error.contains(complaint), "{bad}: {error}");
    }
}
