//! Structured logs, on standard error or in systemd's journal.
//!
//! `--log-format` decides; the agent does not guess, because a unit's standard error goes to
//! the journal, too. Users rely on the names of fields: `docs/logs.md` lists them.

use crate::visible::visible;
use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use std::env;
use std::fmt::Debug;
use std::io::{self, IsTerminal as _};
use tracing::field::Field;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::{self, MakeWriter, format};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// Prefix of every field's name in the journal, so that no field is taken for the journal's own.
const PREFIX: &str = "SCCM";

/// How log lines look, and where they go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on standard error, for people
    #[default]
    Text,
    /// JSON on standard error, one object a line
    Json,
    /// Fields of systemd's journal, such as SCCM_REASON
    Journald,
}

/// Starts logging. `RUST_LOG` chooses levels; the default is `info`.
///
/// # Errors
/// `RUST_LOG` chooses nothing; [`LogFormat::Journald`] is chosen, and there is no journal.
pub fn init(format: LogFormat) -> Result<()> {
    // netlink_proto warns when we close a netlink connection, as the agent does when it ends.
    let default = "info,netlink_proto=error";
    let chosen = env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let filter = filter(if chosen.is_empty() { default } else { &chosen })?;
    let layer = match format {
        LogFormat::Text => text(io::stderr, io::stderr().is_terminal()),
        LogFormat::Json => json(io::stderr),
        LogFormat::Journald => journald()?,
    };
    tracing_subscriber::registry()
        .with(layer)
        .with(filter)
        .init();
    Ok(())
}

/// Reads what `RUST_LOG` says. A bare word that is no level would be taken for a module's name, and
/// nothing be logged.
fn filter(chosen: &str) -> Result<EnvFilter> {
    let is_level = |word: &str| word.trim().parse::<LevelFilter>().is_ok();
    let means_something = |word: &str| is_level(word) || word.contains(['=', '[', ':']);
    let wrong = chosen.split(',').find(|word| !means_something(word));
    ensure!(
        wrong.is_none(),
        "RUST_LOG={chosen}: write a level (error, warn, info, debug, trace or off), or MODULE=LEVEL, \
         with commas between"
    );
    EnvFilter::try_new(chosen).with_context(|| format!("RUST_LOG={chosen}"))
}

type AnyLayer = Box<dyn Layer<Registry> + Send + Sync>;

fn text<W>(writer: W, is_terminal: bool) -> AnyLayer
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    fmt::layer()
        .with_target(false)
        .with_writer(writer)
        .with_ansi(is_terminal)
        .fmt_fields(format::debug_fn(field).delimited(" "))
        .boxed()
}

/// Writes a field, whatever it holds, on the record's one line: a list of mistakes has several.
fn field(to: &mut format::Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    let text = format!("{value:?}");
    let line = visible(&text).replace('\n', "; ");
    match field.name() {
        "message" => to.write_str(&line),
        name => write!(to, "{name}={line}"),
    }
}

fn json<W>(writer: W) -> AnyLayer
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    fmt::layer()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_writer(writer)
        .boxed()
}

fn journald() -> Result<AnyLayer> {
    let layer = tracing_journald::layer().context(
        "logging to systemd's journal, at /run/systemd/journal/socket: where there is none, \
         --log-format text or json writes to standard error",
    )?;
    let layer = layer
        .with_field_prefix(Some(PREFIX.to_owned()))
        .with_syslog_identifier("sccm-agent".to_owned())
        .with_priority_mappings(PriorityMappings {
            info: Priority::Informational,
            debug: Priority::Debug,
            ..PriorityMappings::new()
        });
    Ok(layer.boxed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[test]
    fn what_chooses_nothing_is_refused() {
        for chosen in [
            "debug",
            "off",
            "warn,sccm_agent=trace",
            "sccm_agent::http=debug",
        ] {
            assert!(filter(chosen).is_ok(), "{chosen}");
        }
        for chosen in ["verbose", "info,verbos", "sccm_agent=loud", "a=b=c"] {
            let error = format!("{:#}", filter(chosen).expect_err(chosen));
            assert!(
                error.starts_with(&format!("RUST_LOG={chosen}: ")),
                "{error}"
            );
        }
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const HOSTILE: [&str; 6] = [
        "\"},{\"reason\":\"service\"}",
        "two\nlines\r\n",
        "\u{1b}[2J\u{0}\u{7f}\t\\",
        "\u{202e}right to left \u{2028} line separator",
        "'$(reboot)' `x` %s {} {0}",
        "\u{fffd}\u{10ffff}",
    ];

    #[test]
    fn text_is_one_line_a_record() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = text(move || writer.clone(), false);
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!("the policy stays: a.toml:1:1: no\na.toml:2:1: nor this");
            tracing::info!(generation = 2, "published");
        });
        let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let records: Vec<&str> = written.lines().collect();
        assert_eq!(records.len(), 2, "{written}");
        assert!(records[0].ends_with("a.toml:1:1: no; a.toml:2:1: nor this"));
        assert!(records[1].ends_with("published generation=2"), "{written}");
    }

    #[test]
    fn text_is_one_plain_line_whatever_is_said() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = text(move || writer.clone(), false);
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            for text in HOSTILE {
                tracing::info!(interface = text, source = %text, port = 445_u16, "{text}");
            }
        });
        let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(written.lines().count(), HOSTILE.len(), "{written}");
        for line in written.lines() {
            let hidden = |c: char| c.is_control() || "\u{202e}\u{2028}".contains(c);
            assert!(!line.contains(hidden), "{line}");
            assert!(line.ends_with(" port=445"), "{line}");
        }
    }

    #[test]
    fn json_is_one_object_a_line_whatever_is_said() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::registry().with(json(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            for text in HOSTILE {
                tracing::info!(interface = text, source = %text, port = 445_u16, "{text}");
            }
        });
        let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let objects: Vec<Value> = written
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(objects.len(), HOSTILE.len(), "{written}");
        for (object, text) in objects.iter().zip(HOSTILE) {
            for field in ["interface", "source", "message"] {
                assert_eq!(object[field], text);
            }
            assert_eq!(object["level"], "INFO");
            assert_eq!(object["port"], 445);
            assert!(object["timestamp"].is_string());
            assert_eq!(object.as_object().unwrap().len(), 6, "{object}");
        }
    }
}
