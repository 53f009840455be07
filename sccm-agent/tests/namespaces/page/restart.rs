//! The page outlives the agent, says so meanwhile, and goes on with the next one.

use anyhow::Result;
use nix::sys::signal::Signal;
use sccm_tests::agent::METRICS;

use super::browser::Browser;
use super::stage::Stage;

#[test]
fn the_page_follows_the_next_agent() -> Result<()> {
    let stage = Stage::new()?;
    let agent = stage.enforce("--on-exit keep")?;
    let browser = Browser::start(&stage.hosts.point)?;
    browser.open()?;
    stage.send(4)?;
    let dropped = || browser.text("#interfaces tbody td:nth-child(5)");
    browser.wait_for("the counters", || Ok(dropped()? == "20"))?;
    assert_eq!(browser.text("#contact")?, "Live");
    browser.script("window.isSamePage = true", &[])?;
    assert_eq!(browser.complaints()?, [] as [&str; 0]);

    agent.end(Signal::SIGKILL)?;
    browser.wait_for("words about it", || {
        Ok(browser.text("#headline")? == "No contact")
    })?;
    assert!(browser.text("#contact")?.contains("trying again"));
    assert!(browser.text("#summary")?.contains("enforcing"));
    // The kernel goes on meanwhile.
    stage.send(1)?;

    let agent = stage.enforce("--on-exit keep")?;
    browser.wait_for("the next agent", || {
        Ok(browser.text("#headline")? == "Enforcing" && dropped()? == "25")
    })?;
    assert_eq!(browser.text("#contact")?, "Live");
    assert!(browser.is("window.isSamePage")?, "it was loaded again");
    // A browser complains by itself about a server that is not there, and about nothing else.
    for complaint in browser.complaints()? {
        assert!(
            complaint.starts_with(&format!("http://{METRICS}/events")),
            "{complaint}"
        );
    }
    stage.send(1)?;
    browser.wait_for("new counters", || Ok(dropped()? == "30"))?;
    assert_eq!(browser.complaints()?, [] as [&str; 0]);
    drop(agent);
    Ok(())
}
