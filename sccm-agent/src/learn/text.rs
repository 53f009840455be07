//! A lesson as a fragment of a policy file, with its evidence in comments.

use super::Lesson;

const HEADER: &str = "\
# What would let the refused conversations pass that were seen, and nothing else: for the end of the policy
# file, or for a file in policy.d. Keep what your site needs, and say why. A role of [peers], where one fits,
# says more than a rule.";

pub(super) fn toml(lesson: &Lesson) -> String {
    let mut parts = vec![HEADER.to_owned()];
    let comments = |title: &str, lines: Vec<String>| {
        let lines = lines.iter().map(|line| format!("#   {}", one_line(line)));
        let lines: Vec<String> = lines.collect();
        (!lines.is_empty()).then(|| format!("# {title}\n{}", lines.join("\n")))
    };
    parts.extend(comments(
        "What systems look like, by the ports that others open:",
        lesson
            .looks_like
            .iter()
            .map(super::Likeness::text)
            .collect(),
    ));
    for rule in &lesson.rules {
        let evidence = rule
            .evidence
            .iter()
            .map(|line| format!("# {}", one_line(line)));
        let instead = rule
            .instead
            .iter()
            .map(|line| format!("# or write: {}", one_line(line)));
        let comments: Vec<String> = evidence.chain(instead).collect();
        parts.push(format!(
            "{}\n{}\n{}",
            comments.join("\n"),
            rule.table,
            rule.lines
        ));
    }
    if lesson.rules.is_empty() {
        parts.push("# No rule is needed.".to_owned());
    }
    parts.extend(comments(
        "WARNING: no rule for these, which look like reconnaissance or coercion. Find out who asks for it:",
        lesson
            .suspects
            .iter()
            .map(|one| {
                format!(
                    "{} opens {} at {}, {} packets: {}",
                    one.source, one.what, one.destination, one.packets, one.why
                )
            })
            .collect(),
    ));
    parts.extend(comments(
        "No rule for these, who have tried many ports or hosts:",
        lesson
            .scans
            .iter()
            .map(|one| {
                format!(
                    "{}: {} hosts, {} ports, {} packets",
                    one.source, one.hosts, one.ports, one.packets
                )
            })
            .collect(),
    ));
    parts.extend(comments(
        "No rule would let these pass:",
        lesson.unhelped.clone(),
    ));
    parts.join("\n\n")
}

/// Nothing that others wrote ends a comment.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
