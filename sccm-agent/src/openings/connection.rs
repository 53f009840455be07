//! One connection to a mapper, from its SYN on.

use super::Teller;
use super::segment::Segment;
use super::stream::Stream;
use sccm_common::rpc::conversation::{Conversation, Step};
use sccm_common::rpc::pdu::{self, Pdu};
use sccm_common::rpc::{How, Named, Refusal};
use std::collections::HashMap;

/// Bytes of one answer that are put together from its fragments.
const LONGEST_ANSWER: usize = 64 * 1024;

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    state: State,
    /// By how many bits each end shifts its window, if both do (RFC 7323, 2.2).
    scales: Option<[u8; 2]>,
}

#[derive(Debug)]
enum State {
    /// The client wants to open it: the numbers of its SYN.
    Opening { first: u32, scale: Option<u8> },
    /// The server agrees, or the connection was open before the file begins.
    Open(Box<Open>),
    /// One end has reset it.
    Reset,
    /// Nothing more is learned, and that was told.
    Over,
}

#[derive(Debug)]
struct Open {
    /// The number of the client's SYN.
    first: u32,
    client: Stream,
    server: Stream,
    /// The client has acknowledged the server's SYN.
    is_established: bool,
    conversation: Conversation,
    /// What there is of answers that come in fragments, by call.
    parts: HashMap<u32, Vec<u8>>,
}

impl Connection {
    /// What is seen first of a connection.
    pub(super) fn begin(segment: &Segment<'_>, teller: &mut Teller<'_>) -> Option<Self> {
        if segment.is_question && segment.syn {
            return Some(Self {
                state: State::Opening {
                    first: segment.sequence,
                    scale: segment.scale,
                },
                scales: None,
            });
        }
        if segment.payload.is_empty() {
            return None;
        }
        // The file begins within the connection. A bind is the first that is said on one.
        let binds = matches!(pdu::length(segment.payload), Ok(Some(_)))
            && segment.payload.get(2) == Some(&11);
        let state = match segment.acknowledgement {
            Some(next) if segment.is_question && binds => State::Open(Box::new(Open {
                is_established: true,
                ..Open::new(segment.sequence, next)
            })),
            _ => {
                teller.refuse(Refusal::NotEstablished);
                State::Over
            }
        };
        Some(Self {
            state,
            scales: None,
        })
    }

    /// Whether this opens another connection between the same ports.
    pub(super) fn is_replaced_by(&self, segment: &Segment<'_>) -> bool {
        let opens = segment.is_question && segment.syn && segment.acknowledgement.is_none();
        let is_same = match &self.state {
            State::Opening { first, .. } => *first == segment.sequence,
            State::Open(open) => open.first == segment.sequence,
            State::Reset | State::Over => false,
        };
        opens && !is_same
    }

    /// Bytes that are kept of it.
    pub(super) fn held(&self) -> usize {
        match &self.state {
            State::Open(open) => open.held(),
            _ => 0,
        }
    }

    /// The next segment.
    pub(super) fn see(&mut self, segment: &Segment<'_>, teller: &mut Teller<'_>) {
        let result = match &mut self.state {
            State::Opening { first, scale } => {
                if let Some(next) = answered(segment, *first) {
                    self.scales = scale
                        .zip(segment.scale)
                        .map(|(client, server)| [client, server]);
                    let next = Open::new(next, segment.sequence.wrapping_add(1));
                    self.state = State::Open(Box::new(next));
                    return;
                }
                match segment.payload.is_empty() {
                    true => Ok(()),
                    false => Err(Refusal::NotEstablished),
                }
            }
            State::Open(open) if open.is_reset_by(segment) => {
                self.state = State::Reset;
                return;
            }
            State::Open(open) => open.see(segment, self.scales, teller),
            State::Reset if !segment.payload.is_empty() => Err(Refusal::NotEstablished),
            State::Reset | State::Over => Ok(()),
        };
        match result {
            Ok(()) => {}
            // The connection goes on as if this segment had not come.
            Err(refusal @ (Refusal::OutOfWindow | Refusal::RetransmissionDiffers)) => {
                teller.refuse(refusal);
            }
            Err(refusal) => {
                teller.refuse(refusal);
                self.state = State::Over;
            }
        }
    }
}

/// The number of the client's first byte, if this is the server's answer to its SYN.
fn answered(segment: &Segment<'_>, first: u32) -> Option<u32> {
    let next = first.wrapping_add(1);
    let answers = !segment.is_question && segment.syn && !segment.rst;
    (answers && segment.acknowledgement == Some(next)).then_some(next)
}

