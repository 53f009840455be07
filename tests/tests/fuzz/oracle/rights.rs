//! Who may open what, remembered for each pair of ends: the slow reading is slow.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use sccm_agent::catalog::Catalog;
use sccm_tests::reading::{Carrier, Interpreter, Names, Span, Way};

use crate::case::Setting;

type Ends = (Way, Option<IpAddr>, IpAddr);

/// The rights of one policy.
pub struct Rights<'a> {
    interpreter: Interpreter<'a>,
    names: Names,
    open: RefCell<HashMap<Ends, Rc<[Span]>>>,
    handed_out: RefCell<HashMap<Ends, bool>>,
    tells_apart: bool,
    has_rest: bool,
}

impl<'a> Rights<'a> {
    pub fn new(catalog: &'a Catalog, setting: &'a Setting) -> Self {
        let interpreter = Interpreter {
            catalog,
            document: &setting.document,
            own: setting.own_rights(),
            machine: &setting.machine,
        };
        let mut entries = setting.document.protect.iter();
        Self {
            tells_apart: interpreter.tells_apart(),
            interpreter,
            names: Names::new(catalog, &setting.document),
            open: RefCell::default(),
            handed_out: RefCell::default(),
            has_rest: entries.any(|entry| entry.addresses.is_empty()),
        }
    }

    /// Whether `what` may be opened.
    pub fn may(
        &self,
        way: Way,
        local: Option<IpAddr>,
        peer: IpAddr,
        (carrier, number): (Carrier, u16),
    ) -> bool {
        let mut known = self.open.borrow_mut();
        let open = known
            .entry((way, local, peer))
            .or_insert_with(|| self.interpreter.open(way, local, peer).into());
        open.iter().any(|span| span.has(carrier, number))
    }

    /// Whether the ports of RPC's range are open that are handed out.
    pub fn hands_out(&self, way: Way, local: Option<IpAddr>, peer: IpAddr) -> bool {
        let mut known = self.handed_out.borrow_mut();
        let ends = (way, local, peer);
        *known
            .entry(ends)
            .or_insert_with(|| self.interpreter.hands_out(way, local, peer))
    }

    /// Whether a TCP port may be handed out.
    pub fn is_dynamic(&self, port: u16) -> bool {
        self.names.is_dynamic(port)
    }

    /// Whether a DHCP server may answer at `peer` because a relay says so.
    pub fn may_be_where_a_relay_is(&self, peer: IpAddr) -> bool {
        self.interpreter.may_be_where_a_relay_is(peer)
    }

    /// Whether an end stands for many.
    pub fn is_for_many(&self, local: Option<IpAddr>) -> bool {
        local.is_some_and(|local| self.interpreter.stands_for_many(local))
    }

    /// Its name in counters.
    pub fn name(&self, (carrier, number): (Carrier, u16)) -> Rc<str> {
        self.names.of(carrier, number)
    }

    /// Whether the policy names addresses of protected systems.
    pub fn tells_apart(&self) -> bool {
        self.tells_apart
    }

    /// Whether an end is this machine as a gateway.
    pub fn is_own(&self, local: Option<IpAddr>) -> bool {
        self.interpreter.is_own(local)
    }

    /// Whether an address is nobody's: no list names it, and no entry stands for the rest.
    pub fn is_unlisted(&self, local: Option<IpAddr>) -> bool {
        !self.has_rest && !self.interpreter.is_listed(local)
    }
}
