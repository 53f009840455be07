//! What should pass, read from the printed catalog: slowly, by hand, and by nobody else's code.
//!
//! This is a second reading of the vendor's table, from the JSON that `sccm-agent catalog -o json`
//! prints. It shares nothing with the policy compiler or the site's settings on purpose: the two
//! must agree only because both are right. So it stays naive. Every question walks the whole list
//! of links, and every port has an entry of its own.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;

use serde_json::Value;

/// Ports of one protocol: from 0 to 65535.
pub const PORTS: usize = 1 << 16;

/// What a site sets. The defaults are the document's.
#[derive(Debug, Clone)]
pub struct Numbers {
    /// Note 2: the port of `http` rows that cite it, and of `https` rows.
    pub http: Option<(u16, u16)>,
    /// Note 4: the same for rows that cite that.
    pub wsus: Option<(u16, u16)>,
    /// The port of `sql` rows.
    pub sql: u16,
    /// The port of `wake-on-lan` rows.
    pub wake_on_lan: u16,
    /// The port of `amt-provisioning` rows.
    pub amt_provisioning: u16,
    /// What `dynamic` means.
    pub dynamic: RangeInclusive<u16>,
    /// The ports of `multicast` rows.
    pub multicast: RangeInclusive<u16>,
    /// Note 6: on links both ways that cite it, only the site server opens.
    pub only_site_server_opens: bool,
    /// Links with TCP 135 and no dynamic ports get the dynamic ports.
    pub mapper_brings_dynamic: bool,
    /// Features whose links apply.
    pub features: Vec<&'static str>,
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            http: None,
            wsus: None,
            sql: 1433,
            wake_on_lan: 9,
            amt_provisioning: 9971,
            dynamic: 49152..=65535,
            multicast: 63000..=64000,
            only_site_server_opens: false,
            mapper_brings_dynamic: false,
            features: Vec::new(),
        }
    }
}

/// The printed catalog at one site.
#[derive(Debug)]
pub struct Oracle {
    catalog: Value,
    numbers: Numbers,
    tcp_names: Vec<String>,
    udp_names: Vec<String>,
}

impl Oracle {
    /// Reads what `sccm-agent catalog -o json` prints.
    ///
    /// # Panics
    /// If the text is not JSON; later also where it is not of the documented shape.
    pub fn new(json: &str, numbers: Numbers) -> Self {
        let mut catalog: Value = serde_json::from_str(json).expect("the catalog is JSON");
        bring_nat_traversal(&mut catalog);
        let mut oracle = Self {
            catalog,
            numbers,
            tcp_names: Vec::new(),
            udp_names: Vec::new(),
        };
        oracle.tcp_names = oracle.name_ports("tcp");
        oracle.udp_names = oracle.name_ports("udp");
        oracle
    }

    /// The ids of all roles.
    pub fn roles(&self) -> Vec<&str> {
        list(&self.catalog["roles"])
            .iter()
            .map(|role| text(&role["id"]))
            .collect()
    }

    /// For each port of `tcp` or `udp`: whether somebody may open it to a system of these roles.
    pub fn open(&self, roles: &[&str], protocol: &str) -> Vec<bool> {
        let mut open = vec![false; PORTS];
        for link in list(&self.catalog["links"]) {
            if !roles.iter().any(|role| self.opens_to(link, role)) {
                continue;
            }
            for service in list(&link["services"]) {
                for port in self.ports(service, protocol) {
                    open[port] = true;
                }
            }
            if protocol == "tcp" && self.numbers.mapper_brings_dynamic && lacks_dynamic(link) {
                for port in self.numbers.dynamic.clone() {
                    open[usize::from(port)] = true;
                }
            }
        }
        open
    }

    /// Whether somebody may ping a system of these roles; `protocol` is `icmp` or `icmpv6`.
    pub fn answers_echo(&self, roles: &[&str], protocol: &str) -> bool {
        list(&self.catalog["links"]).iter().any(|link| {
            roles.iter().any(|role| self.opens_to(link, role))
                && list(&link["services"]).iter().any(|service| {
                    text(&service["protocol"]) == protocol
                        && list(&service["ports"]).contains(&Value::from("echo-request"))
                })
        })
    }

    /// What each port of `tcp` or `udp` is called: the services of every row of the table that
    /// speaks of it, whoever they are for, or `none`.
    pub fn names(&self, protocol: &str) -> &[String] {
        match protocol {
            "tcp" => &self.tcp_names,
            "udp" => &self.udp_names,
            other => panic!("{other} has no ports"),
        }
    }

