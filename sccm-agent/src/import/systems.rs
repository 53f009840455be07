//! The list of systems, as JSON or as CSV with the same columns.

use super::mistakes::Mistakes;
use super::rows::Rows;
use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde::de::IgnoredAny;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The columns. The first three must be there.
const NAME: &str = "FullQualifiedDomainName";
const SITE: &str = "SiteCode";
const ROLES: &str = "RoleList";
const ADDRESS: &str = "IPAddress";
const PARENT: &str = "ParentSiteCode";

/// Where the list is in a JSON file that has more.
const DEFINITION: &str = "FirewallRuleDefinition";
const LIST: &str = "SystemAndRoleList";

/// One line of the list. A system may have several, as where each role is a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct System {
    pub file: PathBuf,
    pub line: usize,
    /// Its DNS name, in lower case.
    pub name: String,
    pub addresses: Vec<IpAddr>,
    pub site: String,
    pub parent: String,
    /// As they were written.
    pub roles: Vec<String>,
}

impl System {
    pub(super) fn resolve(
        &mut self,
        look_up: impl Fn(&str) -> io::Result<Vec<IpAddr>>,
        mistakes: &mut Mistakes,
    ) {
        match look_up(&self.name) {
            Ok(found) => self.addresses = found,
            Err(error) => {
                let message = format!(
                    "`{}` has no {ADDRESS}, and cannot be resolved ({error}): write its addresses",
                    self.name
                );
                mistakes.add(&self.file, self.line, message);
            }
        }
    }
}

/// A row's cells, wherever they come from.
struct Row<'a> {
    file: &'a Path,
    line: usize,
    name: &'a str,
    addresses: &'a str,
    site: &'a str,
    parent: &'a str,
    roles: Vec<&'a str>,
}

pub(super) fn read(text: &str, file: &Path, systems: &mut Vec<System>, mistakes: &mut Mistakes) {
    let before = (systems.len(), mistakes.0.len());
    match text.trim_start().starts_with(['{', '[']) {
        true => json(text, file, systems, mistakes),
        false => csv(text, file, systems, mistakes),
    }
    if before == (systems.len(), mistakes.0.len()) {
        mistakes.add(file, 0, "lists no system");
    }
}

fn add(row: &Row<'_>, systems: &mut Vec<System>, mistakes: &mut Mistakes) {
    let (file, line) = (row.file, row.line);
    let name = row.name.trim().trim_end_matches('.').to_ascii_lowercase();
    let is_dns = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 253 || !name.chars().all(is_dns) {
        mistakes.add(
            file,
            line,
            format!("`{}` is no {NAME}: write a DNS name", row.name.trim()),
        );
        return;
    }
    let mut addresses = Vec::new();
    for text in row.addresses.split([',', ';']).map(str::trim) {
        match text.parse::<IpAddr>() {
            _ if text.is_empty() => {}
            Ok(address) => addresses.push(address),
            Err(_) => mistakes.add(
                file,
                line,
                format!("`{text}`, {ADDRESS} of {name}, is not an address"),
            ),
        }
    }
    let code = |text: &str, what: &str, mistakes: &mut Mistakes| {
        let text = text.trim().to_ascii_uppercase();
        // Three letters or digits, by the product's rule.
        if !(text.is_empty() || text.len() == 3 && text.chars().all(|c| c.is_ascii_alphanumeric()))
        {
            mistakes.add(
                file,
                line,
                format!(
                    "`{text}`, {what} of {name}, is no code of a site: three letters or digits"
                ),
            );
        }
        text
    };
    let roles = row.roles.iter().map(|role| role.trim().to_owned());
    let system = System {
        file: file.to_owned(),
        line,
        addresses,
        site: code(row.site, SITE, mistakes),
        parent: code(row.parent, PARENT, mistakes),
        roles: roles.filter(|role| !role.is_empty()).collect(),
        name,
    };
    systems.push(system);
}

