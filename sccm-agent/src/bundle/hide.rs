//! Text without addresses: each is replaced, wherever it stands, and equal ones by the same word.
//!
//! What might be an address is taken for one: a version number of four parts is replaced, too.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest address: IPv6 with IPv4 at its end.
const LONGEST: usize = 45;

/// Characters of a hardware address.
const MAC: usize = 17;

/// How systemd names cards by their hardware address: this, and twelve digits.
const BY_MAC: &str = "enx";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Address {
    Ip(IpAddr),
    Mac([u8; 6]),
}

/// What has been replaced so far, and by what.
pub(super) struct Hidden {
    /// As they may be written.
    names: BTreeMap<String, String>,
    /// Of names, in bytes: a policy may have thousands, of few lengths.
    lengths: BTreeSet<usize>,
    addresses: BTreeMap<Address, String>,
    /// Addresses of each kind: IPv4, IPv6, hardware.
    counts: [usize; 3],
}

/// What a file of a policy calls addresses; none if it is not TOML.
pub(super) fn names(text: &str) -> Option<Vec<String>> {
    let table: toml::Table = text.parse().ok()?;
    let names = table.get("names").and_then(toml::Value::as_table);
    Some(
        names
            .into_iter()
            .flat_map(toml::Table::keys)
            .cloned()
            .collect(),
    )
}

impl Hidden {
    /// Nothing so far. These names are hidden, too.
    pub(super) fn new(names: &[String]) -> Self {
        let mut written = BTreeMap::new();
        for name in names {
            let next = format!("name-{}", written.len() + 1);
            written.entry(name.clone()).or_insert(next);
        }
        let mut forms = BTreeMap::new();
        for (name, word) in written {
            let quoted = serde_json::Value::from(name.as_str()).to_string();
            let quoted = quoted.trim_matches('"').to_owned();
            for form in [name.escape_debug().to_string(), quoted, name] {
                forms.insert(form, word.clone());
            }
        }
        Self {
            lengths: forms.keys().map(String::len).collect(),
            names: forms,
            addresses: BTreeMap::new(),
            counts: [0; 3],
        }
    }

    /// The text with other words in place of addresses and names.
    pub(super) fn hide(&mut self, text: &str) -> String {
        let mut hidden = self.without_names(text);
        // What stood beside an address may be one, now that it stands alone.
        loop {
            let next = self.without_addresses(&hidden);
            if next == hidden {
                return next;
            }
            hidden = next;
        }
    }

    fn without_addresses(&mut self, text: &str) -> String {
        let mut hidden = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(next) = text[at..].chars().next() {
            if let Some((kept, length, address)) = address_at(text, at) {
                hidden += kept;
                hidden += self.word(address);
                at += length;
            } else {
                hidden.push(next);
                at += next.len_utf8();
            }
        }
        hidden
    }

    fn word(&mut self, address: Address) -> &str {
        let (kind, label) = match address {
            Address::Ip(IpAddr::V4(_)) => (0, "ipv4"),
            Address::Ip(IpAddr::V6(_)) => (1, "ipv6"),
            Address::Mac(_) => (2, "mac"),
        };
        let count = &mut self.counts[kind];
        self.addresses.entry(address).or_insert_with(|| {
            *count += 1;
            // Brackets: what stands beside it cannot make it an address.
            format!("<{label}-{count}>")
        })
    }

    fn without_names(&self, text: &str) -> String {
        let mut hidden = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(next) = text[at..].chars().next() {
            let found = self.lengths.iter().rev().find_map(|length| {
                let end = at + length;
                let name = text.get(at..end).filter(|_| is_whole(text, at, end))?;
                Some((name, self.names.get(name)?))
            });
            match found {
                Some((name, word)) => {
                    hidden += word;
                    at += name.len();
                }
                None => {
                    hidden.push(next);
                    at += next.len_utf8();
                }
            }
        }
        hidden
    }
}

/// Whether what is there goes on to neither side.
fn is_whole(text: &str, from: usize, to: usize) -> bool {
    let goes_on = |one: Option<char>| one.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let inside = &text[from..to];
    let at_start = goes_on(text[..from].chars().next_back()) && goes_on(inside.chars().next());
    let at_end = goes_on(inside.chars().next_back()) && goes_on(text[to..].chars().next());
    !at_start && !at_end
}

