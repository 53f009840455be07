//! What a card's driver tells of it, by the calls of ethtool (include/uapi/linux/ethtool.h).
//!
//! A card that strips VLAN tags hands them over beside the frame, where XDP programs cannot see
//! them: tagged frames look untagged.

use std::io::Error;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixDatagram;

/// Numbers of calls (include/uapi/linux/sockios.h).
const SIOCGIFMTU: libc::Ioctl = 0x8921;
const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETHTOOL_GCHANNELS: u32 = 0x3c;
/// The names of what `ethtool -K` switches.
const ETH_SS_FEATURES: u32 = 4;
/// As `ethtool -k` calls it: the card joins packets, so that they can be taken apart again.
const GRO_HW: &str = "rx-gro-hw";
const ETH_FLAG_TXVLAN: u32 = 1 << 7;
const ETH_FLAG_RXVLAN: u32 = 1 << 8;
const ETH_FLAG_LRO: u32 = 1 << 15;

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// `struct ethtool_drvinfo`: the driver's name, and what else is asked of nobody here.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

/// `struct ethtool_channels`.
#[repr(C)]
struct Channels {
    command: u32,
    most: [u32; 4],
    receiving: u32,
    sending: u32,
    other: u32,
    combined: u32,
}

/// Bytes of a name.
const NAME: usize = 32;

/// As many features are read; kernels have some sixty.
const MOST_FEATURES: usize = 128;

/// `struct ethtool_sset_info`, for one set.
#[repr(C)]
struct SetInfo {
    command: u32,
    reserved: u32,
    mask: u64,
    length: u32,
}

/// `struct ethtool_gstrings`. The kernel writes as many names as the set has, whatever `length` says.
#[repr(C)]
struct Names {
    command: u32,
    set: u32,
    length: u32,
    names: [[u8; NAME]; MOST_FEATURES],
}

/// `struct ethtool_get_features_block`: a bit for each of 32 features.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Block {
    available: u32,
    requested: u32,
    active: u32,
    never_changed: u32,
}

/// `struct ethtool_gfeatures`.
#[repr(C)]
struct Features {
    command: u32,
    size: u32,
    blocks: [Block; MOST_FEATURES / 32],
}

/// An interface that is asked about.
struct Question {
    request: libc::ifreq,
    /// Any socket will do (netdevice(7)); it stands for the network namespace.
    socket: UnixDatagram,
}

impl Question {
    fn about(interface: &str) -> Result<Self, Error> {
        // SAFETY: all zeros are a valid `ifreq`.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name[..libc::IFNAMSIZ - 1]
            .iter_mut()
            .zip(interface.bytes())
        {
            *to = from.cast_signed();
        }
        let socket = UnixDatagram::unbound()?;
        Ok(Self { request, socket })
    }

    /// Has the kernel fill `structure`, one of those above. `false`: the driver does not tell.
    fn ask<T>(&mut self, structure: &mut T) -> Result<bool, Error> {
        self.request.ifr_ifru.ifru_data = std::ptr::from_mut(structure).cast();
        // SAFETY: the request and the structure that it points to outlive the call; the structure is that
        // of the command in its first field.
        let result =
            unsafe { libc::ioctl(self.socket.as_raw_fd(), SIOCETHTOOL, &raw mut self.request) };
        if result >= 0 {
            return Ok(true);
        }
        let error = Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EOPNOTSUPP) => Ok(false),
            _ => Err(error),
        }
    }

    fn flags(&mut self) -> Result<u32, Error> {
        let mut value = Value {
            command: ETHTOOL_GFLAGS,
            data: 0,
        };
        let told = self.ask(&mut value)?;
        Ok(if told { value.data } else { 0 })
    }

    /// Whether this is switched on, by its name in `ethtool -k`. A kernel that has no such feature has
    /// not switched it on.
    fn has(&mut self, feature: &str) -> Result<bool, Error> {
        let mut info = SetInfo {
            command: ETHTOOL_GSSET_INFO,
            reserved: 0,
            mask: 1 << ETH_SS_FEATURES,
            length: 0,
        };
        // More names than there is room for would be written behind the end.
        if !self.ask(&mut info)? || info.length as usize > MOST_FEATURES {
            return Ok(false);
        }
        let mut names = Names {
            command: ETHTOOL_GSTRINGS,
            set: ETH_SS_FEATURES,
            length: info.length,
            names: [[0; NAME]; MOST_FEATURES],
        };
        let mut features = Features {
            command: ETHTOOL_GFEATURES,
            size: (MOST_FEATURES / 32) as u32,
            blocks: [Block::default(); MOST_FEATURES / 32],
        };
        if !self.ask(&mut names)? || !self.ask(&mut features)? {
            return Ok(false);
        }
        let is_it =
            |name: &[u8; NAME]| name.split(|byte| *byte == 0).next() == Some(feature.as_bytes());
        let number = names.names.iter().position(is_it);
        Ok(number
            .is_some_and(|number| features.blocks[number / 32].active & (1 << (number % 32)) != 0))
    }

    /// The MTU in bytes.
    fn mtu(&mut self) -> Result<u32, Error> {
        // SAFETY: the request outlives the call.
        let result =
            unsafe { libc::ioctl(self.socket.as_raw_fd(), SIOCGIFMTU, &raw mut self.request) };
        if result < 0 {
            return Err(Error::last_os_error());
        }
        // SAFETY: the kernel has written this field (net/core/dev_ioctl.c).
        let mtu = unsafe { self.request.ifr_ifru.ifru_mtu };
        Ok(mtu.cast_unsigned())
    }
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
        let flags = Question::about(interface)?.flags()?;
        Ok(Self {
            strips: flags & ETH_FLAG_RXVLAN != 0,
            inserts: flags & ETH_FLAG_TXVLAN != 0,
        })
    }
}

/// What else is worth knowing of a card.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CardFacts {
    /// The driver's name; empty if it does not tell.
    pub driver: String,
    /// Queues by which frames come in; 0 if it does not tell.
    pub queues: u32,
    /// Bytes.
    pub mtu: u32,
    /// It joins packets that come in to larger ones (`lro`).
    pub receives_large: bool,
    /// It joins packets that come in as GRO does (`rx-gro-hw`).
    pub receives_joined: bool,
}

impl CardFacts {
    /// Asks the driver of an interface.
    ///
    /// # Errors
    /// There is no such interface, or the kernel refuses the question.
    pub fn of(interface: &str) -> Result<Self, Error> {
        let mut question = Question::about(interface)?;
        let mut info = DriverInfo {
            command: ETHTOOL_GDRVINFO,
            driver: [0; 32],
            rest: [0; 160],
        };
        let mut channels = Channels {
            command: ETHTOOL_GCHANNELS,
            most: [0; 4],
            receiving: 0,
            sending: 0,
            other: 0,
            combined: 0,
        };
        question.ask(&mut info)?;
        question.ask(&mut channels)?;
        let name = info.driver.split(|byte| *byte == 0).next();
        Ok(Self {
            driver: String::from_utf8_lossy(name.unwrap_or_default()).into_owned(),
            queues: channels.receiving.saturating_add(channels.combined),
            mtu: question.mtu()?,
            receives_large: question.flags()? & ETH_FLAG_LRO != 0,
            receives_joined: question.has(GRO_HW)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_switched_on_is_told_by_name() {
        let mut question = Question::about("lo").unwrap();
        // The kernel joins packets of every interface; the loopback has no card to do it.
        assert!(question.has("rx-gro").unwrap());
        assert!(!question.has(GRO_HW).unwrap());
        assert!(!question.has("rx-gr").unwrap() && !question.has("").unwrap());
    }
}