fn csv(text: &str, file: &Path, systems: &mut Vec<System>, mistakes: &mut Mistakes) {
    let Some(mut table) = Rows::open(text, file, &[NAME, SITE, ROLES], mistakes) else {
        return;
    };
    while let Some(record) = table.next(mistakes) {
        let cell = |column| table.cell(&record, column).unwrap_or_default();
        let row = Row {
            file,
            line: table.line(&record),
            name: cell(NAME),
            addresses: cell(ADDRESS),
            site: cell(SITE),
            parent: cell(PARENT),
            roles: cell(ROLES).split(';').collect(),
        };
        add(&row, systems, mistakes);
    }
}

fn json(text: &str, file: &Path, systems: &mut Vec<System>, mistakes: &mut Mistakes) {
    // This parser bounds the depth; the other one knows lines.
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        mistakes.add(file, error.line(), format!("is not JSON: {message}"));
        return;
    }
    let options = (CollectOptions::default(), ParseOptions::default());
    let value = match parse_to_ast(text, &options.0, &options.1) {
        Ok(parsed) => parsed.value,
        Err(error) => {
            mistakes.add(file, 0, format!("is not JSON: {error}"));
            return;
        }
    };
    let mut value = value.as_ref();
    for member in [DEFINITION, LIST] {
        if let Some(Value::Object(object)) = value
            && let Some(found) = object
                .properties
                .iter()
                .find(|one| one.name.as_str() == member)
        {
            value = Some(&found.value);
        }
    }
    let Some(Value::Array(list)) = value else {
        let message = format!("has no list of systems: \"{DEFINITION}\": {{\"{LIST}\": [...]}}");
        mistakes.add(file, 0, message);
        return;
    };
    let mut lines = Lines::new(text);
    for entry in &list.elements {
        let line = lines.of(entry.range().start);
        let Value::Object(object) = entry else {
            mistakes.add(file, line, "is no system: an object with its columns");
            continue;
        };
        let mut cell = |column: &str| text_of(object, column, (file, line), mistakes);
        let (name, addresses) = (cell(NAME).join(","), cell(ADDRESS).join(","));
        let (site, parent) = (cell(SITE).join(","), cell(PARENT).join(","));
        let roles = cell(ROLES);
        let row = Row {
            file,
            line,
            name: &name,
            addresses: &addresses,
            site: &site,
            parent: &parent,
            roles: roles.iter().flat_map(|role| role.split(';')).collect(),
        };
        add(&row, systems, mistakes);
    }
}

/// A text, or a list of texts: where a list has one, some exports write it alone.
fn text_of(
    object: &Object<'_>,
    column: &str,
    (file, line): (&Path, usize),
    mistakes: &mut Mistakes,
) -> Vec<String> {
    let is_it = |name: &str| name.eq_ignore_ascii_case(column);
    let found = object
        .properties
        .iter()
        .find(|one| is_it(one.name.as_str()));
    let values = match found.map(|found| &found.value) {
        None | Some(Value::NullKeyword(_)) => return Vec::new(),
        Some(Value::Array(list)) => list.elements.iter().collect(),
        Some(value) => vec![value],
    };
    let mut texts = Vec::new();
    for value in values {
        match value {
            Value::StringLit(text) => texts.push(text.value.to_string()),
            _ => mistakes.add(
                file,
                line,
                format!("{column} is no text, nor a list of texts"),
            ),
        }
    }
    texts
}

/// Finds the lines of places that come in order.
struct Lines<'t> {
    text: &'t str,
    seen: usize,
    line: usize,
}

impl<'t> Lines<'t> {
    const fn new(text: &'t str) -> Self {
        Self {
            text,
            seen: 0,
            line: 1,
        }
    }

    fn of(&mut self, start: usize) -> usize {
        let between = self
            .text
            .as_bytes()
            .get(self.seen..start)
            .unwrap_or_default();
        self.line += between.iter().filter(|byte| **byte == b'\n').count();
        self.seen = start;
        self.line
    }
}
