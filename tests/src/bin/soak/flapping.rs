//! Traffic over a card that comes and goes: what the sender's card has taken is counted, and what
//! it takes while the other end is away is lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use sccm_tests::agent::Hosts;
use sccm_tests::packet::Packet;
use sccm_tests::traffic::FrameSocket;

/// A port that no policy lets in.
pub const FORBIDDEN: u16 = 7161;

/// Between frames: this is no race.
const APART: Duration = Duration::from_micros(200);

/// Sends from `eth1` of the client until it is told to stop; returns how many frames went.
pub fn send(hosts: &Hosts, stop: &AtomicBool) -> u64 {
    let frame = Packet::ipv4("192.0.2.1", "192.0.2.2").udp(40000, FORBIDDEN);
    let frame = frame.payload(10).build();
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        // Whatever is wrong with the card, it will be there again.
        if let Ok(socket) = FrameSocket::open(hosts.client.interface("eth1")) {
            while !stop.load(Ordering::Relaxed) && socket.send(&frame).is_ok() {
                sent += 1;
                sleep(APART);
            }
        }
        sleep(APART);
    }
    sent
}
