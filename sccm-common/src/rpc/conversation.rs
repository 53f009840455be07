//! What is known of one connection to the mapper: contexts that both ends agreed on, and questions
//! that are open.

use super::Refusal;
use super::answer::How;
use super::bind::{MOST, Proposals, Service, Syntax};
use super::pdu::{Kind, Pdu};

/// Questions that are open at once, and binds; the oldest gives way.
const OPEN: usize = 8;
const BINDS: usize = 2;

/// What a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// A port.
    Port(How, Syntax),
    /// All endpoints that there are.
    List,
    /// Anything else.
    Other,
}

/// A question that was not answered yet.
#[derive(Debug, Clone, Copy)]
struct Question {
    call: u32,
    context: u16,
    operation: u16,
    answer: Progress,
}

/// How far the answer to a question has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing of it was seen.
    Awaited,
    /// More of it is to come, and is wanted.
    Taken(How, Syntax),
    /// More of it may come, and is of no interest.
    Ignored,
}

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// Its stub continues an answer that names ports.
    Part {
        /// What was asked, and so how the whole is to be read.
        how: How,
        /// The layout of the whole.
        syntax: Syntax,
        /// No part comes before it.
        is_first: bool,
        /// No part comes after it.
        is_last: bool,
    },
}

/// The state of one connection.
#[derive(Debug, Clone)]
pub struct Conversation {
    contexts: [Option<(u16, Service, Syntax)>; MOST],
    questions: [Option<Question>; OPEN],
    next_question: usize,
    binds: [Option<(u32, Proposals)>; BINDS],
    next_bind: usize,
}

impl Default for Conversation {
    fn default() -> Self {
        Self::new()
    }
}

