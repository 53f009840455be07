//! Roles that the product has hardly or no more.

use super::Warning;
use crate::check::rows::View;
use crate::policy::stale_roles;

pub(super) fn find(view: &View<'_>) -> Vec<Warning> {
    let warning = |message| Warning {
        kind: "stale-role",
        links: Vec::new(),
        message,
    };
    stale_roles(view.policy).into_iter().map(warning).collect()
}
