//! How transfers begin again and end: last block, error, silence.

use super::tftp::{
    Pair, acknowledgement, data, error, options, pairs, read_request, write_request,
};
use crate::Reason::{NotAllowed, Reply};
use crate::testing::{FAMILIES, World, class};

/// Seconds for which the end may be repeated, and after which silence ends it.
const TAIL: u32 = 10;
const IDLE: u32 = 60;

/// The transfer is over: its end may be repeated for ten seconds, and not longer
/// for being repeated.
#[track_caller]
fn ends(pair: &Pair) {
    pair.world.wait(TAIL);
    assert!(pair.server(&acknowledgement(1)), "repeated");
    assert!(pair.client(&acknowledgement(1)), "repeated");
    pair.world.wait(1);
    assert!(!pair.client(&acknowledgement(1)), "from the client, late");
    assert!(!pair.server(&data(9, 512)), "from the server, late");
}

/// The transfer goes on until 60 seconds of silence.
#[track_caller]
fn goes_on(pair: &Pair) {
    pair.world.wait(IDLE);
    assert!(pair.client(&acknowledgement(9999)), "after {IDLE} s");
    pair.world.wait(IDLE + 1);
    assert!(!pair.client(&acknowledgement(9999)), "after {IDLE} s more");
    assert!(!pair.server(&data(1, 512)), "the request is old as well");
}

/// Reads a file of `sizes`, acknowledging every block in `acknowledged`.
#[track_caller]
fn read(pair: &Pair, sizes: &[usize], acknowledged: impl Fn(u16) -> bool) {
    for (number, size) in (1..).zip(sizes) {
        assert!(pair.server(&data(number, *size)), "block {number}");
        if acknowledged(number) {
            assert!(pair.client(&acknowledgement(number)), "block {number}");
        }
    }
}

#[test]
fn a_short_last_block_ends_it() {
    for pair in pairs() {
        pair.ask(&read_request());
        read(&pair, &[512, 512, 511], |_| true);
        ends(&pair);
    }
}

#[test]
fn an_empty_last_block_ends_an_exact_multiple() {
    for pair in pairs() {
        pair.ask(&read_request());
        read(&pair, &[512, 512], |_| true);
        assert!(pair.server(&data(3, 0)));
        assert!(pair.client(&acknowledgement(3)));
        ends(&pair);
    }
}

#[test]
fn it_goes_on_until_the_short_block_is_acknowledged() {
    for pair in pairs() {
        pair.ask(&read_request());
        read(&pair, &[512, 100], |number| number == 1);
        // An acknowledgement of another block is none of this one.
        assert!(pair.client(&acknowledgement(1)));
        goes_on(&pair);
    }
}

#[test]
fn a_written_file_ends_by_the_servers_acknowledgement() {
    for pair in pairs() {
        pair.ask(&write_request());
        assert!(pair.server(&acknowledgement(0)));
        assert!(pair.client(&data(1, 512)));
        assert!(pair.server(&acknowledgement(1)));
        assert!(pair.client(&data(2, 0)));
        assert!(pair.server(&acknowledgement(2)));
        ends(&pair);
    }
}

#[test]
fn full_blocks_end_nothing() {
    for pair in pairs() {
        pair.ask(&read_request());
        read(&pair, &[512; 5], |_| true);
        goes_on(&pair);
    }
}

#[test]
fn the_block_size_is_the_negotiated_one() {
    for (offer, size) in [
        (&b"blksize\x008\x00"[..], 8),
        (b"blksize\x001468\x00", 1468),
        (b"blksize\x0016384\x00", 16384),
        (b"tsize\x00123456\x00", 512),
    ] {
        for pair in pairs() {
            pair.ask(&read_request());
            assert!(pair.server(&options(offer)));
            assert!(pair.client(&acknowledgement(0)));
            read(&pair, &[size; 3], |_| true);
            goes_on(&pair);

            pair.ask(&read_request());
            assert!(pair.server(&options(offer)));
            assert!(pair.client(&acknowledgement(0)));
            read(&pair, &[size, size, size - 1], |_| true);
            ends(&pair);

            pair.ask(&write_request());
            assert!(pair.server(&options(offer)));
            assert!(pair.client(&data(1, size)));
            assert!(pair.server(&acknowledgement(1)));
            assert!(pair.client(&data(2, 0)));
            assert!(pair.server(&acknowledgement(2)));
            ends(&pair);
        }
    }
}

