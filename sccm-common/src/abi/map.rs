//! Every pinned map: its name, kind, key, value and size, said once.
//!
//! The program makes its maps from this table. The agent pins and opens them by it, checks
//! what an earlier agent pinned, and adds up how much memory they take.

use super::{InterfaceRecord, PeerRecord, PolicyInfo, ServiceRecord};
use crate::address::Trie;
use crate::blocked::{self, Bucket, Set};
use crate::capture::{self, Desk, Order};
use crate::counter::{MAX_INTERFACES, PAGES, Page, PeerPage, SHADOW_PAGES};
use crate::entrance::Entrances;
use crate::flow::{DEFAULT_CAPACITY, table};
use crate::fragment::{self, FragmentKey, FragmentState};
use crate::opening;
use crate::policy::BANKS;
use crate::probe;
use crate::question;
use crate::rpc::heard;
use crate::tftp::{self, TransferKey, TransferState};
use crate::trunk::VlanTable;
use crate::usage::{Row, RowRecord, Uses};
use crate::verdict::Outcome;
use crate::{Peer, Policy, ServiceClass};
use Size::{Entries, FlowSets};
use core::marker::PhantomData;

macro_rules! maps {
    ($($(#[$doc:meta])+ $name:ident: $layout:ty = $size:expr;)+) => {
        $(
            $(#[$doc])+
            pub const $name: Map<$layout> = Map::new(stringify!($name), $size);
        )+

        /// Every map.
        pub const ALL: &[Shape] = &[$($name.shape()),+];
    };
}

maps! {
    /// [`VERSION`](super::VERSION).
    ABI: Array<u32> = Entries(1);
    /// The number of the active bank, and whether there is a shadow
    /// ([`SHADOWED`](crate::policy::SHADOWED)). One write of this word publishes a policy.
    ACTIVE: Array<u32> = Entries(1);
    /// The policy of each bank.
    POLICIES: Array<Policy> = Entries(BANKS);
    /// What agents say about the policy of each bank.
    POLICY_INFO: Array<PolicyInfo> = Entries(BANKS);
    /// The classes of addresses of each bank.
    TRIES: Array<Trie> = Entries(BANKS);

    /// Packets and bytes, by [`page`](crate::counter::page).
    COUNTERS: PerCpuArray<Page> = Entries(PAGES);
    /// Where the shadow decides otherwise, by [`shadow_page`](crate::counter::shadow_page).
    SHADOW_COUNTERS: PerCpuArray<Page> = Entries(SHADOW_PAGES);
    /// What was refused, by peer; pages as in [`COUNTERS`].
    PEER_COUNTERS: PerCpuArray<PeerPage> = Entries(PAGES);

    /// How much each right was used, by its [`Row`].
    USES: PerCpuArray<Uses> = Entries(Row::COUNT);
    /// What each row stands for.
    ROWS: Array<RowRecord> = Entries(Row::COUNT);

    /// Which interface each slot stands for.
    INTERFACES: Array<InterfaceRecord> = Entries(MAX_INTERFACES);
    /// What each service class is called.
    SERVICES: Array<ServiceRecord> = Entries(ServiceClass::COUNT as u32);
    /// What each peer is called.
    PEERS: Array<PeerRecord> = Entries(Peer::COUNT as u32);

    /// The flows that protected systems have opened.
    FLOWS: MappedArray<table::Set> = FlowSets;
    /// How they find their sets.
    FLOW_HASH: Array<table::Hash> = Entries(1);
    /// How many of them have made way, and how many found no place, by [`Lost`](table::Lost).
    FLOWS_LOST: PerCpuArray<u64> = Entries(table::Lost::COUNT);
    /// The first fragments that passed.
    FRAGMENTS: LruHashMap<FragmentKey, FragmentState> = Entries(fragment::CAPACITY);
    /// TFTP requests that passed, and the transfers that followed.
    TRANSFERS: LruHashMap<TransferKey, TransferState> = Entries(tftp::CAPACITY);

    /// What was asked lately, where answers need a question.
    QUESTIONS: Array<question::Words> = Entries(question::BUCKETS);
    /// A number that nobody else knows, by which questions find their buckets.
    SECRET: Array<u64> = Entries(1);

    /// The ports that the endpoint mapper of RPC has handed out.
    OPENINGS: MappedArray<opening::Set> = Entries(opening::SETS);
    /// What became of its answers, by [`Outcome`].
    RPC_OUTCOMES: PerCpuArray<u64> = Entries(Outcome::COUNT);
    /// What became of those that the agent has read. Only agents write here.
    READ_OUTCOMES: Array<u64> = Entries(Outcome::COUNT);
    /// What is said to and by mappers, each segment behind a [`Header`](heard::Header).
    HEARD: RingBuf = Entries(heard::RING_BYTES);
    /// Where a CPU puts such a record together: one for each hook, because one program may
    /// interrupt the other.
    HEARING: PerCpuArray<heard::Desk> = Entries(2);

    /// How many probes passed lately: of all peers, and by [`word_of`](probe::word_of).
    PROBES: PerCpuArray<u64> = Entries(probe::WORDS);

    /// What each VLAN id stands for, by the slot of the hook.
    VLANS: Array<VlanTable> = Entries(MAX_INTERFACES);
    /// The interfaces whose frames were judged when they came in. Said of each is, where the machine
    /// translates addresses, the number of its [`Place`](crate::Place), an uplink or a segment; else 0.
    ENTRANCES: MappedArray<Entrances> = Entries(1);

    /// The flows that were refused.
    BLOCKED: PerCpuArray<Set> = Entries(blocked::SETS);
    /// How many more of them each reason may note.
    BUCKETS: PerCpuArray<Bucket> = Entries(blocked::BUCKETS);
    /// The flows that the shadow judges otherwise.
    SHADOW_FLOWS: PerCpuArray<Set> = Entries(blocked::SETS);
    /// How many more of them each reason may note.
    SHADOW_BUCKETS: PerCpuArray<Bucket> = Entries(blocked::BUCKETS);
    /// An [`Event`](crate::blocked::Event) for each refused flow, when it is noted.
    EVENTS: RingBuf = Entries(blocked::EVENTS_BYTES);

    /// Which refused packets somebody wants.
    ORDER: Array<Order> = Entries(1);
    /// Where a CPU puts such a packet together: one for each hook, because one program may
    /// interrupt the other.
    DESK: PerCpuArray<Desk> = Entries(2);
    /// The refused packets themselves, each behind a [`Header`](crate::capture::Header).
    CAPTURED: RingBuf = Entries(capture::RING_BYTES);
}

/// How the kernel keeps a map, by its own numbers (`enum bpf_map_type`,
/// include/uapi/linux/bpf.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// An array.
    Array = 2,
    /// An array for each CPU.
    PerCpuArray = 6,
    /// A hash table that drops the element that was used least recently when it is full.
    LruHash = 9,
    /// A ring buffer: bytes, without keys or values.
    RingBuf = 27,
}

/// How large a map is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// So many elements, or bytes of a ring buffer.
    Entries(u32),
    /// As many sets as the flows need that the agent was told of (`--flow-capacity`).
    FlowSets,
}

impl Size {
    /// Elements, or bytes of a ring buffer, where the setting is `flow_capacity`.
    #[must_use]
    pub const fn entries(self, flow_capacity: u32) -> u32 {
        match self {
            Entries(entries) => entries,
            FlowSets => table::sets(flow_capacity),
        }
    }
}

/// What the kernel knows of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Its name: the same in the program, the object file and the pins.
    pub name: &'static str,
    /// How the kernel keeps it.
    pub kind: Kind,
    /// Bytes of a key.
    pub key: u32,
    /// Bytes of a value.
    pub value: u32,
    /// Flags, by the kernel's own numbers.
    pub flags: u32,
    /// How many there are.
    pub size: Size,
}

