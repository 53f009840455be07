//! What a counter calls a packet: every row and rule that speaks of it, whoever it is for.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use sccm_agent::catalog::Catalog;
use sccm_common::abi::SERVICE_NAME_BYTES;

use super::{Carrier, Document, Span};

const MORE: &str = "+more";

/// The names of one policy.
pub struct Names {
    spans: Vec<(String, Span)>,
    dynamic: (u16, u16),
    known: RefCell<HashMap<(Carrier, u16), Rc<str>>>,
}

impl Names {
    /// Reads the rows and the rules.
    #[must_use]
    pub fn new(catalog: &Catalog, document: &Document) -> Self {
        let rows = catalog.all_links().flat_map(|link| {
            let services = document.site.services(link).into_iter();
            services.map(|(name, span)| (name.to_owned(), span))
        });
        let rules = document.allow.iter().chain(&document.management.allow);
        let dhcpv6 = ("dhcpv6".to_owned(), Span::new(Carrier::Udp, 547, 547));
        let dhcpv6 = document.asks_dhcpv6().then_some(dhcpv6);
        let rows = rows.chain(dhcpv6);
        Self {
            spans: rows
                .chain(rules.flat_map(super::Rule::spans))
                .chain(
                    document
                        .outward
                        .allow
                        .iter()
                        .flat_map(super::OutRule::spans),
                )
                .chain(document.publish.iter().map(super::Publish::named))
                .collect(),
            dynamic: document.site.dynamic(),
            known: RefCell::default(),
        }
    }

    /// Whether a TCP port is one that the endpoint mapper of RPC may hand out: of its range, and of no
    /// other service.
    #[must_use]
    pub fn is_dynamic(&self, port: u16) -> bool {
        let (first, last) = self.dynamic;
        (first..=last).contains(&port) && &*self.of(Carrier::Tcp, port) == "tcp rpc-dynamic"
    }

    /// `tcp http`, `udp none`, `gre gre`.
    #[must_use]
    pub fn of(&self, carrier: Carrier, number: u16) -> Rc<str> {
        let mut known = self.known.borrow_mut();
        let name = known.entry((carrier, number)).or_insert_with(|| {
            let (protocol, service) = match (carrier, number) {
                (Carrier::Ip, 2) => ("igmp", "igmp".to_owned()),
                (Carrier::Ip, 47) => ("gre", "gre".to_owned()),
                (Carrier::Ip, 50) => ("esp", "esp".to_owned()),
                (Carrier::Ip, 51) => ("ah", "ah".to_owned()),
                _ => (carrier.name(), self.services(carrier, number)),
            };
            format!("{protocol} {service}").into()
        });
        Rc::clone(name)
    }

    fn services(&self, carrier: Carrier, number: u16) -> String {
        let speaking = self
            .spans
            .iter()
            .filter(|(_, span)| span.has(carrier, number));
        let names: BTreeSet<&str> = speaking.map(|(name, _)| name.as_str()).collect();
        let mut joined = String::new();
        for name in names {
            // The kernel's record of a name has so much room.
            if joined.len() + name.len() + MORE.len() >= SERVICE_NAME_BYTES {
                return joined + MORE;
            }
            if !joined.is_empty() {
                joined.push('+');
            }
            joined.push_str(name);
        }
        match joined.as_str() {
            "" => "none".to_owned(),
            _ => joined,
        }
    }
}