#[test]
fn a_window_is_acknowledged_by_its_last_block() {
    for pair in pairs() {
        pair.ask(&read_request());
        assert!(pair.server(&options(b"windowsize\x004\x00")));
        assert!(pair.client(&acknowledgement(0)));
        read(&pair, &[512, 512, 512, 512, 512, 30], |number| {
            number == 4 || number == 6
        });
        ends(&pair);
        // The window before the last one may be asked for again.
        pair.ask(&read_request());
        assert!(pair.server(&options(b"windowsize\x004\x00")));
        read(&pair, &[512, 512, 30], |_| false);
        assert!(pair.client(&acknowledgement(1)));
        assert!(pair.server(&data(2, 512)));
        goes_on(&pair);
    }
}

#[test]
fn an_error_of_either_side_ends_it() {
    for pair in pairs() {
        pair.ask(&read_request());
        assert!(pair.server(&error(1)), "file not found");
        ends(&pair);
    }
    for pair in pairs() {
        pair.ask(&read_request());
        read(&pair, &[512, 512], |_| true);
        assert!(pair.client(&error(3)), "disk full");
        ends(&pair);
    }
}

#[test]
fn silence_ends_it() {
    for pair in pairs() {
        pair.ask(&read_request());
        pair.world.wait(IDLE);
        assert!(pair.server(&data(1, 512)), "a slow server");
        goes_on(&pair);
        pair.ask(&read_request());
        pair.world.wait(IDLE + 1);
        assert!(!pair.server(&data(1, 512)), "one that is too slow");
    }
}

#[test]
fn a_clock_that_lags_behind_the_last_writers_is_no_timeout() {
    for pair in pairs() {
        pair.ask(&read_request());
        read(&pair, &[512], |_| true);
        pair.world.state.now.set(pair.world.state.now.get() - 1);
        assert!(pair.server(&data(2, 512)));
        assert!(pair.client(&acknowledgement(2)));
    }
}

#[test]
fn a_retried_request_is_answered_from_two_ports() {
    for mut pair in pairs() {
        pair.ask(&read_request());
        pair.ask(&read_request());
        assert!(pair.server(&data(1, 512)));
        pair.server_port += 1;
        assert!(pair.server(&data(1, 512)));
        // The client goes on with one, and tells the other off.
        assert!(pair.client(&error(5)));
        pair.server_port -= 1;
        assert!(pair.client(&acknowledgement(1)));
        pair.world.wait(TAIL + 1);
        assert!(pair.server(&data(2, 512)));
        assert!(pair.client(&acknowledgement(2)));
        pair.server_port += 1;
        assert!(!pair.client(&acknowledgement(1)), "the other has ended");
    }
}

#[test]
fn firmware_asks_for_the_size_first_and_comes_back() {
    for new_port in [true, false] {
        for mut pair in pairs() {
            pair.ask(b"\x00\x01boot.wim\x00octet\x00tsize\x000\x00");
            assert!(pair.server(&options(b"tsize\x00350000000\x00")));
            assert!(pair.client(&error(8)));
            pair.server_port += 1;
            pair.client_port += u16::from(new_port);
            pair.ask(b"\x00\x01boot.wim\x00octet\x00blksize\x001468\x00");
            assert!(pair.server(&options(b"blksize\x001468\x00")));
            assert!(pair.client(&acknowledgement(0)));
            pair.world.wait(TAIL + 1);
            read(&pair, &[1468, 1468, 7], |_| true);
            ends(&pair);
        }
    }
}

#[test]
fn the_same_port_asks_again_much_later() {
    for mut pair in pairs() {
        for _ in 0..3 {
            assert!(pair.ask(&read_request()));
            read(&pair, &[512, 7], |_| true);
            ends(&pair);
            pair.server_port += 1;
            pair.world.wait(10 * IDLE);
        }
    }
}

#[test]
fn a_repeated_last_block_opens_no_flow() {
    for family in FAMILIES {
        let pair = Pair::serving(World::host().inbound(&[class::TFTP]), family);
        pair.ask(&read_request());
        // Whoever forged the request acknowledges nothing; the server tries for a minute.
        for _ in 0..6 {
            assert!(pair.server(&data(1, 100)));
            pair.world.wait(10);
        }
        assert_eq!(pair.world.flows(), 0);
    }
}

#[test]
fn the_ends_are_judged_by_the_reason_reply() {
    for family in FAMILIES {
        let pair = Pair::serving(World::host().inbound(&[class::TFTP]), family);
        pair.ask(&read_request());
        read(&pair, &[7], |_| false);
        let client =
            crate::testing::Link::new(family, crate::testing::PEER, crate::testing::PROTECTED);
        let last = client.udp(pair.client_port, pair.server_port, &acknowledgement(1));
        assert_eq!(pair.world.arrives(&last), Reply);
        pair.world.wait(TAIL + 1);
        assert_eq!(pair.world.arrives(&last), NotAllowed);
    }
}
