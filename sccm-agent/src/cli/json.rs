//! The shapes of what `-o json` prints and of what the control socket speaks: `docs/schemas` and
//! `docs/json.md` are written from the types.

use super::{Failure, blocked, definition, doctor, import, roles, status, version};
use crate::bundle::{Counters, KernelFacts};
use crate::catalog::{Catalog, Diff};
use crate::check::Report;
use crate::control::{Answer, Request};
use crate::coverage::Coverage;
use crate::diff::Difference;
use crate::expect::Verdicts;
use crate::flows;
use crate::import::Drift;
use crate::learn::Lesson;
use crate::openings::Learned;
use crate::policies::Outcome;
use crate::policy::Explanation;
use crate::replay::Summary;
use crate::unused::Unused;
use sccm_tests::document::assert_current;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// A file of `docs/schemas` without `.json`, and who prints that.
struct Document {
    name: &'static str,
    what: &'static str,
    schema: Schema,
}

impl Document {
    fn new<T: JsonSchema>(name: &'static str, what: &'static str) -> Self {
        let settings = SchemaSettings::draft2020_12();
        // Of all documents, only requests are read.
        let settings = match name {
            "request" => settings.for_deserialize(),
            _ => settings.for_serialize(),
        };
        Self {
            name,
            what,
            schema: settings.into_generator().into_root_schema_for::<T>(),
        }
    }
}

/// One question has one answer, unless both ends are protected.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its shape is wanted")]
enum Explanations {
    /// The answer.
    One(Box<Explanation>),
    /// Both ends are protected: how it leaves the one, and how it reaches the other.
    Both(Vec<Explanation>),
}

fn documents() -> [Document; 28] {
    [
        Document::new::<status::Status>("status", "`sccm-agent status -o json` prints"),
        Document::new::<doctor::Examination>("doctor", "`sccm-agent doctor -o json` prints"),
        Document::new::<blocked::Listing>("blocked", "`sccm-agent blocked -o json` prints"),
        Document::new::<Explanations>(
            "explain",
            "`sccm-agent explain -o json` prints, and a list of two where both ends are protected",
        ),
        Document::new::<Coverage>("coverage", "`sccm-agent coverage -o json` prints"),
        Document::new::<Difference>("diff", "`sccm-agent diff A B -o json` prints"),
        Document::new::<Unused>("unused", "`sccm-agent unused -o json` prints"),
        Document::new::<Verdicts>("test", "`sccm-agent test -o json` prints"),
        Document::new::<Summary>("replay", "`sccm-agent replay -o json` prints"),
        Document::new::<Lesson>("learn", "`sccm-agent learn -o json` prints"),
        Document::new::<Report>("check", "`sccm-agent check -o json` prints"),
        Document::new::<Catalog>("catalog", "`sccm-agent catalog -o json` prints"),
        Document::new::<Diff>(
            "catalog-diff",
            "`sccm-agent catalog diff FROM TO -o json` prints",
        ),
        Document::new::<roles::RoleList<'_>>("roles", "`sccm-agent roles -o json` prints"),
        Document::new::<roles::RoleDetail<'_>>("role", "`sccm-agent roles ROLE -o json` prints"),
        Document::new::<import::Text>("import", "`sccm-agent import -o json` prints"),
        Document::new::<Drift>(
            "import-diff",
            "`sccm-agent import --diff FILE -o json` prints",
        ),
        Document::new::<flows::Listing>(
            "flows",
            "`sccm-agent flows -o json` prints, and `flows --load` reads",
        ),
        Document::new::<flows::Loaded>(
            "flows-load",
            "`sccm-agent flows --load FILE -o json` prints",
        ),
        Document::new::<Learned>(
            "openings",
            "`sccm-agent openings --read FILE -o json` prints",
        ),
        Document::new::<crate::openings::Live>(
            "openings-live",
            "`sccm-agent openings -o json` prints",
        ),
        Document::new::<Outcome>(
            "outcome",
            "`reload`, `promote`, `confirm` and `rollback` print with `-o json`",
        ),
        Document::new::<version::Version>("version", "`sccm-agent version -o json` prints"),
        Document::new::<Counters>(
            "bundle-counters",
            "`counters.json` of a `support-bundle` holds",
        ),
        Document::new::<KernelFacts>("bundle-kernel", "`kernel.json` of a `support-bundle` holds"),
        Document::new::<Failure<'_>>("failure", "every command prints with `-o json` if it fails"),
        Document::new::<Request>("request", "the control socket takes, on a line"),
        Document::new::<Answer>("answer", "the control socket answers, on a line"),
    ]
}

/// The schemas of the parts that a document refers to.
struct Parts<'a>(Option<&'a Map<String, Value>>);