impl Open {
    fn new(client: u32, server: u32) -> Self {
        Self {
            first: client.wrapping_sub(1),
            client: Stream::new(client),
            server: Stream::new(server),
            is_established: false,
            conversation: Conversation::new(),
            parts: HashMap::new(),
        }
    }

    fn held(&self) -> usize {
        let parts: usize = self.parts.values().map(Vec::len).sum();
        size_of::<Self>() + self.client.held() + self.server.held() + parts
    }

    /// Whether this ends the connection: only with the very number that comes next (RFC 5961, 3.2).
    fn is_reset_by(&self, segment: &Segment<'_>) -> bool {
        let sent = match segment.is_question {
            true => &self.client,
            false => &self.server,
        };
        segment.rst && sent.place(segment.sequence) == Some(sent.next())
    }

    fn see(
        &mut self,
        segment: &Segment<'_>,
        scales: Option<[u8; 2]>,
        teller: &mut Teller<'_>,
    ) -> Result<(), Refusal> {
        // A SYN that is repeated, or a RST with another number.
        if segment.syn || segment.rst {
            return Ok(());
        }
        let scale = scales.map_or(0, |scales| scales[usize::from(!segment.is_question)]);
        let window = u64::from(segment.window) << scale;
        let (sent, received) = match segment.is_question {
            true => (&mut self.client, &mut self.server),
            false => (&mut self.server, &mut self.client),
        };
        let place = sent.place(segment.sequence);
        let fits = place.is_some_and(|place| sent.has_room(place, segment.payload.len()));
        // What is before the first byte may be a proof that the other end lives.
        let Some(place) = place.filter(|_| fits) else {
            return match segment.payload.len() > 1 {
                true => Err(Refusal::OutOfWindow),
                false => Ok(()),
            };
        };
        if let Some(number) = segment.acknowledgement {
            match received.acknowledge(number, window) {
                Err(Refusal::OutOfWindow) if segment.payload.is_empty() => return Ok(()),
                result => result?,
            }
        }
        self.is_established |= segment.is_question && segment.acknowledgement.is_some();
        if segment.payload.is_empty() && !segment.fin {
            return Ok(());
        }
        if !self.is_established {
            return Err(Refusal::NotEstablished);
        }
        sent.add(place, segment.payload)?;
        if segment.fin && !segment.is_cut {
            sent.end(place + segment.payload.len() as u64);
        }
        self.read(segment.is_question, teller)
    }

    /// Reads the units that have come.
    fn read(&mut self, is_question: bool, teller: &mut Teller<'_>) -> Result<(), Refusal> {
        let stream = match is_question {
            true => &mut self.client,
            false => &mut self.server,
        };
        loop {
            let unread = stream.unread();
            let length = pdu::length(unread)?;
            let Some(unit) = length.and_then(|length| unread.get(..length)) else {
                return Ok(());
            };
            let pdu = Pdu::read(unit)?;
            match is_question {
                true => self.conversation.asks(&pdu)?,
                false => match self.conversation.answers(&pdu) {
                    Ok(step) => {
                        // Of a call that is forgotten, nothing more is read.
                        let conversation = &self.conversation;
                        let is_awaited = |call: &u32| pdu.is_last || conversation.has(*call);
                        self.parts.retain(|call, _| is_awaited(call));
                        take(&pdu, step, &mut self.parts, teller);
                    }
                    // What cannot be read says nothing of what follows.
                    Err(refusal) => {
                        self.parts.remove(&pdu.call);
                        teller.refuse(refusal);
                    }
                },
            }
            let count = unit.len();
            stream.advance(count);
        }
    }
}

/// Takes a part of an answer, and with the last one what the whole says.
fn take(pdu: &Pdu<'_>, step: Step, parts: &mut HashMap<u32, Vec<u8>>, teller: &mut Teller<'_>) {
    let Step::Part {
        how,
        syntax,
        is_first,
        is_last,
    } = step
    else {
        return;
    };
    let mut learn = |how: How, stub: &[u8]| match Named::read(how, syntax, pdu.order, stub) {
        Ok(named) => teller.open(how, &named),
        Err(refusal) => teller.refuse(refusal),
    };
    match (is_first, is_last) {
        (true, true) => learn(how, pdu.stub),
        (true, false) => {
            parts.insert(pdu.call, pdu.stub.to_vec());
        }
        (false, _) => {
            let Some(part) = parts.get_mut(&pdu.call) else {
                return;
            };
            part.extend_from_slice(pdu.stub);
            if part.len() > LONGEST_ANSWER {
                parts.remove(&pdu.call);
                teller.refuse(Refusal::BeyondBounds);
            } else if is_last && let Some(whole) = parts.remove(&pdu.call) {
                learn(how, &whole);
            }
        }
    }
}
