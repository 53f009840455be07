//! What stays on the link: neighbour discovery, group membership, and frames without IP.

use fastrand::Rng;

use super::frame;
use super::places::Ends;
use super::talk::Said;

/// Neighbour discovery, genuine or not.
pub fn neighbours(random: &mut Rng, ends: &Ends, outward: bool) -> Vec<Said> {
    let mut ip = ends.ip(outward, ends.icmp());
    ip.hops = if random.u8(..4) == 0 { 64 } else { 255 };
    let message = frame::control(random.u8(132..=137), 0, &[0; 16]);
    let mut talk = vec![Said {
        outward,
        frame: ip.frame(&message),
    }];
    if !ends.is_v4() {
        let frame = ip.frame_with(&[(44, ip.fragment())], &message);
        talk.push(Said { outward, frame });
    }
    talk
}

/// Group membership, genuine or not.
pub fn membership(random: &mut Rng, ends: &Ends, outward: bool) -> Vec<Said> {
    let (number, group, link, kind): (u8, _, _, u8) = match ends.is_v4() {
        true => (
            2,
            "224.0.0.22",
            "10.1.2.9",
            [0x11, 0x16, 0x22, 0x30, 0x31, 0x32][random.usize(..6)],
        ),
        false => (
            58,
            "ff02::16",
            "fe80::1",
            [130, 131, 132, 143, 151, 152, 153, 154][random.usize(..8)],
        ),
    };
    let mut ip = ends.ip(outward, number);
    ip.hops = 1;
    if random.u8(..3) != 0 {
        ip.source = link.parse().expect("an address");
        ip.destination = group.parse().expect("an address");
    }
    let alert = match (ends.is_v4(), random.u8(..4)) {
        (_, 0) => Vec::new(),
        (true, _) => vec![(0, vec![0x94, 4, 0, 0])],
        (false, _) => vec![(0, vec![0, 0, 5, 2, 0, 0, 1, 0])],
    };
    let frame = ip.frame_with(&alert, &frame::control(kind, 0, &[0; 8]));
    vec![Said { outward, frame }]
}

/// What carries no IP, or hides behind tags.
pub fn without_ip(random: &mut Rng, outward: bool) -> Vec<Said> {
    const KINDS: [u16; 15] = [
        0x0806, 0x888e, 0x88cc, 0x8809, 0x88f7, 0x88f5, 0x88f6, 0x8902, 0x8035, 0x88a8, 0x8100,
        0x22f0, 0x886f, 0x886f, 0x0800,
    ];
    let mut frame = match random.u8(..3) {
        0 => of_802_3(random),
        _ => {
            let kind = KINDS[random.usize(..KINDS.len())];
            frame::ethernet(kind, &body(random, kind))
        }
    };
    for _ in 0..random.usize(..4) {
        frame = frame::tag(&frame, 0x8100, random.u16(..3));
    }
    if random.u8(..4) == 0 {
        frame.truncate(random.usize(..=frame.len()));
    }
    vec![Said { outward, frame }]
}

/// What decides about a frame of this ethertype, and may be wrong.
fn body(random: &mut Rng, kind: u16) -> Vec<u8> {
    let mut body = match kind {
        0x888e => vec![3, random.u8(3..7), 0, 0],
        0x8902 => vec![0x60, [1, 3, 40, 41][random.usize(..4)], 4, 70],
        0x8035 => vec![0, 1, 8, 0, 6, 4, 0, [3, 3, 3, 4, 1][random.usize(..5)]],
        _ => vec![0x42, 0x42, 3],
    };
    body.resize(28, 0);
    body
}

/// An 802.3 frame: what bridges and switches tell each other, or something like it.
fn of_802_3(random: &mut Rng) -> Vec<u8> {
    const GROUPS: [u64; 7] = [
        0x0180_c200_0000,
        0x0180_c200_0008,
        0x0180_c200_0021,
        0x0180_c200_0020,
        0x0180_c200_000d,
        0x0100_0ccc_cccc,
        0x0100_0ccc_cccd,
    ];
    const CISCO: [u16; 7] = [0x010b, 0x0111, 0x0104, 0x2000, 0x2003, 0x2004, 0x2001];
    let mut group = GROUPS[random.usize(..GROUPS.len())];
    let mut body = vec![0x42, 0x42, 3];
    if random.u8(..3) != 0 {
        let protocol = CISCO[random.usize(..CISCO.len())];
        group = match protocol {
            0x010b => 0x0100_0ccc_cccd,
            _ => 0x0100_0ccc_cccc,
        };
        body = vec![0xaa, 0xaa, 3, 0, 0, 0x0c];
        body.extend(protocol.to_be_bytes());
    }
    if random.u8(..8) == 0 {
        group = GROUPS[random.usize(..GROUPS.len())];
    }
    body.resize(38, 0);
    let mut frame = frame::ethernet(38, &body);
    if random.u8(..8) != 0 {
        frame[..6].copy_from_slice(&group.to_be_bytes()[2..]);
    }
    frame
}
