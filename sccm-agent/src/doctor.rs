//! A look at a machine: whether it can enforce, and with `live`, whether what is enforced is as it should
//! be. Changes nothing.

mod cards;
mod live;
mod machine;
mod policy;
#[cfg(test)]
mod tests;

use crate::hooks::How;
use crate::interface::Netlink;
use crate::kernel::PinDir;
use crate::plan::NamedInterface;
use crate::policies::Settings;
use anyhow::Result;
use serde::Serialize;
use std::net::SocketAddr;

/// How good something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// As it should be.
    Fine,
    /// It works, and somebody should look at it.
    Warning,
    /// Nothing can be enforced like that, or what should be is not.
    Blocker,
}

impl Grade {
    /// Its name in tables, as in JSON.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Warning => "warning",
            Self::Blocker => "blocker",
        }
    }
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Finding {
    /// What was looked at: `kernel`, `privileges`, `driver` ...
    pub topic: &'static str,
    /// The interface, where it is about one.
    pub interface: Option<String>,
    /// How good it is.
    pub grade: Grade,
    /// What was found, in a sentence.
    pub text: String,
    /// What mends it; null where nothing has to be mended.
    pub remedy: Option<String>,
}

impl Finding {
    fn new(topic: &'static str, grade: Grade, text: impl Into<String>) -> Self {
        Self {
            topic,
            interface: None,
            grade,
            text: text.into(),
            remedy: None,
        }
    }

    fn fine(topic: &'static str, text: impl Into<String>) -> Self {
        Self::new(topic, Grade::Fine, text)
    }

    fn warning(topic: &'static str, text: impl Into<String>) -> Self {
        Self::new(topic, Grade::Warning, text)
    }

    fn blocker(topic: &'static str, text: impl Into<String>) -> Self {
        Self::new(topic, Grade::Blocker, text)
    }

    /// Fine, or a blocker whose error says what to do.
    fn of(topic: &'static str, checked: Result<()>, fine: impl Into<String>) -> Self {
        match checked {
            Ok(()) => Self::fine(topic, fine),
            Err(error) => Self::blocker(topic, format!("{error:#}")),
        }
    }

    fn mend(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    fn on(mut self, interface: &str) -> Self {
        self.interface = Some(interface.to_owned());
        self
    }
}

/// What is to be looked at.
pub struct Wish {
    /// The interfaces that are to be enforced; none: all that carry frames.
    pub interfaces: Vec<NamedInterface>,
    /// How the programs are to be attached.
    pub how: How,
    /// Flows that are to be remembered.
    pub flow_capacity: u32,
    /// Where programs and maps are, or will be.
    pub pins: PinDir,
    /// Where the agent is to serve metrics.
    pub listen: SocketAddr,
    /// The policy that is to be enforced, and where.
    pub policy: Option<Settings>,
    /// Look at what is enforced.
    pub live: bool,
}

/// Looks.
///
/// # Errors
/// The kernel does not tell of its interfaces.
pub async fn examine(wish: &Wish) -> Result<Vec<Finding>> {
    let netlink = Netlink::connect()?;
    let present = netlink.interfaces().await?;
    let mut findings = machine::examine(wish);
    let policy = wish.policy.as_ref().map(|settings| settings.written.load());
    let how = match &policy {
        Some(Ok(policy)) => wish.how.with(&policy.hooks),
        _ => wish.how.clone(),
    };
    findings.extend(cards::examine((wish, &how), &present));
    if let (Some(settings), Some(policy)) = (&wish.policy, policy) {
        findings.extend(policy::examine(settings, policy, &netlink, &present).await);
    }
    if wish.live {
        findings.extend(live::examine(&wish.pins, &present));
    }
    Ok(findings)
}
