//! What must pass, and what must not.

use super::{example, is_system, meets};
use crate::policy::{Ends, Expectation, Kind, Kinds, Must, Opener, Target, dynamic_range};
use sccm_common::ServiceClass;
use sccm_common::service::ServiceSet;

/// What breaks an expectation, if something does.
pub(super) fn breaks(kinds: &Kinds<'_>, expectation: &Expectation) -> Option<String> {
    let (from, to) = (&expectation.from, &expectation.to);
    let mut asked = 0;
    for sender in kinds.all.iter().filter(|kind| meets(from, kind)) {
        for receiver in kinds.all.iter().filter(|kind| meets(to, kind)) {
            if !sender.is_of_family(receiver) {
                continue;
            }
            let ways = ways(from, to, sender, receiver);
            if ways.is_empty() {
                continue;
            }
            asked += 1;
            for target in &expectation.targets {
                if !speaks(target, sender) {
                    continue;
                }
                let passing = ways.iter().map(|way| way.lets(kinds, target));
                // It must pass each way, port by port.
                let refused = passing.flatten().next();
                let some_port = common(kinds, &ways, target);
                let wrong = match expectation.must {
                    Must::Pass => refused,
                    Must::Drop | Must::Only => {
                        some_port.map(|what| (what, "passes, and must be dropped"))
                    }
                };
                if let Some((what, wrong)) = wrong {
                    return Some(format!(
                        "{what} from {} to {} {wrong}",
                        example(from, sender),
                        example(to, receiver)
                    ));
                }
            }
        }
    }
    (asked == 0).then(|| {
        "it is about no two addresses of which this policy judges one: name a [[protect]], or its \
         addresses, at one end"
            .to_owned()
    })
}

/// A way in which a policy judges something.
struct Way<'a> {
    opener: Opener,
    local: &'a Kind,
    peer: &'a Kind,
}

fn ways<'a>(from: &Ends, to: &Ends, sender: &'a Kind, receiver: &'a Kind) -> Vec<Way<'a>> {
    let mut ways = Vec::new();
    // Whoever asks for an address is meant where the address that stands for it is named.
    let asks = sender.is_unconfigured && matches!(from, Ends::Listed(..));
    if is_system(sender, from) && *to != Ends::Protected {
        ways.push(Way {
            opener: Opener::Protected,
            local: sender,
            peer: receiver,
        });
    }
    if is_system(receiver, to) && *from != Ends::Protected && (!sender.is_nobody() || asks) {
        ways.push(Way {
            opener: Opener::Peer,
            local: receiver,
            peer: sender,
        });
    }
    ways
}

impl Way<'_> {
    /// What of a target does not pass, and how, if something does not.
    fn lets(&self, kinds: &Kinds<'_>, target: &Target) -> Option<(String, &'static str)> {
        let mut open = kinds.open(self.opener, self.local, self.peer);
        let handed_out = kinds.handed_out(self.opener, self.local, self.peer);
        // All of the range is about RPC, which has what it needs. A port of it is about that port.
        if *target == dynamic_range(&kinds.policy.site) {
            open = open.union(handed_out);
        }
        let mut ports = numbers(kinds, target);
        let (port, class) = ports.find(|(_, class)| !open.contains(*class))?;
        let how = match handed_out.contains(class) {
            true => {
                "passes only when the endpoint mapper hands it out (rpc = \"tracked\"), and must pass \
                 at any time: write an [[allow]] for it, or rpc = \"static\""
            }
            false => "is dropped, and must pass",
        };
        Some((text(target, port), how))
    }

    fn open(&self, kinds: &Kinds<'_>) -> ServiceSet {
        kinds.open(self.opener, self.local, self.peer)
    }
}

/// What of a target passes all ways, if something does.
fn common(kinds: &Kinds<'_>, ways: &[Way<'_>], target: &Target) -> Option<String> {
    let open = ways
        .iter()
        .map(|way| way.open(kinds))
        .fold(ServiceSet::ALL, ServiceSet::intersection);
    let mut ports = numbers(kinds, target);
    let passing = ports.find(|(_, class)| open.contains(*class))?;
    Some(text(target, passing.0))
}

/// The numbers of a target, with their classes.
fn numbers<'a>(
    kinds: &'a Kinds<'_>,
    target: &Target,
) -> impl Iterator<Item = (u16, ServiceClass)> + use<'a> {
    let policy = &kinds.compiled.policy;
    let table = crate::policy::table_of(policy, target.protocol());
    let range = target.numbers();
    range.filter_map(move |number| Some((number, *table.get(usize::from(number))?)))
}

fn text(target: &Target, number: u16) -> String {
    format!("{}/{number}", target.protocol())
}

/// Whether addresses of this family carry such packets.
fn speaks(target: &Target, kind: &Kind) -> bool {
    match target {
        Target::Icmp(_) => kind.example().is_ipv4(),
        Target::Icmpv6(_) => kind.example().is_ipv6(),
        Target::Tcp(_) | Target::Udp(_) | Target::Protocol(_) => true,
    }
}