impl Conversation {
    /// A connection on which nothing was said.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            contexts: [None; MOST],
            questions: [None; OPEN],
            next_question: 0,
            binds: [const { None }; BINDS],
            next_bind: 0,
        }
    }

    /// The client sends this.
    ///
    /// # Errors
    /// It is cut off, or asks for more than is kept.
    pub fn asks(&mut self, pdu: &Pdu<'_>) -> Result<(), Refusal> {
        match pdu.kind {
            Kind::Bind | Kind::AlterContext => {
                let proposals = Proposals::read(pdu)?;
                self.binds[self.next_bind] = Some((pdu.call, proposals));
                self.next_bind = (self.next_bind + 1) % BINDS;
            }
            // Each fragment of a question says the same about it.
            Kind::Request if pdu.is_first => {
                let question = Question {
                    call: pdu.call,
                    context: pdu.context,
                    operation: pdu.operation,
                    answer: Progress::Awaited,
                };
                // One call, one question: no answer is taken for that of another.
                self.close(pdu.call);
                self.questions[self.next_question] = Some(question);
                self.next_question = (self.next_question + 1) % OPEN;
            }
            _ => {}
        }
        Ok(())
    }

    /// What a question asks for. Found out when it is answered, because a client need not wait for
    /// the acknowledgement of its bind.
    fn asked(&self, context: u16, operation: u16) -> Result<Asked, Refusal> {
        let mut contexts = self.contexts.iter().flatten();
        let known = contexts.find(|(known, ..)| *known == context);
        let &(_, service, syntax) = known.ok_or(Refusal::UnknownContext)?;
        let how = match (service, operation) {
            (Service::Mapper, 2) => return Ok(Asked::List),
            (Service::Mapper, 3) => How::Map,
            (Service::Activator, 3 | 4) => How::Activation,
            (Service::LegacyActivation, 0) => How::LegacyActivation,
            (Service::Resolver, 0) => How::ResolveOxid,
            (Service::Resolver, 4) => How::ResolveOxid2,
            _ => return Ok(Asked::Other),
        };
        Ok(Asked::Port(how, syntax))
    }

    /// The server sends this.
    ///
    /// # Errors
    /// It opens nothing, and could have.
    pub fn answers(&mut self, pdu: &Pdu<'_>) -> Result<Step, Refusal> {
        match pdu.kind {
            Kind::BindAck | Kind::AlterContextResponse => {
                self.agree(pdu)?;
                Ok(Step::Nothing)
            }
            Kind::BindNak => match self.take_bind(pdu.call) {
                Some(_) => Err(Refusal::BindRefused),
                None => Err(Refusal::NoRequest),
            },
            Kind::Response | Kind::Fault => self.answered(pdu),
            _ => Ok(Step::Nothing),
        }
    }

    fn take_bind(&mut self, call: u32) -> Option<Proposals> {
        let mut binds = self.binds.iter_mut();
        let bind = binds.find(|bind| bind.is_some_and(|(known, _)| known == call))?;
        bind.take().map(|(_, proposals)| proposals)
    }

    fn agree(&mut self, pdu: &Pdu<'_>) -> Result<(), Refusal> {
        let proposals = self.take_bind(pdu.call).ok_or(Refusal::NoRequest)?;
        let answered = proposals.answered(pdu)?;
        for (proposal, syntax) in answered.into_iter().take(proposals.count()) {
            let Some(syntax) = syntax else { continue };
            let known = |context: &Option<(u16, Service, Syntax)>| {
                context.is_some_and(|(number, ..)| number == proposal.context)
            };
            let place = self.contexts.iter().position(known);
            let place = place.or_else(|| self.contexts.iter().position(Option::is_none));
            // Whoever asks a server for all that it has may have more than are kept.
            let other = |context: &Option<(u16, Service, Syntax)>| {
                context.is_some_and(|(_, service, _)| service == Service::Other)
            };
            let place = place.or_else(|| self.contexts.iter().position(other));
            let place = place.ok_or(Refusal::BeyondBounds)?;
            self.contexts[place] = Some((proposal.context, proposal.service, syntax));
        }
        Ok(())
    }

    fn answered(&mut self, pdu: &Pdu<'_>) -> Result<Step, Refusal> {
        let mut questions = self.questions.iter().flatten();
        let question = questions.find(|question| question.call == pdu.call);
        let question = *question.ok_or(Refusal::NoRequest)?;
        let result = self.judge(pdu, &question);
        let answer = match result {
            Ok(Step::Part { how, syntax, .. }) => Progress::Taken(how, syntax),
            _ => Progress::Ignored,
        };
        for place in &mut self.questions {
            if place.is_some_and(|known| known.call == pdu.call) {
                let is_over = pdu.is_last || pdu.kind == Kind::Fault;
                *place = (!is_over).then_some(Question { answer, ..question });
            }
        }
        result
    }

    fn judge(&self, pdu: &Pdu<'_>, question: &Question) -> Result<Step, Refusal> {
        let (how, syntax, continues) = match question.answer {
            Progress::Ignored => return Ok(Step::Nothing),
            Progress::Taken(how, syntax) => (how, syntax, true),
            Progress::Awaited => match self.asked(question.context, question.operation)? {
                Asked::Other => return Ok(Step::Nothing),
                Asked::List => return Err(Refusal::Lookup),
                Asked::Port(how, syntax) => (how, syntax, false),
            },
        };
        if pdu.kind == Kind::Fault {
            return Err(Refusal::Fault);
        }
        if pdu.context != question.context {
            return Err(Refusal::ContextDiffers);
        }
        if pdu.is_private {
            return Err(Refusal::Privacy);
        }
        if pdu.is_first == continues {
            return Err(Refusal::MalformedAnswer);
        }
        Ok(Step::Part {
            how,
            syntax,
            is_first: pdu.is_first,
            is_last: pdu.is_last,
        })
    }

    /// Whether a call is open.
    #[must_use]
    pub fn has(&self, call: u32) -> bool {
        let mut questions = self.questions.iter().flatten();
        questions.any(|question| question.call == call)
    }

    /// Forgets a question.
    fn close(&mut self, call: u32) {
        for place in &mut self.questions {
            if place.is_some_and(|question| question.call == call) {
                *place = None;
            }
        }
    }
}
