//! Whether a card takes VLAN tags off before a program sees them.
//!
//! A card that strips tags hands them over beside the frame, where XDP programs cannot see
//! them: tagged frames look untagged. `ETHTOOL_GFLAGS` asks any driver whether it does
//! (include/uapi/linux/ethtool.h).

use std::io::Error;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixDatagram;

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETH_FLAG_TXVLAN: u32 = 1 << 7;
const ETH_FLAG_RXVLAN: u32 = 1 << 8;

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// What a card does with VLAN tags itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VlanOffload {
    /// Takes them off frames that come in (`rxvlan`).
    pub strips: bool,
    /// Puts them on frames that go out (`txvlan`); until then they are beside the frame.
    pub inserts: bool,
}

impl VlanOffload {
    /// Asks the driver of an interface. A driver without such settings does neither.
    ///
    /// # Errors
    /// There is no such interface, or the kernel refuses the question.
    pub fn of(interface: &str) -> Result<Self, Error> {
        let mut value = Value {
            command: ETHTOOL_GFLAGS,
            data: 0,
        };
        // SAFETY: all zeros are a valid `ifreq`.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name[..libc::IFNAMSIZ - 1]
            .iter_mut()
            .zip(interface.bytes())
        {
            *to = from.cast_signed();
        }
        request.ifr_ifru.ifru_data = std::ptr::from_mut(&mut value).cast();
        // Any socket will do (netdevice(7)); it stands for the network namespace.
        let socket = UnixDatagram::unbound()?;
        // SAFETY: the request and the value that it points to outlive the call.
        let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
        if result < 0 {
            let error = Error::last_os_error();
            return match error.raw_os_error() {
                Some(libc::EOPNOTSUPP) => Ok(Self::default()),
                _ => Err(error),
            };
        }
        Ok(Self {
            strips: value.data & ETH_FLAG_RXVLAN != 0,
            inserts: value.data & ETH_FLAG_TXVLAN != 0,
        })
    }
}
