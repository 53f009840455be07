//! Who asked for what: questions of protocols without connections, of DHCP, and of its relays.

use super::Oracle;
use super::judge::{ends, is_group};
use super::parse::{Seen, Transport};
use super::state::{Asker, DHCP, Question, relay_message, transaction};

impl Oracle<'_> {
    /// What a peer asks, of a protocol without connections. One member of a group answers.
    pub(super) fn note_question(&mut self, packet: &Seen<'_>) {
        if matches!(packet.transport, Transport::Tcp { .. }) {
            return;
        }
        let (from, to) = ends(packet);
        self.ask(Question::Ends {
            protocol: packet.protocol,
            asked: (!is_group(packet.destination)).then_some(packet.destination),
            port: to,
            asker: packet.source,
            asker_port: from,
        });
        if is_dhcp_v4(packet, to) {
            self.ask(Question::Dhcp {
                of_peer: true,
                transaction: transaction(packet),
            });
        }
        self.note_relay(packet, Asker::Peer);
    }

    /// A relay is answered at the address that it names or, with DHCPv6, sends from; at the
    /// server's port, or the one that it sends from (RFC 8357).
    pub(super) fn note_relay(&mut self, packet: &Seen<'_>, by: Asker) {
        let (from, to) = ends(packet);
        let server = if packet.is_v4() { 67 } else { 547 };
        if packet.protocol != 17 || to != server {
            return;
        }
        let Some(message) = relay_message(packet).filter(|message| message.is_question) else {
            return;
        };
        let sender = (!packet.is_v4()).then_some(packet.source);
        for at in [message.relay].into_iter().chain(sender) {
            if at.is_unspecified() || is_group(at) {
                continue;
            }
            for port in [from, server] {
                self.ask(Question::Relayed {
                    by,
                    at,
                    port,
                    exchange: message.exchange,
                });
            }
        }
    }

    /// Whether it is what a relay has asked for.
    pub(super) fn answers_a_relay(&self, packet: &Seen<'_>, by: Asker) -> bool {
        let (from, to) = ends(packet);
        let of_server = match packet.is_v4() {
            true => from == 67,
            // A server of DHCPv6 may answer from any port.
            false => from == 547 || to == 547,
        };
        let message = relay_message(packet).filter(|message| message.is_answer && of_server);
        message.is_some_and(|message| {
            let question = Question::Relayed {
                by,
                at: packet.destination,
                port: to,
                exchange: message.exchange,
            };
            self.was_asked(&question, DHCP)
        })
    }

    /// Whether who gets this has asked for it. What is no bare SYN opens nothing.
    pub(super) fn asked_for(&self, packet: &Seen<'_>) -> bool {
        let (from, to) = ends(packet);
        let question = |asked| Question::Ends {
            protocol: packet.protocol,
            asked,
            port: from,
            asker: packet.destination,
            asker_port: to,
        };
        let dhcp = Question::Dhcp {
            of_peer: true,
            transaction: transaction(packet),
        };
        matches!(packet.transport, Transport::Tcp { .. })
            || self.was_asked(&question(Some(packet.source)), self.answer_time())
            || self.was_asked(&question(None), self.answer_time())
            || is_dhcp_v4(packet, from) && matches!(to, 67 | 68) && self.was_asked(&dhcp, DHCP)
    }

    /// Whether a protected system has asked for what a DHCP server says.
    pub(super) fn answers_dhcp(&self, packet: &Seen<'_>) -> bool {
        let dhcp = Question::Dhcp {
            of_peer: false,
            transaction: transaction(packet),
        };
        self.was_asked(&Question::DhcpBy(packet.destination), DHCP)
            || packet.is_v4() && self.was_asked(&dhcp, DHCP)
    }
}

fn is_dhcp_v4(packet: &Seen<'_>, server_port: u16) -> bool {
    packet.is_v4() && packet.protocol == 17 && server_port == 67
}
