//! Boundaries of a site as CSV: where its clients are.

use super::mistakes::Mistakes;
use super::rows::Rows;
use ipnet::{IpNet, Ipv4Net, Ipv4Subnets, Ipv6Subnets};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// The columns; all but the last three must be there.
const NAME: &str = "DisplayName";
const KIND: &str = "BoundaryType";
const VALUE: &str = "Value";
const NETWORK: &str = "NetworkID";
const MASK: &str = "Mask";
const SITE: &str = "SiteCode";

/// A boundary that addresses are known of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Boundary {
    pub line: usize,
    pub name: String,
    pub site: String,
    /// None of an AD site, and of a VPN.
    pub prefixes: Vec<IpNet>,
    /// What it is, where addresses do not say.
    pub kind: Kind,
}

/// `BoundaryType` of the WMI class SMS_Boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Addresses,
    AdSite,
    Vpn,
}

pub(super) fn read(
    text: &str,
    file: &Path,
    length: Option<u8>,
    boundaries: &mut Vec<Boundary>,
    mistakes: &mut Mistakes,
) {
    let Some(mut table) = Rows::open(text, file, &[NAME, KIND, VALUE], mistakes) else {
        return;
    };
    while let Some(record) = table.next(mistakes) {
        let cell = |column| table.cell(&record, column).unwrap_or_default();
        let (name, value, line) = (cell(NAME), cell(VALUE), table.line(&record));
        let translated = match cell(KIND) {
            "0" => subnet((cell(NETWORK), cell(MASK)), value, length).map(|prefix| vec![prefix]),
            "1" => Ok(Vec::new()),
            "2" => ipv6_prefix(value).map(|prefix| vec![prefix]),
            "3" => range(value),
            "4" => Ok(Vec::new()),
            kind => Err(format!(
                "`{kind}` is no {KIND}: 0 IP subnet, 1 AD site, 2 IPv6 prefix, 3 IP range, 4 VPN"
            )),
        };
        match translated {
            Ok(prefixes) => boundaries.push(Boundary {
                line,
                name: name.to_owned(),
                site: cell(SITE).to_ascii_uppercase(),
                prefixes,
                kind: match cell(KIND) {
                    "1" => Kind::AdSite,
                    "4" => Kind::Vpn,
                    _ => Kind::Addresses,
                },
            }),
            Err(message) => mistakes.add(file, line, format!("boundary `{name}`: {message}")),
        }
    }
}

/// A subnet is kept as its first address alone; its mask comes beside it, or is given.
fn subnet((network, mask): (&str, &str), value: &str, length: Option<u8>) -> Result<IpNet, String> {
    let first = if network.is_empty() { value } else { network };
    if let Ok(prefix) = first.parse::<IpNet>() {
        return whole(prefix, first);
    }
    let address: Ipv4Addr = first
        .parse()
        .map_err(|_| format!("`{first}` is not the address of a subnet"))?;
    let prefix = match (mask, length) {
        ("", Some(length)) => Ipv4Net::new(address, length).map_err(|error| error.to_string())?,
        ("", None) => {
            return Err(format!(
                "the subnet {address} has no mask: export the columns {NETWORK} and {MASK}, or give \
                 --subnet-length"
            ));
        }
        (mask, _) => {
            let mask_address = mask.parse().map_err(|_| format!("`{mask}` is no mask"))?;
            Ipv4Net::with_netmask(address, mask_address)
                .map_err(|_| format!("`{mask}` is no mask"))?
        }
    };
    whole(prefix.into(), first)
}

fn ipv6_prefix(value: &str) -> Result<IpNet, String> {
    let prefix: IpNet = value
        .parse()
        .map_err(|_| format!("`{value}` is no IPv6 prefix, such as 2001:db8::/64"))?;
    whole(prefix, value)
}

fn whole(prefix: IpNet, text: &str) -> Result<IpNet, String> {
    match prefix == prefix.trunc() {
        true => Ok(prefix),
        false => Err(format!(
            "`{text}` is not the first address of {}",
            prefix.trunc()
        )),
    }
}

/// `LOW-HIGH`, split exactly.
fn range(value: &str) -> Result<Vec<IpNet>, String> {
    let wrong = || format!("`{value}` is no range of addresses, such as 10.0.0.10-10.0.0.99");
    let (low, high) = value.split_once('-').ok_or_else(wrong)?;
    let parse = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| wrong());
    let (low, high) = (parse(low)?, parse(high)?);
    if low > high {
        return Err(format!("the range {value} is reversed"));
    }
    match (low, high) {
        (IpAddr::V4(low), IpAddr::V4(high)) => {
            Ok(Ipv4Subnets::new(low, high, 0).map(IpNet::V4).collect())
        }
        (IpAddr::V6(low), IpAddr::V6(high)) => {
            Ok(Ipv6Subnets::new(low, high, 0).map(IpNet::V6).collect())
        }
        _ => Err(wrong()),
    }
}
