//! What roles ask of the outbound mode.

use super::{Outbound, SitePolicy};
use anyhow::{Result, ensure};

/// Services whose answers come from ports that only tracking knows.
const TRACKED: [&str; 2] = ["tftp", "pptp"];

/// Checks the roles, and what they ask of the other settings.
///
/// # Errors
/// An unknown role, or an outbound mode with which a role cannot work.
pub fn check_roles(policy: &SitePolicy) -> Result<()> {
    let site = &policy.site;
    for id in policy.roles() {
        let role = site.catalog.role(id.as_str())?;
        let mut services = site.links_into(role);
        let tracked = services.find(|(_, _, row)| TRACKED.contains(&row.service.as_str()));
        if let Some((link, _, row)) = tracked {
            ensure!(
                policy.outbound != Outbound::Off,
                "role {} offers {} (link {}), which needs outbound track or enforce",
                role.id,
                row.service,
                link.id
            );
        }
    }
    Ok(())
}
