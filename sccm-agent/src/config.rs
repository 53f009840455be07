//! A site's policy as a file. A stand-in that knows roles and TCP ports only.

use crate::policy::{Protected, Rule, SitePolicy, Target};
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    protect: Vec<Protect>,
    #[serde(default)]
    allow: Vec<AllowEntry>,
    #[serde(default)]
    management: Vec<AllowEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Protect {
    name: String,
    roles: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowEntry {
    name: String,
    protocol: String,
    ports: Vec<u16>,
}

/// Reads the file at `path`.
///
/// # Errors
/// A file that cannot be read, or is no policy.
pub fn load(path: &Path) -> Result<SitePolicy> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let file: File = toml::from_str(&text).with_context(|| path.display().to_string())?;
    let rules = |entries: Vec<AllowEntry>| {
        let rules = entries.into_iter().map(|entry| Rule {
            name: entry.name,
            targets: entry
                .ports
                .into_iter()
                .map(|port| match entry.protocol.as_str() {
                    "udp" => Target::Udp(port..=port),
                    _ => Target::Tcp(port..=port),
                })
                .collect(),
            from: Vec::new(),
            to: Vec::new(),
            reason: String::new(),
        });
        rules.collect()
    };
    Ok(SitePolicy {
        protect: file
            .protect
            .into_iter()
            .map(|entry| Protected {
                name: entry.name,
                roles: entry
                    .roles
                    .iter()
                    .map(|role| role.as_str().into())
                    .collect(),
                addresses: Vec::new(),
            })
            .collect(),
        allow: rules(file.allow),
        management: rules(file.management),
        ..SitePolicy::default()
    })
}
