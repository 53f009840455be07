//! The pinned maps: opening them, and publishing policies through them.

mod create;
mod live;
mod open;
mod shadow;

use super::batch::Table;
use super::blocked::Notes;
use super::{Clock, Mapped, PinDir, clock, counters, names};
use crate::policy::{Compiled, ServiceNames};
use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, MapData, PerCpuArray};
use sccm_common::Policy;
use sccm_common::abi::{self, InterfaceRecord, PeerRecord, PolicyInfo, ServiceRecord, map};
use sccm_common::address::Trie;
use sccm_common::blocked::{Bucket, Set};
use sccm_common::counter::{Page, PeerPage};
use sccm_common::entrance::Entrances;
use sccm_common::flow::table;
use sccm_common::policy::{LIVE_BANKS, SHADOWED};
use sccm_common::trunk::VlanTable;
use sccm_common::usage::{RowRecord, Uses};
use std::time::{SystemTime, UNIX_EPOCH};

pub use create::create;
pub(super) use open::{has_shape, info, open};

/// `membarrier(2)`: returns when no CPU runs what it ran before, programs in the kernel included.
const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;

/// The layout version that a pin directory's maps carry; 0 before they are finished.
pub(super) fn abi_version(pins: &PinDir) -> Result<u32> {
    Ok(open(pins, map::ABI)?.get(&0, 0)?)
}

/// The capacity of the pinned table of flows.
pub(super) fn flow_capacity(pins: &PinDir) -> Result<u32> {
    Ok(table::capacity(info(pins, map::FLOWS.name)?.max_entries()))
}

/// The maps that an agent reads and writes. Only the program uses the others.
pub struct Maps {
    abi: Array<MapData, u32>,
    active: Array<MapData, u32>,
    policies: Array<MapData, Policy>,
    infos: Array<MapData, PolicyInfo>,
    tries: Array<MapData, Trie>,
    pub(super) counters: PerCpuArray<MapData, Page>,
    pub(super) shadow_counters: PerCpuArray<MapData, Page>,
    pub(super) peer_counters: PerCpuArray<MapData, PeerPage>,
    pub(super) interfaces: Array<MapData, InterfaceRecord>,
    pub(super) vlans: Array<MapData, VlanTable>,
    pub(super) entrances: Mapped<Entrances>,
    services: Array<MapData, ServiceRecord>,
    /// The same map, to be read in one call.
    all_services: Table<u32, ServiceRecord>,
    pub(super) blocked: Notes,
    pub(super) shadow_notes: Notes,
    /// The maps of the latter, to be cleared.
    shadow_flows: PerCpuArray<MapData, Set>,
    shadow_buckets: PerCpuArray<MapData, Bucket>,
    peers: Array<MapData, PeerRecord>,
    pub(super) uses: PerCpuArray<MapData, Uses>,
    pub(super) rows: Array<MapData, RowRecord>,
    /// The same map, to be read in one call.
    pub(super) all_rows: Table<u32, RowRecord>,
}

impl Maps {
    /// Opens the pins.
    pub fn open(pins: &PinDir) -> Result<Self> {
        Ok(Self {
            abi: open(pins, map::ABI)?,
            active: open(pins, map::ACTIVE)?,
            policies: open(pins, map::POLICIES)?,
            infos: open(pins, map::POLICY_INFO)?,
            tries: open(pins, map::TRIES)?,
            counters: open(pins, map::COUNTERS)?,
            shadow_counters: open(pins, map::SHADOW_COUNTERS)?,
            peer_counters: open(pins, map::PEER_COUNTERS)?,
            interfaces: open(pins, map::INTERFACES)?,
            vlans: open(pins, map::VLANS)?,
            entrances: Mapped::open(pins, map::ENTRANCES)?,
            services: open(pins, map::SERVICES)?,
            all_services: Table::open(pins, map::SERVICES)?,
            blocked: Notes::open(pins, map::BLOCKED, map::BUCKETS)?,
            shadow_notes: Notes::open(pins, map::SHADOW_FLOWS, map::SHADOW_BUCKETS)?,
            shadow_flows: open(pins, map::SHADOW_FLOWS)?,
            shadow_buckets: open(pins, map::SHADOW_BUCKETS)?,
            peers: open(pins, map::PEERS)?,
            uses: open(pins, map::USES)?,
            rows: open(pins, map::ROWS)?,
            all_rows: Table::open(pins, map::ROWS)?,
        })
    }

    /// Marks fresh maps as finished, once a policy is in them.
    pub fn finish(&mut self) -> Result<()> {
        self.abi
            .set(0, abi::VERSION, 0)
            .context("writing the layout version")
    }

    /// Makes `compiled` the policy of every interface at once, and returns its generation. The
    /// last write activates it; until then nothing changes for any packet. Waits for a grace
    /// period, some tens of milliseconds, unless it is the first policy.
    ///
    /// # Errors
    /// The kernel refuses a write; the running policy stays.
    pub fn publish(&mut self, compiled: &Compiled) -> Result<u64> {
        let inactive = self.standby_bank()?;
        let generation = 1 + self.info()?.generation.max(self.standby()?.generation);
        self.write_names(&compiled.services)?;
        if generation > 1 {
            // A program may still be reading the policy that was in this bank.
            grace_period()?;
        }
        self.write_rows(compiled, generation)?;
        let info = PolicyInfo {
            generation,
            published: unix_time(),
            ..compiled.info
        };
        self.fill(inactive, compiled, info)?;
        self.activate(inactive).context("activating the policy")?;
        Ok(generation)
    }

