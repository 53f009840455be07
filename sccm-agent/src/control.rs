//! Commands to a running agent: one line of JSON each way, over a Unix socket.
//!
//! ```text
//! -> {"command":"reload","confirm_within":60,"accept_lockout":false}
//! <- {"result":"done","what":"published","generation":7,"hash":"80d3..","confirm_within":60}
//! -> {"command":"confirm"}
//! <- {"result":"refused","error":"nothing waits to be confirmed: ..."}
//! ```
//!
//! Who may speak is a matter of the socket file: root, and the group
//! [`GROUP`] where there is one. No command names a file, so that members of the
//! group cannot have root read one for them.

pub mod client;
mod server;
mod socket;
mod turns;

pub use socket::ControlSocket;

use crate::kernel::PinDir;
use crate::policies::{Outcome, Reload};
use crate::units;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// The group whose members may give commands, if it exists.
pub const GROUP: &str = "sccm-agent";

/// The most bytes of a request, its line end included.
const LONGEST_REQUEST: u64 = 4096;

/// Where the sockets are, unless told otherwise.
const DIRECTORY: &str = "/run/sccm-agent";

/// The socket of the agent with this pin directory, unless another is given.
#[must_use]
pub fn default_socket(pins: &Path) -> PathBuf {
    let directory = Path::new(DIRECTORY);
    let name = PinDir::new(pins.to_owned()).name();
    directory.join(name.unwrap_or_else(|| "control".to_owned()) + ".sock")
}

/// What an agent can be told.
// Braces also where nothing is in them: serde lets a variant without braces have any keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Read the policy's file again and make it the active policy.
    Reload(Reload),
    /// Have the candidate's file judged beside the active policy.
    Shadow {},
    /// Let go of the candidate.
    EndShadow {},
    /// Make the candidate the active policy.
    Promote(Reload),
    /// The active policy is to stay.
    Confirm {},
    /// Return to the previous policy.
    Rollback {
        /// Even if it cuts an SSH session.
        #[serde(default)]
        accept_lockout: bool,
    },
}

impl fmt::Display for Request {
    /// As the command line has it: `reload --confirm-within 1m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, order) = match self {
            Self::Reload(order) => ("reload", *order),
            Self::Shadow {} => ("reload --shadow", Reload::default()),
            Self::EndShadow {} => ("reload --no-shadow", Reload::default()),
            Self::Promote(order) => ("promote", *order),
            Self::Confirm {} => ("confirm", Reload::default()),
            Self::Rollback { accept_lockout } => {
                let order = Reload {
                    accept_lockout: *accept_lockout,
                    ..Reload::default()
                };
                ("rollback", order)
            }
        };
        write!(f, "{word}")?;
        if let Some(seconds) = order.confirm_within {
            write!(f, " --confirm-within {}", units::describe(seconds))?;
        }
        match order.accept_lockout {
            true => write!(f, " --accept-lockout"),
            false => Ok(()),
        }
    }
}

/// What an agent answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Answer {
    /// It is done.
    Done(Outcome),
    /// Nothing has changed.
    Refused {
        /// Why, and what to do.
        error: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_documented_and_nothing_else() {
        let read = |text| serde_json::from_str::<Request>(text);
        assert_eq!(
            read(r#"{"command":"reload","confirm_within":60}"#).unwrap(),
            Request::Reload(Reload {
                confirm_within: Some(60),
                accept_lockout: false
            })
        );
        assert_eq!(
            read(r#"{"command":"confirm"}"#).unwrap(),
            Request::Confirm {}
        );
        assert_eq!(read(r#"{"command":"shadow"}"#).unwrap(), Request::Shadow {});
        assert_eq!(
            read(r#"{"command":"promote"}"#).unwrap(),
            Request::Promote(Reload::default())
        );
        for wrong in [
            "",
            "{}",
            "reload",
            r#"{"command":"detach"}"#,
            r#"{"command":"reload","config":"/etc/shadow"}"#,
            r#"{"command":"reload","confirm_within":-1}"#,
            r#"{"command":"promote","config":"/etc/shadow"}"#,
            r#"{"command":"rollback","accept_lockout":"yes"}"#,
            r#"{"command":"rollback","config":"/etc/shadow"}"#,
            r#"{"command":"confirm","config":"/etc/shadow"}"#,
            r#"{"command":"shadow","config":"/etc/shadow"}"#,
            r#"{"command":"end-shadow","accept_lockout":false}"#,
            r#"{"command":"confirm","command":"rollback"}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn commands_are_told_as_they_are_typed() {
        let read = |text| serde_json::from_str::<Request>(text).unwrap().to_string();
        for (text, told) in [
            (r#"{"command":"confirm"}"#, "confirm"),
            (r#"{"command":"end-shadow"}"#, "reload --no-shadow"),
            (
                r#"{"command":"reload","confirm_within":90}"#,
                "reload --confirm-within 1m 30s",
            ),
            (
                r#"{"command":"rollback","accept_lockout":true}"#,
                "rollback --accept-lockout",
            ),
        ] {
            assert_eq!(read(text), told);
        }
    }

    #[test]
    fn every_pin_directory_has_a_socket_of_its_own() {
        let socket = |pins: &str| default_socket(Path::new(pins));
        assert_eq!(
            socket("/sys/fs/bpf/sccm-agent"),
            Path::new("/run/sccm-agent/control.sock")
        );
        assert_eq!(
            socket("/sys/fs/bpf/lab/a/"),
            Path::new("/run/sccm-agent/sys-fs-bpf-lab-a.sock")
        );
    }
}
