//! What the RPC endpoint mapper, and DCOM's activation beside it, answer on TCP 135: which dynamic
//! port a client was handed.
//!
//! Layers, from the wire up: [`pdu`] reads one protocol data unit (DCE 1.1: RPC, chapter 12;
//! MS-RPCE, 2.2.2), [`conversation`] follows which context and which question an answer belongs to,
//! and [`answer`] reads the ports out of it. Whoever calls them puts the stream of TCP together and
//! keeps the fragments; nothing here allocates, and every loop ends with the bytes it was given.
//!
//! An answer is never believed about addresses. It opens a port of the system that sent it, to the
//! system that it was sent to, or nothing, and then a [`Refusal`] says why.

pub mod answer;
pub mod bind;
pub mod bytes;
pub mod conversation;
pub mod heard;
pub mod limits;
pub mod pdu;
mod refusal;
pub mod room;
pub mod scan;
mod uuid;

pub use answer::{How, Named, Port};
pub use limits::Limits;
pub use refusal::Refusal;
pub use uuid::{NoUuid, Uuid};

#[cfg(test)]
mod tests;

/// Where the endpoint mapper listens, over TCP.
pub const MAPPER: u16 = 135;

/// Ports that one answer may open.
pub const MOST_PORTS: usize = 4;

/// The interfaces whose answers name ports, and those who format them.
pub mod interface {
    use super::Uuid;

    /// The endpoint mapper, version 3.
    pub const MAPPER: Uuid = Uuid(0xe1af8308_5d1f_11c9_91a4_08002b14a0fa);
    /// ISystemActivator, by its other name IRemoteSCMActivator (MS-DCOM, 3.1.2.5.2).
    pub const ACTIVATOR: Uuid = Uuid(0x000001a0_0000_0000_c000_000000000046);
    /// IActivation, by its other name IRemoteActivation, of the first DCOM.
    pub const LEGACY_ACTIVATION: Uuid = Uuid(0x4d9f4ab8_7d1c_11cf_861e_0020af6e7c57);
    /// IObjectExporter, by its other name IOXIDResolver.
    pub const RESOLVER: Uuid = Uuid(0x99fcfec4_5260_101b_bbcb_00aa0021347a);
    /// Network data representation, version 2.
    pub const NDR32: Uuid = Uuid(0x8a885d04_1ceb_11c9_9fe8_08002b104860);
    /// Network data representation with words of 64 bits, version 1.
    pub const NDR64: Uuid = Uuid(0x71710533_beba_4937_8319_b5dbef9ccc36);
}