/// `BPF_F_MMAPABLE` (include/uapi/linux/bpf.h): agents have the map in their memory.
pub const MAPPED: u32 = 1 << 10;

/// Kind, key and value of a map, as a type.
pub trait Layout {
    /// How the kernel keeps the map.
    const KIND: Kind;
    /// Flags, by the kernel's own numbers.
    const FLAGS: u32 = 0;
    /// A key.
    type Key;
    /// A value.
    type Value;
}

/// [`Kind::Array`]; keys are indices.
pub struct Array<V>(PhantomData<V>);

/// [`Kind::Array`]; agents have it in their memory.
pub struct MappedArray<V>(PhantomData<V>);

/// [`Kind::PerCpuArray`]; keys are indices.
pub struct PerCpuArray<V>(PhantomData<V>);

/// [`Kind::LruHash`].
pub struct LruHashMap<K, V>(PhantomData<(K, V)>);

/// [`Kind::RingBuf`].
pub struct RingBuf(());

impl<V> Layout for Array<V> {
    const KIND: Kind = Kind::Array;
    type Key = u32;
    type Value = V;
}

impl<V> Layout for MappedArray<V> {
    const KIND: Kind = Kind::Array;
    const FLAGS: u32 = MAPPED;
    type Key = u32;
    type Value = V;
}

impl<V> Layout for PerCpuArray<V> {
    const KIND: Kind = Kind::PerCpuArray;
    type Key = u32;
    type Value = V;
}

impl<K, V> Layout for LruHashMap<K, V> {
    const KIND: Kind = Kind::LruHash;
    type Key = K;
    type Value = V;
}

impl Layout for RingBuf {
    const KIND: Kind = Kind::RingBuf;
    type Key = ();
    type Value = ();
}

/// One map of the table.
pub struct Map<L> {
    /// Its name: the same in the program, the object file and the pins.
    pub name: &'static str,
    size: Size,
    layout: PhantomData<L>,
}

impl<L: Layout> Map<L> {
    const fn new(name: &'static str, size: Size) -> Self {
        Self {
            name,
            size,
            layout: PhantomData,
        }
    }

    /// Elements, or bytes of a ring buffer, that the program asks for. An agent may ask for
    /// another number of flows.
    #[must_use]
    pub const fn entries(&self) -> u32 {
        self.size.entries(DEFAULT_CAPACITY)
    }

    /// What the kernel knows of it.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        Shape {
            name: self.name,
            kind: L::KIND,
            key: size_of::<L::Key>() as u32,
            value: size_of::<L::Value>() as u32,
            flags: L::FLAGS,
            size: self.size,
        }
    }
}