/// The longest address that begins here: what of it stays, its length, and which it is.
fn address_at(text: &str, at: usize) -> Option<(&'static str, usize, Address)> {
    let rest = &text.as_bytes()[at..];
    if let Some(digits) = rest.strip_prefix(BY_MAC.as_bytes())
        && let Some(mac) = digits.get(..12).and_then(|digits| mac(digits.chunks(2)))
    {
        return Some((BY_MAC, BY_MAC.len() + 12, mac));
    }
    let is_part = |byte: &&u8| byte.is_ascii_hexdigit() || b":.-".contains(byte);
    let run = rest.iter().take_while(is_part).take(LONGEST).count();
    if let Some((length, ip)) = ip(text, at, run) {
        return Some(("", length, Address::Ip(ip)));
    }
    let pairs = rest.get(..MAC)?;
    let is_apart = |sign: u8| (2..MAC).step_by(3).all(|place| pairs[place] == sign);
    if !is_apart(b':') && !is_apart(b'-') {
        return None;
    }
    let mac = mac(pairs.chunks(3).map(|pair| &pair[..2]))?;
    Some(("", MAC, mac))
}

/// The longest IP address within so many characters, and its length.
fn ip(text: &str, at: usize, most: usize) -> Option<(usize, IpAddr)> {
    let run = &text[at..at + most];
    if run.matches(':').count() < 2 && run.matches('.').count() < 3 {
        return None;
    }
    (2..=most).rev().find_map(|length| {
        let found = &run[..length];
        let before = text[..at].chars().next_back();
        let after = text[at + length..].chars().next();
        let beside = |is: fn(char) -> bool| before.is_some_and(is) || after.is_some_and(is);
        if let Ok(ip) = found.parse::<Ipv4Addr>() {
            // Else it is a part of a longer number.
            return (!beside(|c| c.is_ascii_digit())).then_some((length, ip.into()));
        }
        let ip = found.parse::<Ipv6Addr>().ok()?;
        // `module::name` has an address in it, if one looks for it.
        let is_path =
            beside(char::is_alphanumeric) && !found.contains(|c: char| c.is_ascii_digit());
        (!is_path).then(|| (length, ip.to_canonical()))
    })
}

