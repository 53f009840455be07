//! TFTP transfers with tftpd-hpa (link 8): every block size, also those that IP must fragment.

use std::path::Path;

use anyhow::Result;
use sccm_tests::gateway::{CLIENT, FAMILIES, SERVER, STRANGER, Stage, Topology};

use super::programs::tftpd;
use super::support::{Told, assert_same, curl, in_url, udp, write_file};

/// Bytes of a boot image.
const IMAGE: u32 = 20 << 20;

/// Downloads the image with each block size, from the addresses of `families`.
fn an_image_arrives(
    topology: Topology,
    outbound: &str,
    families: &[usize],
    sizes: &[u32],
) -> Result<()> {
    let stage = Stage::new(topology)?;
    let server = tftpd(&stage.server)?;
    let image = server.directory().join("image");
    write_file(&image, IMAGE)?;
    let agent = stage.enforce("pxe-service-point", &format!("--outbound {outbound}"))?;
    let copy = tempfile::NamedTempFile::new()?;
    for family in families {
        let (from, at) = (CLIENT[*family], in_url(SERVER[*family]));
        for size in sizes {
            let options = format!("--interface {from} --max-time 18 --tftp-blksize {size}");
            let done = curl(
                &stage.client,
                &options,
                &format!("tftp://{at}/image"),
                copy.path(),
            )?;
            assert_eq!(done.code, Some(0), "{at}, blksize {size}: {done:?}");
            assert_same(&image, copy.path());
        }
        // Nothing but requests goes to the server's port for transfers.
        let stranger = udp(&stage.client, (STRANGER[*family], 0))?;
        stranger.send_to(&[0, 4, 0, 1], (SERVER[*family], 50000))?;
    }
    let metrics = agent.metrics()?;
    let tftp = ("service", "tftp");
    metrics.tells_passed(&[("reason", "service"), ("direction", "inbound"), tftp])?;
    // The client's acknowledgements go to a port that no link opens.
    metrics.tells_passed(&[("reason", "reply"), ("direction", "inbound")])?;
    metrics.tells_no_drop(&[("direction", "outbound")])?;
    metrics.tells_dropped(&[("reason", "not-allowed"), ("protocol", "udp")])?;
    assert_eq!(metrics.dropped(&[]), families.len() as u64, "{metrics:#?}");
    Ok(())
}

#[test]
fn small_blocks_arrive_through_a_tracking_router() -> Result<()> {
    an_image_arrives(Topology::Routed, "track", &FAMILIES, &[512])
}

#[test]
fn small_blocks_arrive_through_an_enforcing_router() -> Result<()> {
    an_image_arrives(Topology::Routed, "enforce", &FAMILIES, &[512])
}

#[test]
fn large_blocks_arrive_through_a_tracking_router() -> Result<()> {
    an_image_arrives(Topology::Routed, "track", &FAMILIES, &[1468, 16384])
}

#[test]
fn large_blocks_arrive_through_an_enforcing_router() -> Result<()> {
    an_image_arrives(Topology::Routed, "enforce", &FAMILIES, &[1468, 16384])
}

#[test]
fn an_image_arrives_through_a_bridge() -> Result<()> {
    an_image_arrives(Topology::Bridged, "enforce", &FAMILIES, &[1468, 16384])
}

#[test]
fn an_image_arrives_from_a_host() -> Result<()> {
    an_image_arrives(Topology::Host, "track", &FAMILIES, &[1468, 16384])?;
    an_image_arrives(Topology::Host, "enforce", &FAMILIES, &[1468, 16384])
}

#[test]
fn fragments_arrive_in_the_segment() -> Result<()> {
    for topology in [Topology::Routed, Topology::Host] {
        let stage = Stage::new(topology)?;
        let server = tftpd(&stage.server)?;
        let agent = stage.enforce("pxe-service-point", "")?;
        let log = tempfile::NamedTempFile::new()?;
        write_file(log.path(), 1 << 18)?;
        for family in FAMILIES {
            let upload = log.path().display();
            let options = format!("--tftp-blksize 16384 --max-time 18 --upload-file {upload}");
            let name = format!("log{family}");
            let url = format!("tftp://{}/{name}", in_url(SERVER[family]));
            let done = curl(&stage.client, &options, &url, Path::new("/dev/null"))?;
            assert_eq!(
                done.code,
                Some(0),
                "{url}: {done:?}, {:#?}",
                agent.metrics()?
            );
            assert_same(log.path(), &server.directory().join(name));
        }
        let metrics = agent.metrics()?;
        metrics.tells_passed(&[("reason", "fragment-follows"), ("direction", "inbound")])?;
        metrics.tells_no_drop(&[])?;
    }
    Ok(())
}
