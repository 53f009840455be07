//! The archive: a compressed tar file, with all parts in one folder.

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use tar::{Builder, Header};

/// The folder that appears where the archive is unpacked.
const FOLDER: &str = "sccm-agent-support";

/// Packs parts, each with its path, for their owner alone.
pub(super) fn pack(parts: &[(String, Vec<u8>)]) -> Result<Vec<u8>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (path, bytes) in parts {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(now.as_ref().map_or(0, |now| now.as_secs()));
        let path = Path::new(FOLDER).join(path);
        archive
            .append_data(&mut header, &path, bytes.as_slice())
            .with_context(|| format!("packing {}", path.display()))?;
    }
    let packed = archive.into_inner().and_then(GzEncoder::finish);
    packed.context("packing the parts")
}
