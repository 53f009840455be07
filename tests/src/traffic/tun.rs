//! A tunnel whose other end is the test: packets without any link header, in and out of the kernel.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::netns::Namespace;

nix::ioctl_write_ptr!(set_interface, b'T', 202, nix::libc::c_int);

/// `struct ifreq`, as far as it is used here.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// Packets without a link header, and without another one before them (include/uapi/linux/if_tun.h).
const IFF_TUN: u16 = 0x0001;
const IFF_NO_PI: u16 = 0x1000;

/// The end of a tunnel that is not in the kernel. The device goes with it.
#[derive(Debug)]
pub struct Tun(File);

impl Tun {
    /// Makes a device of this name in a namespace.
    pub fn create(inside: &Namespace, name: &str) -> Result<Self> {
        inside.enter(|| {
            let mut options = OpenOptions::new();
            options.read(true).write(true);
            options.custom_flags(nix::libc::O_NONBLOCK);
            let file = options
                .open("/dev/net/tun")
                .context("opening /dev/net/tun")?;
            let mut request = Request {
                name: [0; 16],
                flags: IFF_TUN | IFF_NO_PI,
                rest: [0; 22],
            };
            ensure!(name.len() < request.name.len(), "{name} is too long");
            request.name[..name.len()].copy_from_slice(name.as_bytes());
            // SAFETY: the request is an `ifreq` that outlives the call.
            unsafe { set_interface(file.as_raw_fd(), (&raw const request).cast()) }
                .context("making a tunnel")?;
            Ok(Self(file))
        })
    }

    /// Has a packet come in: an Ethernet frame without its header.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        let packet = frame.get(14..).context("no Ethernet frame")?;
        let sent = (&self.0).write(packet).context("writing to a tunnel")?;
        ensure!(sent == packet.len(), "only {sent} bytes were taken");
        Ok(())
    }

    /// A packet that went out and that `is_it`; `None` if there was none for so long.
    pub fn receive(
        &self,
        patience: Duration,
        is_it: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Vec<u8>>> {
        let end = Instant::now() + patience;
        let mut buffer = vec![0; 65_536];
        loop {
            match (&self.0).read(&mut buffer) {
                Ok(length) if is_it(&buffer[..length]) => {
                    return Ok(Some(buffer[..length].to_vec()));
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(None);
                    }
                    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
                    poll(
                        &mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)],
                        timeout,
                    )?;
                }
                Err(error) => return Err(error).context("reading from a tunnel"),
            }
        }
    }
}