fn mac<'a>(pairs: impl Iterator<Item = &'a [u8]>) -> Option<Address> {
    let mut mac = [0; 6];
    let mut bytes = mac.iter_mut();
    for pair in pairs {
        let is_hex = pair.len() == 2 && pair.iter().all(u8::is_ascii_hexdigit);
        let pair = std::str::from_utf8(pair).ok().filter(|_| is_hex)?;
        *bytes.next()? = u8::from_str_radix(pair, 16).ok()?;
    }
    bytes.next().is_none().then_some(Address::Mac(mac))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn hide(text: &str) -> String {
        Hidden::new(&[]).hide(text)
    }

    #[test]
    fn equal_ones_stay_equal_and_prefixes_keep_their_length() {
        let mut hidden = Hidden::new(&[]);
        for (text, expected) in [
            (
                "from 192.0.2.1 to 192.0.2.2:80.",
                "from <ipv4-1> to <ipv4-2>:80.",
            ),
            ("tcp/22@192.0.2.0/24", "tcp/22@<ipv4-3>/24"),
            (
                "192.0.2.1-192.0.2.2,192.0.2.0",
                "<ipv4-1>-<ipv4-2>,<ipv4-3>",
            ),
            ("::ffff:192.0.2.1 is 192.0.2.1", "<ipv4-1> is <ipv4-1>"),
            (
                "[2001:db8::1]:80 2001:DB8:0::1%eth0",
                "[<ipv6-1>]:80 <ipv6-1>%eth0",
            ),
            ("2001:db8::/32: fe80::5.", "<ipv6-2>/32: <ipv6-3>."),
            ("02:00:5e:00:53:0a, 02-00-5E-00-53-0A", "<mac-1>, <mac-1>"),
            ("enx02005e00530a of fe80::5", "enx<mac-1> of <ipv6-3>"),
            ("eth0:10.0.0.1 x10.0.0.1", "eth0:<ipv4-4> x<ipv4-4>"),
            (
                "listens on [::]:443 and 0.0.0.0",
                "listens on [<ipv6-4>]:443 and <ipv4-5>",
            ),
        ] {
            assert_eq!(hidden.hide(text), expected);
        }
    }

    #[test]
    fn what_is_no_address_stays() {
        for text in [
            "sccm_agent::agent::begin add_one::f",
            "2026-11-29T11:05:08.123456Z took 12:30:45",
            "Linux 6.12.9-cloud, generation 17, tcp/49152-65535",
            "f8a1c0de00112233 deadbeef 1.2.3 1234.5.6.7 1.2.3.999",
            "{\"a\": [1, 2.5], \"b\": null} {a:b} : :: x".trim_end_matches(":: x"),
        ] {
            assert_eq!(hide(text), text);
        }
    }

    #[test]
    fn names_go_as_a_whole_however_they_are_written() {
        let names =
            names("[names]\n\"site server\" = [\"192.0.2.1\"]\ndc = []\n'a\"b' = []").unwrap();
        let mut hidden = Hidden::new(&names);
        let text = hidden.hide("site server, site servers, dc! dcs, \"a\\\"b\", a\"b, DC");
        assert_eq!(
            text,
            "name-3, site servers, name-2! dcs, \"name-1\", name-1, DC"
        );
        assert_eq!(super::names("[protect]").unwrap(), Vec::<String>::new());
        assert_eq!(super::names("names = ["), None);
    }

    /// Words, as other programs find addresses in a text.
    fn left(text: &str) -> Option<&str> {
        let is_apart = |c: char| !c.is_ascii_alphanumeric() && !":.".contains(c);
        let brackets = text.split(['[', ']', ' ', '/', ',', '"']);
        let words = text.split(is_apart).chain(brackets);
        let trimmed = words.flat_map(|word| [word, word.trim_matches([':', '.', '-'])]);
        trimmed.into_iter().find(|word| {
            let pairs: Vec<&str> = word.split(':').collect();
            let is_pair = |pair: &&str| pair.len() == 2 && u8::from_str_radix(pair, 16).is_ok();
            let is_mac = pairs.len() == 6 && pairs.iter().all(is_pair);
            is_mac || word.parse::<IpAddr>().is_ok() || word.parse::<SocketAddr>().is_ok()
        })
    }

    #[test]
    fn nothing_is_left_of_any_text_that_is_an_address() {
        const SIGNS: &[u8] = b"0123456789abcdefAF::::....--//[]%@,\" gx_\n";
        let mut random = fastrand::Rng::with_seed(18);
        for _ in 0..20_000 {
            let mut text = String::new();
            let mut put_in = Vec::new();
            for _ in 0..random.usize(1..8) {
                let one = match random.u8(0..6) {
                    0 => Ipv4Addr::from(random.u32(..)).to_string(),
                    1 => Ipv6Addr::from(random.u128(..)).to_string(),
                    2 => Ipv6Addr::from(random.u128(..) & (0xffff << 112 | 0xffff)).to_string(),
                    3 => {
                        let mac: [String; 6] =
                            std::array::from_fn(|_| format!("{:02x}", random.u8(..)));
                        mac.join(if random.bool() { ":" } else { "-" })
                    }
                    _ => {
                        let many = random.usize(0..12);
                        let sign = |_| char::from(SIGNS[random.usize(..SIGNS.len())]);
                        text.extend((0..many).map(sign));
                        continue;
                    }
                };
                text += " ";
                text += &one;
                text.push(random.choice(['\n', ' ', ',', '/', ']', '"']).unwrap());
                put_in.push(one);
            }
            let mut hidden = Hidden::new(&[]);
            let without = hidden.hide(&text);
            assert_eq!(left(&without), None, "{text:?} became {without:?}");
            assert_eq!(hidden.hide(&without), without, "of {text:?}");
            let words = without.split([' ', '\n', ',', '/', ']', '"', '[', '@', '%']);
            let words: Vec<&str> = words.collect();
            for one in put_in {
                assert!(
                    !words.contains(&one.as_str()),
                    "{one} is left in {without:?}"
                );
            }
        }
    }
}
