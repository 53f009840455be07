//! Text that others wrote, for a terminal and for logs.
//!
//! Names of interfaces, files and processes may hold anything. What could steer a terminal, or pass for
//! a line of ours, is written as an escape.

use std::borrow::Cow;

/// The text, in which line ends are the only control characters: others, and marks that reorder what
/// is read or cannot be seen, are escaped as in Rust.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| matches!(c, '\n' | '"' | '\'' | '\\') || c.escape_debug().len() == 1;
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_plain(c) {
            true => escaped.push(c),
            false => escaped.extend(c.escape_debug()),
        }
    }
    Cow::Owned(escaped)
}

/// [`visible`], on one line: for a text that somebody else wrote.
#[must_use]
pub fn one_line(text: &str) -> String {
    visible(text).replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_others_named_steers_a_terminal() {
        for (name, seen) in [
            ("eth0", "eth0"),
            ("policy \"a\" 'b' \\ é 漢 →─", "policy \"a\" 'b' \\ é 漢 →─"),
            ("\u{1b}[2Jeth0", "\\u{1b}[2Jeth0"),
            ("a\tb\rc\u{7}\u{0}\u{9b}m", "a\\tb\\rc\\u{7}\\0\\u{9b}m"),
            (
                "\u{202e}0hte\u{2028}\u{feff}",
                "\\u{202e}0hte\\u{2028}\\u{feff}",
            ),
            ("two\nlines", "two\nlines"),
        ] {
            assert_eq!(visible(name), seen);
        }
        assert_eq!(one_line("two\nlines\u{1b}"), "two\\nlines\\u{1b}");
    }
}
