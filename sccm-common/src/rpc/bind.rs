//! Which presentation contexts a client proposes, and what the server says to each (MS-RPCE,
//! 2.2.2.13; DCE 1.1: RPC, 12.6.4.3).

use super::bytes::Bytes;
use super::pdu::Pdu;
use super::{Refusal, Uuid, interface};

/// Contexts of one bind, and of one connection, that are kept.
pub const MOST: usize = 32;

/// How the parameters of a context's calls are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// Network data representation.
    Ndr32,
    /// The same with words of 64 bits.
    Ndr64,
}

impl Syntax {
    fn of(name: Uuid, version: u32) -> Option<Self> {
        match (name, version) {
            (interface::NDR32, 2) => Some(Self::Ndr32),
            (interface::NDR64, 1) => Some(Self::Ndr64),
            _ => None,
        }
    }
}

/// What is asked of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Service {
    /// The endpoint mapper.
    Mapper = 0,
    /// ISystemActivator.
    Activator,
    /// IRemoteActivation.
    LegacyActivation,
    /// IOXIDResolver.
    Resolver,
    /// Any other.
    Other,
}

impl Service {
    #[inline(always)]
    pub(crate) fn of(name: Uuid, version: u32) -> Self {
        match (name, version) {
            // The major version is the lower half.
            (interface::MAPPER, 3) => Self::Mapper,
            (interface::ACTIVATOR, 0) => Self::Activator,
            (interface::LEGACY_ACTIVATION, 0) => Self::LegacyActivation,
            (interface::RESOLVER, 0) => Self::Resolver,
            _ => Self::Other,
        }
    }
}

/// A context that a client proposes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proposal {
    /// Its number.
    pub context: u16,
    /// What will be asked.
    pub service: Service,
}

/// What a bind proposes, in order.
#[derive(Debug, Clone, Copy)]
pub struct Proposals {
    all: [Proposal; MOST],
    count: usize,
}

impl Proposals {
    /// None.
    pub const NONE: Self = Self {
        all: [Proposal {
            context: 0,
            service: Service::Other,
        }; MOST],
        count: 0,
    };

    /// Of a bind, or an alter context.
    ///
    /// # Errors
    /// It is cut off, or proposes more than is kept.
    pub fn read(pdu: &Pdu<'_>) -> Result<Self, Refusal> {
        let mut body = Bytes::new(pdu.body, pdu.order);
        let mut found = Self::NONE;
        // Sizes of fragments, and the association group.
        body.skip(8).ok_or(Refusal::MalformedPdu)?;
        let count = body.u8().ok_or(Refusal::MalformedPdu)?;
        body.skip(3).ok_or(Refusal::MalformedPdu)?;
        for _ in 0..count {
            let proposal = Self::next(&mut body).ok_or(Refusal::MalformedPdu)?;
            let place = found.all.get_mut(found.count);
            *place.ok_or(Refusal::BeyondBounds)? = proposal;
            found.count += 1;
        }
        Ok(found)
    }

    fn next(body: &mut Bytes<'_>) -> Option<Proposal> {
        let context = body.u16()?;
        let syntaxes = body.u8()?;
        body.skip(1)?;
        let service = Service::of(Uuid::read(body)?, body.u32()?);
        body.skip(20 * usize::from(syntaxes))?;
        Some(Proposal { context, service })
    }

    /// They, each with the server's answer, from the acknowledgement of the bind; `None` where the
    /// server did not take it, or took a syntax that nobody knows.
    ///
    /// # Errors
    /// The acknowledgement is cut off, or answers another number of proposals.
    pub fn answered(&self, pdu: &Pdu<'_>) -> Result<[(Proposal, Option<Syntax>); MOST], Refusal> {
        let mut answered = self.all.map(|proposal| (proposal, None));
        self.results(pdu, &mut answered)
            .ok_or(Refusal::MalformedPdu)?;
        Ok(answered)
    }

    fn results(
        &self,
        pdu: &Pdu<'_>,
        answered: &mut [(Proposal, Option<Syntax>); MOST],
    ) -> Option<()> {
        let mut body = Bytes::new(pdu.body, pdu.order);
        body.skip(8)?;
        // The secondary address. The header has 16 bytes, so the body is aligned as the unit is.
        let address = body.u16()?;
        body.skip(usize::from(address))?;
        body.align(4)?;
        let count = usize::from(body.u8()?);
        body.skip(3)?;
        if count != self.count {
            return None;
        }
        for (_, syntax) in answered.iter_mut().take(count) {
            let result = body.u16()?;
            body.skip(2)?;
            let accepted = Syntax::of(Uuid::read(&mut body)?, body.u32()?);
            // 0 is acceptance. 3 answers the negotiation of features, which is no context.
            *syntax = accepted.filter(|_| result == 0);
        }
        Some(())
    }

    /// How many.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }
}
