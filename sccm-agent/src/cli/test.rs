//! `sccm-agent test`: whether a policy does what its `[[expect]]` say.

use crate::config;
use crate::expect::{self, Outcome, Verdicts};
use crate::output;
use crate::policy::Surroundings;
use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Test whether a policy does what its [[expect]] say
///
/// Exits with 0 if it does, 1 if not, 2 on errors.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct TestArgs {
    /// Policy file; the files of policy.d beside it are read, too
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// On a gateway: address of the gateway itself; repeatable
    #[arg(long, value_name = "ADDRESS")]
    own: Vec<IpAddr>,

    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: TestFormat,
}

/// Output format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum TestFormat {
    /// Lines
    #[default]
    Table,
    /// JSON
    Json,
    /// JUnit's XML, as CI servers read it
    Junit,
}

const EXAMPLES: &str = "\
Examples:
  sccm-agent test /etc/sccm-agent/policy.toml
      whether what must pass passes, what must not does not, and what shows it if not
  sccm-agent test policy.toml -o junit > expectations.xml
      for a repository's CI: a test case for each expectation";

/// Prints the outcomes.
///
/// # Errors
/// A file that is no policy, or one that expects nothing; standard output that cannot be written.
pub fn run(args: &TestArgs) -> Result<ExitCode> {
    let policy = config::load(&args.file)?;
    ensure!(
        !policy.expect.is_empty(),
        "{} expects nothing: write an [[expect]] (docs/prove.md)",
        args.file.display()
    );
    let machine = match args.own.as_slice() {
        [] => Surroundings::default(),
        own => Surroundings::gateway(own),
    };
    let verdicts = expect::test(&policy, &machine)?;
    match args.output {
        TestFormat::Json => output::print_json(&verdicts)?,
        TestFormat::Table => output::print(text(&verdicts))?,
        TestFormat::Junit => output::print(junit(&verdicts, &args.file.display().to_string()))?,
    }
    Ok(match verdicts.hold {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

pub(super) fn text(verdicts: &Verdicts) -> String {
    let line = |outcome: &Outcome| match &outcome.broken_by {
        None => format!("holds   {}", outcome.name),
        Some(why) => format!("broken  {}: {why}", outcome.name),
    };
    let broken = verdicts.expectations.iter();
    let broken = broken.filter(|outcome| !outcome.holds).count();
    let mut lines: Vec<String> = verdicts.expectations.iter().map(line).collect();
    lines.push(format!(
        "{} expectations, {broken} broken",
        verdicts.expectations.len()
    ));
    lines.join("\n")
}

pub(super) fn junit(verdicts: &Verdicts, file: &str) -> String {
    let all = &verdicts.expectations;
    let failures = all.iter().filter(|outcome| !outcome.holds).count();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"{}\" \
         tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\">\n",
        escaped(file),
        all.len()
    );
    for outcome in all {
        let name = escaped(&outcome.name);
        // Writing to a string cannot fail.
        let _ = match &outcome.broken_by {
            None => writeln!(text, "    <testcase classname=\"expect\" name=\"{name}\"/>"),
            Some(why) => writeln!(
                text,
                "    <testcase classname=\"expect\" name=\"{name}\">\n      <failure message=\"{}\"/>\n    \
                 </testcase>",
                escaped(why)
            ),
        };
    }
    text + "  </testsuite>\n</testsuites>"
}

/// Text as XML has it in an attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            // XML 1.0 has no way to write the others.
            letter if letter.is_control() => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Must;

    fn outcome(name: &str, broken_by: Option<&str>) -> Outcome {
        Outcome {
            name: name.to_owned(),
            must: Must::Pass,
            holds: broken_by.is_none(),
            broken_by: broken_by.map(str::to_owned),
        }
    }

    #[test]
    fn junit_has_a_case_for_each_and_escapes_what_it_says() {
        let verdicts = Verdicts {
            hold: false,
            expectations: vec![outcome("fine", None), outcome("bad", Some("a < b & \"c\""))],
        };
        assert_eq!(
            junit(&verdicts, "p&q.toml"),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"p&amp;q.toml\" \
             tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\">\n    \
             <testcase classname=\"expect\" name=\"fine\"/>\n    \
             <testcase classname=\"expect\" name=\"bad\">\n      \
             <failure message=\"a &lt; b &amp; &quot;c&quot;\"/>\n    </testcase>\n  </testsuite>\n</testsuites>"
        );
        assert_eq!(
            text(&verdicts),
            "holds   fine\nbroken  bad: a < b & \"c\"\n2 expectations, 1 broken"
        );
    }
}
