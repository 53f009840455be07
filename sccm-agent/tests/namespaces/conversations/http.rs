//! HTTP from nginx on a distribution point (link 15), on every stage.

use anyhow::Result;
use sccm_tests::gateway::{CLIENT, FAMILIES, SERVER, Stage, Topology};

use super::programs::nginx;
use super::support::{Told, assert_same, curl, in_url, write_file};

/// Bytes of the package.
const PACKAGE: u32 = 5 << 20;

fn a_package_is_downloaded(topology: Topology) -> Result<()> {
    let stage = Stage::new(topology)?;
    let server = nginx(&stage.server)?;
    let package = server.directory().join("package");
    write_file(&package, PACKAGE)?;
    let agent = stage.enforce("distribution-point", "")?;
    let copy = tempfile::NamedTempFile::new()?;

    for family in FAMILIES {
        let (from, at) = (CLIENT[family], in_url(SERVER[family]));
        let options = format!("--interface {from} --max-time 20");
        let done = curl(
            &stage.client,
            &options,
            &format!("http://{at}/package"),
            copy.path(),
        )?;
        assert_eq!(done.code, Some(0), "{at}: {done:?}");
        assert_same(&package, copy.path());

        let options = format!("--interface {from} --connect-timeout 1");
        let url = format!("http://{at}:8080/package");
        let refused = curl(&stage.client, &options, &url, copy.path())?;
        assert_eq!(refused.code, Some(CURL_TIMEOUT), "{at}: {refused:?}");
    }
    let metrics = agent.metrics()?;
    let tcp = |service| [("protocol", "tcp"), ("service", service)];
    metrics.tells_passed(&[tcp("http").as_slice(), &[("reason", "service")]].concat())?;
    metrics.tells_passed(&[tcp("http").as_slice(), &[("direction", "outbound")]].concat())?;
    metrics.tells_no_drop(&tcp("http"))?;
    metrics.tells_dropped(&[tcp("none").as_slice(), &[("reason", "not-allowed")]].concat())
}

/// curl's exit code when time is up.
const CURL_TIMEOUT: i32 = 28;

#[test]
fn a_package_is_downloaded_through_a_router() -> Result<()> {
    a_package_is_downloaded(Topology::Routed)
}

#[test]
fn a_package_is_downloaded_through_a_bridge() -> Result<()> {
    a_package_is_downloaded(Topology::Bridged)
}

#[test]
fn a_package_is_downloaded_from_a_host() -> Result<()> {
    a_package_is_downloaded(Topology::Host)
}
