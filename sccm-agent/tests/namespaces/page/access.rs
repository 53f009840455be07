//! Everybody can use the page: with a keyboard, a screen reader, weak eyes, or no script; and it
//! asks nobody but the agent.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::browser::Browser;
use super::stage::Stage;

/// Returns what is wrong with the structure, as sentences.
const STRUCTURE: &str = r##"
const wrong = [], all = (selector) => [...document.querySelectorAll(selector)];
const must = (holds, words) => { if (!holds) wrong.push(words); };
must(document.documentElement.lang === "en", "no language");
must(document.title.length > 10, "no title");
["h1", "main", "body > header", "body > footer"].forEach((one) => must(all(one).length === 1, `one ${one}`));
const levels = all("h1, h2, h3, h4").map((one) => Number(one.tagName[1]));
levels.forEach((level, at) => must(at === 0 ? level === 1 : level <= levels[at - 1] + 1, `heading ${at} skips a level`));
all("main > section").forEach((one) => must(one.getAttribute("aria-labelledby"), "a section without a name"));
all("[aria-labelledby]").forEach((one) =>
  must(document.getElementById(one.getAttribute("aria-labelledby"))?.textContent.trim(), `${one.id}: named by nothing`));
all("table").forEach((one) => {
  must(one.caption?.textContent.trim(), `${one.id}: no caption`);
  must([...one.tHead.rows[0].cells].every((cell) => cell.scope === "col"), `${one.id}: columns`);
  must([...one.tBodies[0].rows].every((row) => row.querySelector("th[scope=row]")), `${one.id}: rows`);
});
all(".scroll").forEach((one) => must(one.tabIndex === 0 && one.getAttribute("role") === "region", "a region that keys cannot scroll"));
all("body svg").forEach((one) => must(one.getAttribute("aria-hidden") === "true" ||
  (one.getAttribute("role") === "img" && one.getAttribute("aria-label").length > 20), "a picture without words"));
all("input").forEach((one) => must(one.labels.length === 1 && one.closest("fieldset").querySelector("legend"), "an input without a label"));
all("button").forEach((one) => must(one.textContent.trim(), "a button without words"));
must(document.getElementById("contact").getAttribute("aria-live") === "polite", "nobody is told of the connection");
const ids = all("[id]").map((one) => one.id);
must(new Set(ids).size === ids.length, "an id twice");
return wrong;
"##;

/// Returns texts whose contrast (WCAG 2.2, 1.4.3) is below 4.5, and areas of charts below 3.
const CONTRAST: &str = r#"
const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
const light = (colour) => parts(colour).slice(0, 3).map((value) => value / 255)
  .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
  .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
const ground = (one) => {
  for (let at = one; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (parts(colour)[3] !== 0) return colour;
  }
};
const poor = [];
let seen = 0;
document.querySelectorAll("body *").forEach((one) => {
  const style = getComputedStyle(one), own = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const isChart = one.tagName === "path" && one.closest(".chart") && /passed|drop-/.test(one.getAttribute("class"));
  if (!isChart && (!own || one.closest("script, style, noscript") || !one.getClientRects().length)) return;
  seen += 1;
  const colour = isChart || one.closest(".chart") ? style.fill : style.color;
  const found = contrast(colour, ground(one));
  if (found < (isChart ? 3 : 4.5)) poor.push(`${one.tagName} ${one.className} ${one.textContent.slice(0, 20)}: ${found.toFixed(2)}`);
});
if (seen < 80) poor.push(`only ${seen} texts were looked at`);
return poor;
"#;

fn ready(stage: &Stage) -> Result<Browser<'_>> {
    let browser = Browser::start(&stage.hosts.point)?;
    // Rates are from one snapshot to the next.
    browser.open_enforcing()?;
    stage.send(2)?;
    browser.wait_for("all parts", || {
        browser.is("document.querySelectorAll('#blocked tbody tr').length === 5 &&
            document.querySelector('#rights table') && document.querySelector('#chart-dropped path')")
    })?;
    Ok(browser)
}

fn press(browser: &Browser, key: &str, code: u32) -> Result<()> {
    let text = if key == " " || key == "Enter" {
        "\r"
    } else {
        ""
    };
    for kind in ["keyDown", "keyUp"] {
        let text = if key == " " { " " } else { text };
        let event = json!({"type": kind, "key": key, "code": key, "text": text,
            "windowsVirtualKeyCode": code});
        browser.tools("Input.dispatchKeyEvent", event)?;
    }
    Ok(())
}

