//! How much the rights of the active policy are used.

use super::reference as table;
use super::series::{Scrape, Series};
use crate::kernel::Maps;
use anyhow::Result;
use sccm_common::counter::Direction;
use std::collections::BTreeMap;

/// Rights, those that nothing has used, and when each service was used last.
pub(super) fn export(scrape: &mut Scrape, maps: &Maps) -> Result<()> {
    let rights = maps.rights()?.counted;
    let (mut all, mut unused) = (
        Series::new(&table::RIGHTS),
        Series::new(&table::RIGHTS_UNUSED),
    );
    for direction in [Direction::Inbound, Direction::Outbound] {
        let of = || {
            rights
                .iter()
                .filter(move |right| right.direction == direction)
        };
        let never = of().filter(|right| right.last.is_none());
        all.add(&[label(direction)], of().count() as f64)?;
        unused.add(&[label(direction)], never.count() as f64)?;
    }
    scrape.export(all);
    scrape.export(unused);
    let mut last = BTreeMap::new();
    for right in &rights {
        let key = (right.direction, &right.service);
        let known = last.entry(key).or_insert(0);
        *known = right.last.unwrap_or(0).max(*known);
    }
    let mut services = Series::new(&table::SERVICE_LAST_USED);
    for ((direction, service), last) in last {
        let labels = [label(direction), &service.protocol, &service.service];
        services.add(&labels, last as f64)?;
    }
    scrape.export(services);
    Ok(())
}

const fn label(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}
