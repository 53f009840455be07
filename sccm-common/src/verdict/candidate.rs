//! A policy on trial: it judges what the running one judges, and changes nothing.

use super::Tables;
use crate::Policy;
use crate::address::{Entry, Family};
use crate::flow::{FlowKey, FlowSlot, FlowState};
use crate::fragment::{FragmentKey, FragmentState};
use crate::tftp::{TransferKey, TransferState};

/// The tables of a candidate. It sees the flows, fragments and transfers that the
/// running policy has noted, and notes none.
pub struct Candidate<T>(pub T);

/// A flow that is looked at, and stays as it is.
pub struct Seen<S>(S);

impl<S: FlowSlot> FlowSlot for Seen<S> {
    #[inline(always)]
    fn load(&self) -> FlowState {
        self.0.load()
    }

    #[inline(always)]
    fn store(&self, _: FlowState) {}
}

impl<T: Tables> Tables for Candidate<T> {
    type Flow = Seen<T::Flow>;

    #[inline(always)]
    fn policy(&self) -> &Policy {
        self.0.policy()
    }

    #[inline(always)]
    fn root_entry(&self, family: Family, first: u16) -> Option<Entry> {
        self.0.root_entry(family, first)
    }

    #[inline(always)]
    fn chunk_entry(&self, chunk: u32, byte: u8) -> Option<Entry> {
        self.0.chunk_entry(chunk, byte)
    }

    #[inline(always)]
    fn flow(&self, key: &FlowKey) -> Option<Self::Flow> {
        self.0.flow(key).map(Seen)
    }

    #[inline(always)]
    fn open_flow(&self, _: &FlowKey, _: FlowState) {}

    #[inline(always)]
    fn fragment(&self, key: &FragmentKey) -> Option<FragmentState> {
        self.0.fragment(key)
    }

    #[inline(always)]
    fn note_fragment(&self, _: &FragmentKey, _: FragmentState) {}

    #[inline(always)]
    fn transfer(&self, key: &TransferKey) -> Option<TransferState> {
        self.0.transfer(key)
    }

    #[inline(always)]
    fn note_transfer(&self, _: &TransferKey, _: TransferState) {}

    #[inline(always)]
    fn now(&self) -> u32 {
        self.0.now()
    }
}
