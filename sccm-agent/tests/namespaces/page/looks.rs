//! Light and dark, wide and narrow; and the pictures of the README.

use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::browser::Browser;
use super::stage::Stage;

/// Names a folder for the pictures. They are made again so, from the project's folder:
///
/// ```console
/// # SCREENSHOTS=$PWD/docs cargo test -p sccm-tests --test page -- looks
/// $ pngquant --force --ext .png --strip 96 docs/status-light.png docs/status-dark.png
/// ```
const SCREENSHOTS: &str = "SCREENSHOTS";

/// How long traffic is sent for pictures, so that there is something on the charts.
const LIVELY: Duration = Duration::from_secs(150);

/// Of a picture, in pixels.
const SIZE: (u32, u32) = (1160, 1500);

/// Returns the texts of blocked flows that reach beyond the screen.
const BESIDE_THE_SCREEN: &str = "
    return [...document.querySelectorAll('#blocked tbody tr > *')].filter((cell) => {
        const box = cell.getBoundingClientRect();
        return box.width < 1 || box.left < 0 || box.right > window.innerWidth;
    }).map((cell) => cell.textContent)";

fn colours(browser: &Browser, scheme: &str) -> Result<Value> {
    let feature = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
    browser.tools("Emulation.setEmulatedMedia", feature)?;
    browser.script(
        "const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]",
        &[],
    )
}

fn resize(browser: &Browser, width: u32, height: u32) -> Result<()> {
    let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
    browser.tools("Emulation.setDeviceMetricsOverride", size)?;
    Ok(())
}

fn picture(browser: &Browser) -> Result<Vec<u8>> {
    let shot = browser.tools("Page.captureScreenshot", json!({"format": "png"}))?;
    let data = shot["data"].as_str().context("no picture")?;
    Ok(STANDARD.decode(data)?)
}

#[test]
fn light_and_dark_wide_and_narrow() -> Result<()> {
    let folder = env::var_os(SCREENSHOTS).map(PathBuf::from);
    let stage = Stage::new()?;
    let _agent = stage.enforce("")?;
    let browser = Browser::start(&stage.hosts.point)?;
    resize(&browser, SIZE.0, SIZE.1)?;
    let begin = Instant::now();
    browser.open_enforcing()?;
    stage.send(3)?;
    while folder.is_some() && begin.elapsed() < LIVELY {
        stage.liven(begin.elapsed())?;
    }
    browser.wait_for("the charts", || {
        browser.is("document.querySelector('#chart-dropped path')")
    })?;
    let mut seen = Vec::new();
    for scheme in ["light", "dark"] {
        resize(&browser, SIZE.0, SIZE.1)?;
        seen.push(colours(&browser, scheme)?);
        let drawn = picture(&browser)?;
        assert!(drawn.len() > 20_000, "an empty picture");
        if let Some(folder) = &folder {
            fs::write(folder.join(format!("status-{scheme}.png")), drawn)?;
        }
        for width in [1180, 800, 360] {
            resize(&browser, width, 800)?;
            let fits = "document.documentElement.scrollWidth <= window.innerWidth";
            assert!(browser.is(fits)?, "the page is wider than {width}");
        }
        resize(&browser, 360, 740)?;
        if let Some(folder) = &folder {
            fs::write(
                folder.join(format!("phone-{scheme}.png")),
                picture(&browser)?,
            )?;
        }
        let hidden = browser.script(BESIDE_THE_SCREEN, &[])?;
        assert_eq!(hidden, json!([]), "without scrolling sideways");
    }
    assert_ne!(seen[0], seen[1], "dark looks like light");
    assert_eq!(browser.complaints()?, [] as [&str; 0]);
    Ok(())
}