impl<'a> Parts<'a> {
    /// What stands behind a reference. A description beside the reference comes before its own.
    fn follow(&self, schema: &'a Value) -> &'a Value {
        let target = schema["$ref"].as_str();
        let name = target.and_then(|target| target.strip_prefix("#/$defs/"));
        match name {
            Some(name) => &self.0.unwrap()[name],
            None => schema,
        }
    }

    /// The kinds of values of a schema, without the word for none.
    fn choices(&self, schema: &'a Value) -> Vec<&'a Value> {
        // What stands beside a reference says which choice it is.
        let schema = match schema["properties"].is_object() {
            true => schema,
            false => self.follow(schema),
        };
        let choices = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
        match choices {
            Some(choices) => choices
                .iter()
                .filter(|choice| choice["type"] != "null")
                .flat_map(|choice| self.choices(choice))
                .collect(),
            None => vec![schema],
        }
    }

    fn may_lack(&self, schema: &Value) -> bool {
        let is_null = |kind: &Value| kind == "null" || kind["type"] == "null";
        ["anyOf", "type"].iter().any(|key| {
            schema[key]
                .as_array()
                .is_some_and(|of| of.iter().any(is_null))
        })
    }

    /// What a value is, in a word or two.
    fn kind(&self, schema: &'a Value) -> String {
        let mut kinds = Vec::new();
        for choice in self.choices(schema) {
            let kind = match &choice["type"] {
                Value::String(kind) => kind.clone(),
                Value::Array(kinds) => kinds[0].as_str().unwrap().to_owned(),
                _ => String::new(),
            };
            let values = choice["enum"].as_array().cloned().unwrap_or_default();
            let constant = Some(choice["const"].clone()).filter(|value| !value.is_null());
            let values: Vec<String> = values
                .iter()
                .chain(&constant)
                .map(|value| format!("`{value}`"))
                .collect();
            let kind = match kind.as_str() {
                "array" => format!("list of {}", self.kind(&choice["items"])),
                "string" if !values.is_empty() => values.join(", "),
                other => other.to_owned(),
            };
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        if self.may_lack(schema) {
            kinds.push("`null`".to_owned());
        }
        kinds.join(", ")
    }

    /// A row for each field at and below `path`.
    fn rows(&self, text: &mut String, path: &str, schema: &'a Value) {
        let choices = self.choices(schema);
        for choice in &choices {
            // A list of what may also stand alone has no rows of its own.
            if choice["items"].is_object() && choices.len() == 1 {
                self.rows(text, &format!("{path}[]"), &choice["items"]);
            }
            let is_sign = |field: &&Value| !field["const"].is_null();
            let signs = choice["properties"].as_object().into_iter().flatten();
            let path = match signs.clone().find(|(_, field)| is_sign(field)) {
                Some((key, field)) => format!("{path}{{{key}={}}}", field["const"]),
                None => path.to_owned(),
            };
            let choice = self.follow(choice);
            let fields = choice["properties"].as_object().into_iter().flatten();
            let mut fields = fields.filter(|(_, field)| !is_sign(field)).peekable();
            if fields.peek().is_none() && !path.is_empty() && choice["type"] == "object" {
                writeln!(text, "| `{path}` | object | {} |", meaning(choice)).unwrap();
            }
            let required = choice["required"].as_array().into_iter().flatten();
            let required: Vec<&str> = required.filter_map(Value::as_str).collect();
            for (name, field) in fields {
                let at = match path.as_str() {
                    "" => name.clone(),
                    path => format!("{path}.{name}"),
                };
                let said = match meaning(field) {
                    said if said.is_empty() => meaning(self.follow(field)),
                    said => said,
                };
                assert_ne!(said, "", "{at} has a comment");
                let absent = match required.contains(&name.as_str()) {
                    true => "",
                    false => " May be absent.",
                };
                let kind = self.kind(field);
                writeln!(text, "| `{at}` | {kind} | {said}{absent} |").unwrap();
                self.rows(text, &at, field);
            }
        }
    }
}

fn meaning(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.replace('\n', " ")
}

/// The whole of `docs/json.md`.
fn page(documents: &[Document]) -> String {
    let mut text = String::from(include_str!("json.md"));
    for Document { name, what, schema } in documents {
        let schema = schema.as_value();
        write!(
            text,
            "\n## `{name}`\n\nWhat {what}: [schemas/{name}.json](schemas/{name}.json).\n\n\
             | field | value | meaning |\n|---|---|---|\n"
        )
        .unwrap();
        Parts(schema["$defs"].as_object()).rows(&mut text, "", schema);
    }
    text
}

#[test]
fn the_documents_are_written_from_the_types() {
    let documents = documents();
    for Document { name, schema, .. } in &documents {
        let text = serde_json::to_string_pretty(schema).unwrap() + "\n";
        assert_current(&format!("schemas/{name}.json"), &text);
    }
    assert_current("json.md", &page(&documents));
}

#[test]
fn every_command_that_prints_json_has_a_schema() {
    let documents = documents();
    for command in definition().get_subcommands() {
        let prints_json = command
            .get_arguments()
            .any(|flag| flag.get_id() == "output");
        let (name, whole) = (command.get_name(), format!("`{}`", command.get_name()));
        let whole = [whole, format!("`sccm-agent {name} ")];
        let is_told = |document: &Document| whole.iter().any(|one| document.what.contains(one));
        assert!(
            !prints_json || documents.iter().any(is_told),
            "`{name} -o json` has no schema: add a `Document` to {}",
            file!()
        );
    }
}
