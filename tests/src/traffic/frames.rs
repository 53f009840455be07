//! Raw Ethernet frames in and out of an interface, past the kernel's own protocols.
//!
//! What arrives here has already passed an XDP program, so a received frame is a passed one. The
//! kernel takes the outermost VLAN tag off before it hands a frame over.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, LinkAddr, SockFlag, SockType, SockaddrLike, bind, socket};

use crate::netns::Interface;

/// How long a full queue is waited for.
const LIMIT: Duration = Duration::from_secs(10);

/// A packet socket bound to one interface.
#[derive(Debug)]
pub struct FrameSocket {
    /// A packet socket reads and writes whole frames like a file.
    socket: File,
}

impl FrameSocket {
    /// Opens the socket. From now on it collects what arrives; open it before what is awaited is
    /// sent.
    pub fn open(interface: Interface) -> Result<Self> {
        interface
            .namespace()
            .enter(|| open(interface.name()))
            .with_context(|| format!("cannot open a packet socket on {}", interface.name()))
    }

    /// Sends one frame as it is.
    ///
    /// # Errors
    /// When the interface is down, the frame is shorter than an Ethernet header or too long, or
    /// it was dropped on its way out.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        let sent = (&self.socket).write(frame).context("cannot send a frame")?;
        whole(sent, frame)
    }

    /// The same over a cable that may be too busy to take it: the kernel says so as it says
    /// that a frame was dropped on its way out, so it is sent again.
    ///
    /// # Errors
    /// As [`FrameSocket::send`], and when nobody takes it for ten seconds.
    pub fn send_until_taken(&self, frame: &[u8]) -> Result<()> {
        let end = Instant::now() + LIMIT;
        let sent = loop {
            match (&self.socket).write(frame) {
                Err(error) if is_full(&error) && Instant::now() < end => yield_now(),
                sent => break sent.context("cannot send a frame")?,
            }
        };
        whole(sent, frame)
    }

    /// The next received frame that `wanted` accepts; others are discarded. None when `patience`
    /// is over.
    pub fn receive(
        &self,
        patience: Duration,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Vec<u8>>> {
        let end = Instant::now() + patience;
        let mut buffer = [0; 65536];
        loop {
            match (&self.socket).read(&mut buffer) {
                Ok(length) if wanted(&buffer[..length]) => {
                    return Ok(Some(buffer[..length].to_vec()));
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(None);
                    }
                    let mut waiting = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
                    poll(&mut waiting, PollTimeout::try_from(left)?)?;
                }
                Err(error) => return Err(error).context("cannot receive frames"),
            }
        }
    }
}

fn whole(sent: usize, frame: &[u8]) -> Result<()> {
    ensure!(
        sent == frame.len(),
        "only {sent} bytes of a frame were sent"
    );
    Ok(())
}

/// Both mean a full queue: the card's, or the socket's own.
fn is_full(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOBUFS) || error.kind() == ErrorKind::WouldBlock
}

fn open(interface: &str) -> Result<FrameSocket> {
    // Protocol 0 receives nothing yet: frames of other interfaces never get in before the bind.
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
    ignore_outgoing(&socket)?;
    bind(socket.as_raw_fd(), &all_of(interface)?)?;
    Ok(FrameSocket {
        socket: File::from(socket),
    })
}

/// The address "every protocol on this interface".
fn all_of(interface: &str) -> Result<LinkAddr> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: i32::try_from(if_nametoindex(interface)?)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = size_of_val(&address) as u32;
    // SAFETY: the pointer is to a whole sockaddr_ll of this length, which is copied.
    let address = unsafe { LinkAddr::from_raw((&raw const address).cast(), Some(length)) };
    address.context("the address is of another family")
}

/// A packet socket would see what it sends itself, and what the host sends.
fn ignore_outgoing(socket: &impl AsRawFd) -> Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the value is one int, and its size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_IGNORE_OUTGOING,
            (&raw const on).cast(),
            size_of_val(&on) as u32,
        )
    };
    nix::errno::Errno::result(result).context("cannot ignore outgoing frames")?;
    Ok(())
}