    /// The end of a warm-up that goes on, by the program's clock and in seconds since 1970: it is
    /// that of the next policy, too.
    ///
    /// # Errors
    /// The kernel refuses a read.
    pub fn warm_up(&self) -> Result<Option<(u32, u64)>> {
        let info = self.info()?;
        if info.warm_up_left(unix_time()) == 0 {
            return Ok(None);
        }
        Ok(Some((u32::try_from(info.until)?, info.warm_up_until)))
    }

    /// Until when probes pass, by the program's clock; `None`: none do now.
    ///
    /// # Errors
    /// The kernel refuses a read.
    pub fn probes(&self) -> Result<Option<u32>> {
        let until = u32::try_from(self.info()?.until)?;
        Ok((Clock::read()?.program() < until).then_some(until))
    }

    /// Called before the tables are written, so that no counter is ever without a name.
    fn write_names(&mut self, names: &ServiceNames) -> Result<()> {
        names::write_services(&mut self.services, names)?;
        names::write_peers(&mut self.peers, &names.peers)
    }

    /// Writes a policy into a bank that no program reads.
    fn fill(&mut self, bank: u32, compiled: &Compiled, info: PolicyInfo) -> Result<()> {
        self.tries
            .set(bank, compiled.addresses.trie(), 0)
            .context("writing the prefixes")?;
        let policy: &Policy = &compiled.policy;
        self.policies
            .set(bank, policy, 0)
            .context("writing the policy")?;
        self.infos
            .set(bank, info, 0)
            .context("writing the policy's description")
    }

    /// Activates the policy that was active before the last [`Maps::publish`]; it is still in
    /// the other bank.
    pub fn unpublish(&mut self) -> Result<()> {
        let standby = self.standby_bank()?;
        self.activate(standby)
            .context("going back to the previous policy")
    }

    /// [`Maps::unpublish`], and notes which policy was rolled back, so that no agent publishes it
    /// again unless somebody asks for it.
    pub fn roll_back(&mut self) -> Result<()> {
        let standby = PolicyInfo {
            withdrawn: self.info()?.hash,
            ..self.written(self.standby_bank()?)?
        };
        self.infos
            .set(self.standby_bank()?, standby, 0)
            .context("writing the previous policy's description")?;
        self.unpublish()
    }

    /// Notes that the active tables are those of another written policy, which differs only in
    /// what decides nothing, such as a reason.
    pub fn rename(&mut self, policy: &PolicyInfo) -> Result<()> {
        let active = self.written(self.active_bank()?)?;
        if active.hash == policy.hash {
            return Ok(());
        }
        let renamed = PolicyInfo {
            hash: policy.hash,
            roles: policy.roles,
            ..active
        };
        self.infos
            .set(self.active_bank()?, renamed, 0)
            .context("writing the policy's description")
    }

    /// Ends the trial of the active policy: it stays.
    pub fn confirm(&mut self) -> Result<()> {
        let confirmed = PolicyInfo {
            confirm_by: 0,
            ..self.info()?
        };
        let active = self.active_bank()?;
        self.infos
            .set(active, confirmed, 0)
            .context("confirming the policy")
    }

    /// What agents say about the active policy, with `confirm_by` in seconds since 1970.
    pub fn info(&self) -> Result<PolicyInfo> {
        Ok(dated(self.written(self.active_bank()?)?))
    }

    /// What agents say about the policy in the other bank; generation 0 if there is none.
    pub fn standby(&self) -> Result<PolicyInfo> {
        Ok(dated(self.written(self.standby_bank()?)?))
    }

    fn written(&self, bank: u32) -> Result<PolicyInfo> {
        Ok(self.infos.get(&bank, 0)?)
    }

    /// What the service classes and the peers are called.
    pub fn service_names(&self) -> Result<ServiceNames> {
        let mut names = names::read_services(&self.all_services)?;
        names.peers = names::read_peers(&self.peers)?;
        Ok(names)
    }

    /// Every counter that is not zero, summed over the CPUs.
    pub fn counters(&self) -> Result<Vec<counters::Reading>> {
        let names = self.service_names()?;
        let maps = (&self.counters, &self.peer_counters);
        counters::read(maps, &self.interfaces()?, &names)
    }

    fn standby_bank(&self) -> Result<u32> {
        Ok((self.active_bank()? + 1) % LIVE_BANKS)
    }

    fn active_bank(&self) -> Result<u32> {
        let active = self.active.get(&0, 0)? & !SHADOWED;
        ensure!(
            active < LIVE_BANKS,
            "the active bank is {active}: another program has written to the maps"
        );
        Ok(active)
    }

    /// Activates a bank by one write of one word. Whether there is a shadow stays as it is.
    fn activate(&mut self, bank: u32) -> Result<()> {
        let shadowed = self.active.get(&0, 0)? & SHADOWED;
        Ok(self.active.set(0, bank | shadowed, 0)?)
    }
}

fn dated(written: PolicyInfo) -> PolicyInfo {
    PolicyInfo {
        confirm_by: match written.confirm_by {
            0 => 0,
            end => clock::dated(end),
        },
        ..written
    }
}

pub(super) fn unix_time() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

fn grace_period() -> Result<()> {
    // SAFETY: the command takes no pointers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    ensure!(
        result == 0,
        "membarrier: {}: the kernel lacks CONFIG_MEMBARRIER",
        std::io::Error::last_os_error()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_of_addresses_keep_to_their_part_of_the_memory() {
        let values = u64::from(map::TRIES.shape().value) * u64::from(map::TRIES.entries());
        assert!(values <= 12 << 20);
        // Linux 6.1 makes no array map of larger values (`KMALLOC_MAX_SIZE`).
        assert!(size_of::<Trie>() <= 4 << 20);
    }
}
