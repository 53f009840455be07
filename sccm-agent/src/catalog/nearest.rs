//! Which of the known names somebody may have meant.

/// How alike two names must be to be worth a suggestion, from 0 to 1.
const ALIKE: f64 = 0.8;

/// At most this many suggestions.
const MOST: usize = 3;

/// The names that look most like `asked`, best first; perhaps none.
#[must_use]
pub fn nearest<'a>(asked: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let asked = asked.to_lowercase().replace(['_', ' '], "-");
    let mut scored: Vec<(f64, &str)> = names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&asked, name), name))
        .filter(|(score, _)| *score >= ALIKE)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored
        .into_iter()
        .take(MOST)
        .map(|(_, name)| name.to_owned())
        .collect()
}
