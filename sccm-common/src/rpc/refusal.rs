//! Why an answer opened nothing.

/// Defines [`Refusal`] with a label and a sentence for each.
macro_rules! refusals {
    ($($name:ident, $label:literal, $text:literal;)*) => {
        /// Why an answer, or a part of one, opened nothing. Labels never change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Refusal {
            $(#[doc = $text] $name,)*
        }

        impl Refusal {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// For programs: JSON and metrics.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                }
            }

            /// For people.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

refusals! {
    NotEstablished, "not-established", "the connection was not seen to be opened by both ends";
    OutOfWindow, "out-of-window", "the segment lies outside what the receiver had room for";
    RetransmissionDiffers, "retransmission-differs", "the segment repeats bytes with another content; the first copy counts";
    Gap, "gap", "bytes before it were never seen, and the receiver has them: nothing more is learned on this connection";
    MalformedPdu, "malformed-pdu", "what was sent is no protocol data unit: nothing more is learned on this connection";
    BeyondBounds, "beyond-bounds", "it is larger, or asks for more, than is kept of one connection";
    BindRefused, "bind-refused", "the server refused the bind";
    UnknownContext, "unknown-context", "no bind that the server accepted names its presentation context";
    NoRequest, "no-request", "no question with this call id is open";
    ContextDiffers, "context-differs", "question and answer name different presentation contexts";
    Lookup, "ept-lookup", "a list of all endpoints (ept_lookup) opens nothing";
    Privacy, "privacy", "the answer is encrypted (packet privacy), so nobody but the two ends can read it";
    Fault, "fault", "the server answered with a fault";
    NotRegistered, "not-registered", "the mapper knows no endpoint of that interface";
    CallFailed, "call-failed", "the call failed, by the status in the answer";
    MalformedAnswer, "malformed-answer", "the answer is not built as such answers are";
    MalformedTower, "malformed-tower", "a tower of the answer is not built as towers are";
    NoTcp, "no-tcp", "the answer names no TCP port";
    BindingsDisagree, "bindings-disagree", "the string bindings of the answer name different TCP ports";
    TooManyPorts, "too-many-ports", "the answer names more ports than one answer may open";
    ForbiddenPort, "forbidden-port", "the port belongs to another service";
    OutsideRange, "outside-range", "the port lies outside the dynamic range";
    Unread, "unread", "the kernel program leaves such an answer to the agent: one in several segments, or laid out in another way than usual";
    AnotherHost, "another-host", "the answer names another host's address: only ports of the system that answers are opened";
}
