//! What becomes of the numbers when many policies have used them up.
//!
//! A number keeps counting what it counted before, so it is never given away. But it can be shared: it
//! goes on under the names of what it counted before and of what it counts now, and so its counter
//! stays true.

use super::{Classes, Entry, Grain, MORE, ServiceName, ServiceNames, joined, sort};
use sccm_common::ServiceClass;
use sccm_common::abi::SERVICE_NAME_BYTES;
use std::collections::{BTreeMap, BTreeSet};

/// Sorts packets into classes whose numbers are shared with services that these entries do not name.
/// `needed` are the names that they need. `None`: there are not even so many numbers.
pub(super) fn sort_into(
    entries: &[Entry],
    names: &mut ServiceNames,
    needed: ServiceNames,
) -> Option<Classes> {
    let is_named = |number: &u8| *number >= ServiceClass::FIRST_NAMED;
    let mut spare: BTreeMap<u8, ServiceName> = names.classes.clone();
    spare.retain(|number, _| is_named(number));
    let mut missing = Vec::new();
    for (_, name) in needed
        .classes
        .into_iter()
        .filter(|(number, _)| is_named(number))
    {
        match find(&spare, |known| *known == name) {
            Some(number) => _ = spare.remove(&number),
            None => missing.push(name),
        }
    }
    // Those first that share a number already: the same policy gets the same numbers.
    missing.sort_by_key(|name| !spare.values().any(|known| covers(known, name)));
    let mut lent = names.clone();
    let mut shared = Vec::new();
    for name in missing {
        let free =
            (ServiceClass::FIRST_NAMED..=u8::MAX).find(|number| !lent.classes.contains_key(number));
        let number = free
            .or_else(|| find(&spare, |known| covers(known, &name)))
            .or_else(|| find(&spare, |known| known.protocol == name.protocol))?;
        if let Some(before) = spare.remove(&number) {
            shared.push((number, both(&before, &name)));
        }
        lent.classes.insert(number, name);
    }
    let classes = sort(entries, Grain::Rights, &mut lent).ok()?;
    lent.classes.extend(shared);
    *names = lent;
    Some(classes)
}

fn find(spare: &BTreeMap<u8, ServiceName>, fits: impl Fn(&ServiceName) -> bool) -> Option<u8> {
    let mut spare = spare.iter();
    spare.find_map(|(number, name)| fits(name).then_some(*number))
}

fn services(name: &ServiceName) -> BTreeSet<&str> {
    let services = name.service.strip_suffix(MORE).unwrap_or(&name.service);
    services.split('+').collect()
}

fn covers(known: &ServiceName, name: &ServiceName) -> bool {
    known.protocol == name.protocol && services(name).is_subset(&services(known))
}

fn both(before: &ServiceName, now: &ServiceName) -> ServiceName {
    let mut service = joined(
        services(before).union(&services(now)).copied().collect(),
        SERVICE_NAME_BYTES,
    );
    let is_cut = [before, now]
        .iter()
        .any(|name| name.service.ends_with(MORE));
    if is_cut && !service.ends_with(MORE) {
        service.push_str(MORE);
    }
    ServiceName {
        protocol: now.protocol.clone(),
        service,
    }
}

#[cfg(test)]
mod tests {
    use super::super::classify;
    use super::*;
    use crate::policy::Target;

    /// One rule for each of these ports, each with rights of its own.
    fn rules(ports: std::ops::Range<u16>) -> Vec<Entry> {
        let rule = |port: u16| Entry {
            name: format!("tcp/{port}"),
            target: Target::Tcp(port..=port),
            ruled: Some(usize::from(port)),
            of_rpc: false,
        };
        ports.map(rule).collect()
    }

    #[test]
    fn policies_may_follow_one_another_for_ever() {
        let mut names = ServiceNames::default();
        for round in 0..20 {
            let first = 1000 + 200 * round;
            let entries = rules(first..first + 200);
            let classes = classify(&entries, &mut names).unwrap();
            let numbers: BTreeSet<u8> = entries
                .iter()
                .zip(first..)
                .map(|(_, port)| classes.tcp[usize::from(port)].0)
                .collect();
            assert_eq!(
                numbers.len(),
                200,
                "round {round}: each has a number of its own"
            );
            for port in first..first + 200 {
                let name = names.get(classes.tcp[usize::from(port)]).unwrap();
                assert!(
                    name.service.ends_with(MORE)
                        || services(name).contains(&*format!("tcp/{port}")),
                    "round {round}: {port} is counted as {}",
                    name.service
                );
                assert!(name.service.len() <= SERVICE_NAME_BYTES, "{}", name.service);
            }
        }
    }

    #[test]
    fn a_shared_number_names_both_and_stays() {
        let mut names = ServiceNames::default();
        classify(&rules(1..201), &mut names).unwrap();
        let second = classify(&rules(301..501), &mut names).unwrap();
        let known = names.clone();
        let again = classify(&rules(301..501), &mut names).unwrap();
        assert_eq!((&again.tcp, &names), (&second.tcp, &known));
        let name = names.get(second.tcp[500]).unwrap();
        assert_eq!(name.service, "tcp/160+tcp/500");
        let third = classify(&rules(201..202), &mut names).unwrap();
        assert_eq!(names.get(third.tcp[201]).unwrap().protocol, "tcp");
    }

    #[test]
    fn another_protocol_is_never_counted_as_this_one() {
        let mut names = ServiceNames::default();
        classify(&rules(1..241), &mut names).unwrap();
        let entry = Entry {
            name: "udp/1".to_owned(),
            target: Target::Udp(1..=1),
            ruled: Some(0),
            of_rpc: false,
        };
        assert!(classify(&[entry], &mut names).is_err());
    }
}
