//! A datagram there and back, again and again: latency without any queue.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use sccm_tests::netns::Namespace;

/// Datagrams of a round.
const TIMES: usize = 5_000;

/// How long one may take.
const LIMIT: Duration = Duration::from_secs(2);

/// Microseconds that each took.
pub fn times(from: &Namespace, to: SocketAddr) -> Result<Vec<f64>> {
    let exchange = || -> std::io::Result<Vec<f64>> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(LIMIT))?;
        socket.connect(to)?;
        let mut buffer = [0; 64];
        let mut once = || {
            let start = Instant::now();
            socket.send(&[7; 32])?;
            socket.recv(&mut buffer)?;
            Ok(start.elapsed().as_secs_f64() * 1e6)
        };
        (0..TIMES).map(|_| once()).collect()
    };
    from.enter(exchange).context("sending to the echo server")
}
