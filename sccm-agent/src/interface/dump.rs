//! Asks the kernel for a whole table over netlink (RFC 3549, 2.3), message by message.

use anyhow::{Context as _, Result, bail};
use rtnetlink::sys::{Socket, SocketAddr};
use std::io;

/// A message's header: length, type, flags, number, port.
const HEADER: usize = 16;

const REQUEST_DUMP: u16 = 0x0301;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// The table changed while the kernel listed it (`NLM_F_DUMP_INTR`).
const INTERRUPTED: u16 = 0x10;

/// Sends one question of a netlink family, and shows the body of each message that answers it.
pub fn dump(family: isize, kind: u16, question: &[u8], show: impl FnMut(&[u8])) -> Result<()> {
    dump_whole(family, kind, question, show).map(drop)
}

/// [`dump`], and whether the table stayed the same meanwhile: else entries may be missing.
pub(super) fn dump_whole(
    family: isize,
    kind: u16,
    question: &[u8],
    mut show: impl FnMut(&[u8]),
) -> Result<bool> {
    let mut socket = Socket::new(family).context("opening netlink")?;
    socket.bind_auto().context("opening netlink")?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let length = (HEADER + question.len()) as u32;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(REQUEST_DUMP.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(question);
    socket
        .send(&message, 0)
        .context("sending a netlink request")?;
    let mut is_whole = true;
    loop {
        let (part, _) = socket.recv_from_full().context("reading the answer")?;
        let mut rest = part.as_slice();
        while let Some((kind, body, next)) = split(rest) {
            is_whole &= flags(rest) & INTERRUPTED == 0;
            match kind {
                DONE => return refused(body).map(|()| is_whole),
                ERROR => {
                    refused(body)?;
                    bail!("the kernel ended its netlink answer early, and gave no reason");
                }
                _ => show(body),
            }
            rest = next;
        }
    }
}

/// The flags of the first of several messages.
fn flags(messages: &[u8]) -> u16 {
    let flags = messages.get(6..).and_then(|rest| rest.first_chunk());
    flags.map_or(0, |flags| u16::from_ne_bytes(*flags))
}

/// The first of several messages: its type, its body, and what follows.
fn split(messages: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(*messages.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*messages.get(4..)?.first_chunk()?);
    let body = messages.get(HEADER..length)?;
    let next = messages.get(length.next_multiple_of(4)..);
    Some((kind, body, next.unwrap_or_default()))
}

/// Fails if a last message begins with an error's number.
fn refused(body: &[u8]) -> Result<()> {
    match body.first_chunk().map(|number| i32::from_ne_bytes(*number)) {
        None | Some(0) => Ok(()),
        Some(number) => Err(io::Error::from_raw_os_error(-number)).context("the kernel refuses"),
    }
}

/// The attributes of a body, each with its number (without the flags in it) and its value.
pub fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    const NUMBER: u16 = 0x3fff;
    std::iter::from_fn(move || {
        let [l0, l1, n0, n1] = *rest.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([n0, n1]) & NUMBER, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_split_and_broken_ones_end_the_walk() {
        let message = |kind: u16, body: &[u8]| {
            let mut message = (HEADER as u32 + body.len() as u32).to_ne_bytes().to_vec();
            message.extend(kind.to_ne_bytes());
            message.extend([0; 10]);
            message.extend(body);
            message.resize(message.len().next_multiple_of(4), 0);
            message
        };
        let both = [message(20, &[1, 2, 3]), message(DONE, &[0; 4])].concat();
        let (kind, body, rest) = split(&both).unwrap();
        assert_eq!((kind, body), (20, &[1, 2, 3][..]));
        let (kind, body, rest) = split(rest).unwrap();
        assert_eq!((kind, body, rest), (DONE, &[0; 4][..], &[][..]));
        for length in 0..both.len() {
            let mut rest = &both[..length];
            while let Some((_, _, next)) = split(rest) {
                rest = next;
            }
        }
        // A length below the header's own.
        assert_eq!(split(&[0; 32]), None);
    }

    #[test]
    fn a_number_in_the_last_message_is_an_error() {
        assert!(refused(&[]).is_ok());
        assert!(refused(&0_i32.to_ne_bytes()).is_ok());
        let error = refused(&(-libc::ENOENT).to_ne_bytes()).unwrap_err();
        assert!(format!("{error:#}").contains("No such file"), "{error:#}");
    }

    #[test]
    fn attributes_are_walked_to_the_first_broken_one() {
        let nested = 0x8000_u16 | 2;
        let mut bytes = [5_u16.to_ne_bytes(), 1_u16.to_ne_bytes()].concat();
        bytes.extend([7, 0, 0, 0]);
        bytes.extend([6_u16.to_ne_bytes(), nested.to_ne_bytes()].concat());
        bytes.extend([8, 9]);
        let found: Vec<_> = attributes(&bytes).collect();
        assert_eq!(found, [(1, &[7][..]), (2, &[8, 9][..])]);
        assert_eq!(attributes(&bytes[..9]).count(), 1);
        assert_eq!(attributes(&[2, 0, 1, 0]).count(), 0);
    }
}