#[test]
fn structure_and_contrast() -> Result<()> {
    let stage = Stage::new()?;
    let _agent = stage.enforce("")?;
    let browser = ready(&stage)?;
    browser.script(
        "document.querySelectorAll('details').forEach((one) => { one.open = true; })",
        &[],
    )?;
    assert_eq!(browser.script(STRUCTURE, &[])?, json!([]));
    for scheme in ["light", "dark"] {
        let feature = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        browser.tools("Emulation.setEmulatedMedia", feature)?;
        assert_eq!(browser.script(CONTRAST, &[])?, json!([]), "{scheme}");
        for state in ["partly", "observing", "not-enforcing", "unknown"] {
            let wear = "document.getElementById('state').dataset.state = arguments[0];";
            let script = format!("{wear} {CONTRAST}");
            assert_eq!(
                browser.script(&script, &[json!(state)])?,
                json!([]),
                "{scheme} {state}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_keyboard_reaches_and_works_everything() -> Result<()> {
    let stage = Stage::new()?;
    let _agent = stage.enforce("")?;
    let browser = ready(&stage)?;
    let mark = "let number = 0;
        document.querySelectorAll('a[href], button, summary, [tabindex=\"0\"], input:checked, input[type=search]').forEach((one) => {
            if (one.checkVisibility()) { number += 1; one.dataset.walk = number; } });
        return number";
    let count = browser.script(mark, &[])?.as_u64().context("no number")?;
    assert!(count > 10, "only {count} things to reach");
    let here = "const one = document.activeElement, shown = one.type === 'radio' ? one.nextElementSibling : one;
        return [one.dataset.walk || '', getComputedStyle(shown).outlineStyle]";
    let mut reached = BTreeSet::new();
    for _ in 0..count + 2 {
        press(&browser, "Tab", 9)?;
        let found = browser.script(here, &[])?;
        let walk = found[0].as_str().unwrap_or_default().to_owned();
        if !walk.is_empty() {
            assert_ne!(found[1], "none", "{walk}: the focus is not visible");
            reached.insert(walk);
        }
    }
    assert_eq!(reached.len() as u64, count, "{reached:?}");

    let focus = |selector: &str| -> Result<Value> {
        browser.script(
            "document.querySelector(arguments[0]).focus()",
            &[json!(selector)],
        )
    };
    focus("#pause")?;
    press(&browser, " ", 32)?;
    assert_eq!(browser.text("#contact")?, "Paused");
    let packets = browser.text("#interfaces tbody td:nth-child(5)")?;
    let heard = browser.script("return last.taken", &[])?;
    stage.send(1)?;
    browser.wait_for("two snapshots", || {
        let taken = browser.script("return last.taken", &[])?;
        Ok(taken.as_u64() > heard.as_u64().map(|heard| heard + 2000))
    })?;
    assert_eq!(browser.text("#interfaces tbody td:nth-child(5)")?, packets);
    press(&browser, " ", 32)?;
    assert_ne!(browser.text("#interfaces tbody td:nth-child(5)")?, packets);

    let latest = stage.latest_port()?;
    focus("input[name=order]")?;
    press(&browser, "ArrowRight", 39)?;
    assert!(browser.is("document.querySelector('input[value=last_seen]').checked")?);
    browser.wait_for("the latest first", || {
        Ok(browser
            .text("#blocked tbody tr:first-child td:nth-child(5)")?
            .contains(&latest))
    })?;
    let open = "document.querySelector('#rights details').open";
    assert!(browser.is(open)?);
    focus("#rights summary")?;
    press(&browser, "Enter", 13)?;
    assert!(!browser.is(open)?);
    focus(".skip")?;
    press(&browser, "Enter", 13)?;
    assert!(browser.is("document.activeElement.id === 'main'")?);
    assert_eq!(browser.complaints()?, [] as [&str; 0]);
    Ok(())
}

#[test]
fn nobody_else_is_asked_and_no_other_script_runs() -> Result<()> {
    let stage = Stage::new()?;
    let _agent = stage.enforce("")?;
    let browser = ready(&stage)?;
    let asked = "return performance.getEntriesByType('resource').map((one) => new URL(one.name))
        .filter((url) => url.origin !== location.origin && url.protocol !== 'data:').map(String)";
    assert_eq!(browser.script(asked, &[])?, json!([]));
    assert_eq!(browser.complaints()?, [] as [&str; 0]);
    // The policy is obeyed, not only sent.
    for attempt in [
        "const one = document.createElement('script'); one.textContent = 'window.owned = true';
         document.body.append(one);",
        "const one = document.createElement('div'); one.setAttribute('onclick', 'window.owned = true');
         document.body.append(one); one.click();",
        "const one = document.createElement('style'); one.textContent = 'h1 { display: none }';
         document.head.append(one); window.owned = getComputedStyle(document.querySelector('h1')).display === 'none';",
        "fetch('http://192.0.2.1/').catch(() => {});",
    ] {
        browser.script(attempt, &[])?;
        browser.wait_for("a complaint", || {
            let complaints = browser.complaints()?;
            Ok(complaints.iter().any(|one| one.contains("Content Security Policy")))
        })?;
        assert!(!browser.is("window.owned")?, "{attempt}");
    }
    Ok(())
}

#[test]
fn without_a_script_the_page_says_where_else_to_look() -> Result<()> {
    let stage = Stage::new()?;
    let _agent = stage.enforce("")?;
    let browser = Browser::start(&stage.hosts.point)?;
    browser.tools(
        "Emulation.setScriptExecutionDisabled",
        json!({"value": true}),
    )?;
    browser.open()?;
    let tree = browser.tools("Accessibility.getFullAXTree", json!({}))?;
    let text = tree.to_string();
    assert!(text.contains("This page needs JavaScript."), "{text}");
    assert!(text.contains("/metrics"));
    Ok(())
}
