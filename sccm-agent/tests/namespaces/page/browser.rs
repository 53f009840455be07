//! Headless Chromium in a namespace, driven over WebDriver.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sccm_tests::agent::METRICS;
use sccm_tests::netns::Namespace;
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::error::WebDriverResult;
use thirtyfour::{
    BrowserLogEntry, ChromiumLikeCapabilities as _, DesiredCapabilities, LoggingPrefsLogLevel,
    WebDriver,
};
use tokio::runtime::{Builder, Runtime};

/// Where the driver listens: nobody else is in the namespace.
const DRIVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9515);

/// How long anything may take that must happen, on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// No graphics, no sandbox (tests run as root), and no word to anybody outside.
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1280,900",
];

/// A browser; dropping it ends it.
pub struct Browser<'n> {
    inside: &'n Namespace,
    runtime: Runtime,
    /// None once it has been told to quit.
    driver: Option<WebDriver>,
    process: Child,
    _profile: TempDir,
}

impl<'n> Browser<'n> {
    /// Starts it with an empty page.
    pub fn start(inside: &'n Namespace) -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let mut capabilities = DesiredCapabilities::chrome();
        for flag in FLAGS {
            capabilities.add_arg(flag)?;
        }
        capabilities.add_arg(&format!("--user-data-dir={}", profile.path().display()))?;
        capabilities.set_browser_log_level(LoggingPrefsLogLevel::All)?;
        let mut command = inside.command("chromedriver");
        command.arg(format!("--port={}", DRIVER.port()));
        // The browser writes below these, too.
        command
            .env("HOME", profile.path())
            .env("TMPDIR", profile.path());
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run chromedriver: `cargo xtask test` installs it")?;
        let mut browser = Self {
            inside,
            runtime: Builder::new_current_thread().enable_all().build()?,
            driver: None,
            process,
            _profile: profile,
        };
        browser.wait_for("the driver", || {
            Ok(inside.enter(|| TcpStream::connect(DRIVER).is_ok()))
        })?;
        let start = WebDriver::new(format!("http://{DRIVER}"), capabilities);
        browser.driver = Some(browser.run(start)?);
        Ok(browser)
    }

    /// Opens the status page.
    pub fn open(&self) -> Result<()> {
        self.run(self.driver()?.goto(format!("http://{METRICS}/")))
    }

    /// The same, and waits until it has shown the state of an agent that enforces.
    pub fn open_enforcing(&self) -> Result<()> {
        self.open()?;
        self.wait_for("the state", || Ok(self.text("#headline")? == "Enforcing"))
    }

    /// What a script returns. `arguments[0]` ... are these.
    pub fn script(&self, script: &str, arguments: &[Value]) -> Result<Value> {
        let result = self.run(self.driver()?.execute(script, arguments.to_vec()));
        Ok(result.with_context(|| script.to_owned())?.json().clone())
    }

    /// Whether a script's expression is true.
    pub fn is(&self, expression: &str) -> Result<bool> {
        Ok(self.script(&format!("return Boolean({expression})"), &[])? == true)
    }

    /// The text of the first element that a selector finds; empty if there is none.
    pub fn text(&self, selector: &str) -> Result<String> {
        let script = "return (document.querySelector(arguments[0]) || {}).textContent || ''";
        let text = self.script(script, &[json!(selector)])?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// A command of the developer tools' protocol.
    pub fn tools(&self, method: &str, parameters: Value) -> Result<Value> {
        let tools = self.driver()?.cdp();
        self.run(tools.send_raw(method, parameters))
    }

    /// What the browser has complained about since the last call.
    pub fn complaints(&self) -> Result<Vec<String>> {
        let log: Vec<BrowserLogEntry> = self.run(self.driver()?.browser_log())?;
        let bad = log.into_iter().filter(|entry| entry.level != "INFO");
        Ok(bad.map(|entry| entry.message).collect())
    }

    /// Waits until something holds.
    pub fn wait_for(&self, what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
        let end = Instant::now() + LIMIT;
        while !holds()? {
            if Instant::now() > end {
                let page = self.text("main").unwrap_or_default();
                bail!("{what}: not within {LIMIT:?}. The page says: {page}");
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn driver(&self) -> Result<&WebDriver> {
        self.driver.as_ref().context("the browser has ended")
    }

    /// Sockets belong to the namespace of the thread that makes them.
    fn run<T: Send>(&self, work: impl Future<Output = WebDriverResult<T>> + Send) -> Result<T> {
        Ok(self.inside.enter(|| self.runtime.block_on(work))?)
    }
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.take() {
            let _ = self.run(driver.quit());
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
