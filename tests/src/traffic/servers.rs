//! Servers that answer with what they received, until they are dropped.
//!
//! One thread serves one address. It waits in poll(2) for work or for the other end of a socket
//! pair to close, which is how a dropped [`Server`] ends it at once.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::netns::Namespace;

/// A running server; dropping it closes its socket and all its connections.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    /// Closing it is the request to stop. Both are there until the server is dropped.
    running: Option<(UnixStream, JoinHandle<()>)>,
}

impl Server {
    /// The address that it listens on, with the port that the kernel chose if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn start(address: SocketAddr, serve: impl FnOnce(UnixStream) + Send + 'static) -> Result<Self> {
        let (stop, stopped) = UnixStream::pair()?;
        let thread = thread::Builder::new()
            .name(format!("server {address}"))
            .spawn(move || serve(stopped))?;
        Ok(Self {
            address,
            running: Some((stop, thread)),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            if thread.join().is_err() {
                eprintln!("the server at {} panicked", self.address);
            }
        }
    }
}

/// Accepts TCP connections inside the namespace and returns every byte to its sender.
pub fn tcp_server(inside: &Namespace, address: SocketAddr) -> Result<Server> {
    let listener = inside
        .enter(|| TcpListener::bind(address))
        .with_context(|| format!("cannot listen on tcp {address} in {}", inside.name()))?;
    // A connection may be gone again between poll and accept.
    listener.set_nonblocking(true)?;
    Server::start(listener.local_addr()?, move |stopped| {
        serve_tcp(&listener, &stopped);
    })
}

/// Returns every UDP datagram to its sender, inside the namespace.
pub fn udp_echo_server(inside: &Namespace, address: SocketAddr) -> Result<Server> {
    let socket = inside
        .enter(|| UdpSocket::bind(address))
        .with_context(|| format!("cannot listen on udp {address} in {}", inside.name()))?;
    // A datagram with a wrong checksum wakes poll and then is not there.
    socket.set_nonblocking(true)?;
    Server::start(socket.local_addr()?, move |stopped| {
        serve_udp(&socket, &stopped);
    })
}

fn serve_tcp(listener: &TcpListener, stopped: &UnixStream) {
    let mut connections: Vec<TcpStream> = Vec::new();
    loop {
        let mut waited_for = vec![stopped.as_fd(), listener.as_fd()];
        waited_for.extend(connections.iter().map(AsFd::as_fd));
        let ready = wait(&waited_for);
        if ready[0] {
            return;
        }
        let mut ready_connections = ready[2..].iter();
        connections.retain_mut(|stream| ready_connections.next() == Some(&false) || echo(stream));
        if ready[1]
            && let Ok((stream, _)) = listener.accept()
            // A sender that does not read its answers must not hold up the others for long.
            && stream.set_write_timeout(Some(Duration::from_secs(1))).is_ok()
        {
            connections.push(stream);
        }
    }
}

/// Answers once; false when the connection is over.
fn echo(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer) {
        Ok(0) => false,
        Ok(length) => stream.write_all(&buffer[..length]).is_ok(),
        Err(error) => error.kind() == ErrorKind::Interrupted,
    }
}

fn serve_udp(socket: &UdpSocket, stopped: &UnixStream) {
    let mut buffer = [0; 65536];
    while !wait(&[stopped.as_fd(), socket.as_fd()])[0] {
        if let Ok((length, sender)) = socket.recv_from(&mut buffer) {
            // The sender may be unreachable by now: as lost as any datagram.
            let _ = socket.send_to(&buffer[..length], sender);
        }
    }
}

/// Which of these can be read from, or are over; at least one.
fn wait(descriptors: &[BorrowedFd]) -> Vec<bool> {
    let mut polled: Vec<PollFd> = descriptors
        .iter()
        .map(|descriptor| PollFd::new(*descriptor, PollFlags::POLLIN))
        .collect();
    while poll(&mut polled, PollTimeout::NONE).is_err() {
        // Only an interruption ends a wait for valid descriptors with an error.
    }
    polled
        .iter()
        .map(|entry| entry.any() == Some(true))
        .collect()
}
