//! An archive as the kernel takes it for an initramfs: cpio's "newc" format
//! (Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! It is a few lines, and `cpio` is not on every machine.

use std::io::{self, Write};

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

/// What the format pads names and contents to.
const ALIGNMENT: usize = 4;

/// Writes entries one after the other; paths are relative to the root.
pub struct Archive<W> {
    to: W,
    entries: u32,
}

impl<W: Write> Archive<W> {
    /// An empty one.
    pub fn new(to: W) -> Self {
        Self { to, entries: 0 }
    }

    /// Adds a directory; what it is in must have been added.
    ///
    /// # Errors
    /// As the writer's.
    pub fn directory(&mut self, path: &str) -> io::Result<()> {
        self.entry(path, DIRECTORY, &[])
    }

    /// Adds a file, which everybody may run.
    ///
    /// # Errors
    /// As the writer's; contents of 4 GiB.
    pub fn file(&mut self, path: &str, contents: &[u8]) -> io::Result<()> {
        self.entry(path, PROGRAM, contents)
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    /// As the writer's.
    pub fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.entry(path, LINK, target.as_bytes())
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// As the writer's.
    pub fn finish(mut self) -> io::Result<W> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn entry(&mut self, path: &str, mode: u32, contents: &[u8]) -> io::Result<()> {
        let size = u32::try_from(contents.len()).map_err(io::Error::other)?;
        let name_size = u32::try_from(path.len() + 1).map_err(io::Error::other)?;
        self.entries += 1;
        // Number, mode, owner, group, links, time, size, two devices of two numbers each, size
        // of the name, checksum.
        let (inode, links) = (self.entries, 1);
        let fields = [inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0];
        let mut header = String::from("070701");
        for field in fields {
            header += &format!("{field:08x}");
        }
        let start = [header.as_bytes(), path.as_bytes(), b"\0"].concat();
        for part in [start.as_slice(), contents] {
            self.to.write_all(part)?;
            let padding = part.len().next_multiple_of(ALIGNMENT) - part.len();
            self.to.write_all(&[0; ALIGNMENT][..padding])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_laid_out_as_the_kernel_reads_it() {
        let mut archive = Archive::new(Vec::new());
        archive.file("init", b"hello").unwrap();
        let bytes = archive.finish().unwrap();
        let header = "07070100000001000081ed000000000000000000000001000000000000000500000000\
                      0000000000000000000000000000000500000000";
        assert_eq!(&bytes[..110], header.as_bytes());
        // Padded with the header, the name ends at 116; so do the contents at a multiple of four.
        assert_eq!(&bytes[110..124], b"init\0\0hello\0\0\0");
        assert_eq!(&bytes[124..130], b"070701");
        assert!(bytes.ends_with(b"TRAILER!!!\0\0\0\0"));
    }
}
