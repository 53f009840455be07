//! The bytes of a capture file: from a file or a pipe, unpacked if they are packed.

use crate::files;
use anyhow::{Context as _, Result};
use flate2::read::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::cell::Cell;
use std::io::{self, BufRead as _, BufReader, Cursor, Read};
use std::path::Path;
use std::rc::Rc;

/// Bytes that tell the kinds of files apart.
pub(super) type Magic = [u8; 4];

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: Magic = [0x28, 0xb5, 0x2f, 0xfd];

/// What is read at once of a packed file.
const CHUNK: usize = 128 * 1024;

/// How far a file has been read.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Bytes that were read of the file.
    read: Cell<u64>,
    /// Bytes that the file has; 0 if nobody knows.
    size: u64,
    /// Nothing is left of the file.
    ended: Cell<bool>,
    /// Nothing is left of what is in it.
    drained: Cell<bool>,
    /// It ended within what is packed.
    cut: Cell<bool>,
}

impl Progress {
    /// Whether the file ended before what is packed in it did.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.get()
    }

    pub(super) fn is_drained(&self) -> bool {
        self.drained.get()
    }

    /// Bytes that were read, and all.
    pub(super) fn of(&self) -> (u64, u64) {
        (self.read.get(), self.size)
    }
}

/// A file, unpacked.
pub(super) struct Input {
    source: Box<dyn Read>,
    progress: Rc<Progress>,
}

/// Opens the file; `-` is standard input.
pub(super) fn open(path: &Path) -> Result<(Box<dyn Read>, u64)> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), 0));
    }
    let file = files::open_any(path)?;
    let size = file.metadata().context("reading its size")?.len();
    Ok((Box::new(file), size))
}

impl Input {
    /// Unpacks `source`, whatever it is packed with, and looks at the first bytes of the capture;
    /// `None` if there are not so many.
    pub(super) fn new(source: Box<dyn Read>, size: u64) -> Result<(Self, Option<Magic>)> {
        let progress = Rc::new(Progress {
            size,
            ..Progress::default()
        });
        let mut counted: Box<dyn Read> = Box::new(Counted {
            source,
            progress: Rc::clone(&progress),
        });
        let head = head(&mut counted)?;
        let whole = Cursor::new(head.clone()).chain(counted);
        let source: Box<dyn Read> = if head.starts_with(&GZIP) {
            Box::new(MultiGzDecoder::new(BufReader::with_capacity(CHUNK, whole)))
        } else if head.starts_with(&ZSTD) {
            Box::new(Zstd::new(whole))
        } else {
            Box::new(whole)
        };
        let mut input = Self { source, progress };
        let head = self::head(&mut input).context("unpacking it")?;
        let magic = head.first_chunk().copied();
        let rest = std::mem::replace(&mut input.source, Box::new(io::empty()));
        input.source = Box::new(Cursor::new(head).chain(rest));
        Ok((input, magic))
    }

    pub(super) fn progress(&self) -> Rc<Progress> {
        Rc::clone(&self.progress)
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = match self.source.read(into) {
            // Nothing more came, so the file was cut; what it had is worth reading.
            Err(_) if self.progress.ended.get() => {
                self.progress.cut.set(true);
                0
            }
            read => read?,
        };
        self.progress.drained.set(read == 0 && !into.is_empty());
        Ok(read)
    }
}

fn head(source: &mut impl Read) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    source
        .take(size_of::<Magic>() as u64)
        .read_to_end(&mut head)?;
    Ok(head)
}

struct Counted {
    source: Box<dyn Read>,
    progress: Rc<Progress>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(into)?;
        self.progress
            .read
            .set(self.progress.read.get() + read as u64);
        self.progress.ended.set(read == 0 && !into.is_empty());
        Ok(read)
    }
}

/// Zstandard, frame after frame: `zstd` and `pzstd` write more than one.
struct Zstd<R: Read> {
    source: BufReader<R>,
    decoder: FrameDecoder,
    within: bool,
}

impl<R: Read> Zstd<R> {
    fn new(source: R) -> Self {
        Self {
            source: BufReader::with_capacity(CHUNK, source),
            decoder: FrameDecoder::new(),
            within: false,
        }
    }

    /// Goes to the next frame that holds something; false if there is none.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.within {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.init(&mut self.source) {
                Ok(()) => self.within = true,
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let mut skipped = (&mut self.source).take(length.into());
                    io::copy(&mut skipped, &mut io::sink())?;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(true)
    }

    fn end(&mut self) -> io::Result<()> {
        self.within = false;
        let written = self.decoder.get_checksum_from_data();
        if written.is_some() && written != self.decoder.get_calculated_checksum() {
            return Err(io::Error::other("its checksum is wrong: it is damaged"));
        }
        Ok(())
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.begin()? {
            let read = self.decoder.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            if self.decoder.is_finished() {
                self.end()?;
                continue;
            }
            let one = BlockDecodingStrategy::UptoBlocks(1);
            let decoded = self.decoder.decode_blocks(&mut self.source, one);
            decoded.map_err(io::Error::other)?;
        }
        Ok(0)
    }
}