    fn name_ports(&self, protocol: &str) -> Vec<String> {
        let mut names: HashMap<usize, BTreeSet<&str>> = HashMap::new();
        for link in list(&self.catalog["links"]) {
            for service in list(&link["services"]) {
                for port in self.ports(service, protocol) {
                    let name = text(&service["service"]);
                    names.entry(port).or_default().insert(name);
                }
            }
        }
        (0..PORTS)
            .map(|port| match names.get(&port) {
                Some(names) => names.iter().copied().collect::<Vec<_>>().join("+"),
                None => "none".to_owned(),
            })
            .collect()
    }

    /// Whether on this link somebody may open connections to `role`.
    fn opens_to(&self, link: &Value, role: &str) -> bool {
        if let Some(feature) = link["opt_in"].as_str()
            && !self.numbers.features.contains(&feature)
        {
            return false;
        }
        let (from, to) = (text(&link["from"]), text(&link["to"]));
        let kinds = self.kinds(role);
        let both_ways = match text(&link["direction"]) {
            "->" => false,
            "<->" => true,
            other => panic!("an arrow {other:?}"),
        };
        let cites_note_6 = list(&link["notes"]).contains(&Value::from(6));
        if both_ways && cites_note_6 && self.numbers.only_site_server_opens {
            // Whichever end the site server is at, it opens and the other listens.
            return (self.kinds(from).contains(&"site-server") && kinds.contains(&to))
                || (self.kinds(to).contains(&"site-server") && kinds.contains(&from));
        }
        kinds.contains(&to) || both_ways && kinds.contains(&from)
    }

    /// The role, what it is, what that is, and so on.
    fn kinds<'a>(&'a self, role: &'a str) -> Vec<&'a str> {
        let mut kinds = vec![role];
        loop {
            let last = *kinds.last().expect("it begins with one");
            let entry = list(&self.catalog["roles"])
                .iter()
                .find(|entry| entry["id"] == last);
            match entry.and_then(|entry| entry["is_a"].as_str()) {
                Some(parent) => kinds.push(parent),
                None => return kinds,
            }
        }
    }

    /// The ports of one row, if it is of this protocol.
    fn ports(&self, service: &Value, protocol: &str) -> Vec<usize> {
        if text(&service["protocol"]) != protocol {
            return Vec::new();
        }
        let cites = |note: u64| list(&service["notes"]).contains(&Value::from(note));
        let moved = match text(&service["service"]) {
            "http" if cites(2) => self.numbers.http.map(|pair| pair.0),
            "https" if cites(2) => self.numbers.http.map(|pair| pair.1),
            "http" if cites(4) => self.numbers.wsus.map(|pair| pair.0),
            "https" if cites(4) => self.numbers.wsus.map(|pair| pair.1),
            "sql" => Some(self.numbers.sql),
            "wake-on-lan" => Some(self.numbers.wake_on_lan),
            "amt-provisioning" => Some(self.numbers.amt_provisioning),
            "multicast" => return numbers(&self.numbers.multicast),
            _ => None,
        };
        match moved {
            Some(port) => vec![usize::from(port)],
            None => list(&service["ports"])
                .iter()
                .flat_map(|port| self.listed(text(port)))
                .collect(),
        }
    }

    /// What stands in `ports`: `80`, `63000-64000` or `dynamic`.
    fn listed(&self, port: &str) -> Vec<usize> {
        let number = |text: &str| text.parse::<u16>().expect("a port");
        match port.split_once('-') {
            None if port == "dynamic" => numbers(&self.numbers.dynamic),
            None => numbers(&(number(port)..=number(port))),
            Some((low, high)) => numbers(&(number(low)..=number(high))),
        }
    }
}

fn lacks_dynamic(link: &Value) -> bool {
    let rows = list(&link["services"]);
    let mapper = rows.iter().any(|row| {
        text(&row["service"]) == "rpc-endpoint-mapper" && text(&row["protocol"]) == "tcp"
    });
    let dynamic = rows
        .iter()
        .any(|row| list(&row["ports"]).contains(&Value::from("dynamic")));
    mapper && !dynamic
}

/// Link 11 names IKE alone; behind an address translator its packets, and those that it
/// negotiates, use UDP 4500 (RFC 3947, 4).
fn bring_nat_traversal(catalog: &mut Value) {
    let links = catalog["links"].as_array_mut().expect("links");
    for link in links {
        let services = link["services"].as_array_mut().expect("services");
        if services.iter().any(|row| row["service"] == "ike") {
            services.push(serde_json::json!({
                "service": "ipsec-nat-traversal",
                "protocol": "udp",
                "ports": ["4500"],
                "notes": [],
            }));
        }
    }
}

fn numbers(range: &RangeInclusive<u16>) -> Vec<usize> {
    range.clone().map(usize::from).collect()
}

fn list(value: &Value) -> &Vec<Value> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("not a list: {value}"))
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a text: {value}"))
}
