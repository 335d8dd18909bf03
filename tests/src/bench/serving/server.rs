//! `chaski serve` as a process.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::control::Control;
use super::load::Endpoint;

/// A start on an empty store takes milliseconds.
const START: Duration = Duration::from_secs(20);
/// What is in its folder, beside the store.
const CONFIG: &str = "chaski.toml";
const LOG: &str = "log";
const ERRORS: &str = "errors";

/// A running server on a store of its own; both end with this value.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    folder: PathBuf,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts it on an empty store below `folder`, with these settings.
    ///
    /// # Errors
    /// When it does not say within [`START`] where it listens; with what it said instead.
    pub(crate) fn start(binary: &Path, folder: &Path, settings: &str) -> anyhow::Result<Self> {
        let folder = folder.join(format!("store-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).with_context(|| format!("no folder {}", folder.display()))?;
        fs::write(folder.join(CONFIG), settings)?;
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { process: spawn(binary, &folder)?, folder, address };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Ends the process as a crash would.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Starts another process on the store of the one that was killed.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub(crate) fn start_again(&mut self, binary: &Path) -> anyhow::Result<()> {
        self.process = spawn(binary, &self.folder)?;
        self.wait_until_ready()
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        loop {
            let said = read(LOG);
            if let Some(address) = said.split_once('\n').and_then(|(line, _)| listening_on(line)) {
                self.address = address;
                return Ok(());
            }
            let told = || format!("{said}{}", read(ERRORS));
            if let Some(status) = self.process.try_wait()? {
                bail!("the server ended with {status}: {}", told());
            }
            ensure!(began.elapsed() < START, "the server does not say where it listens: {}", told());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Where messages go.
    pub(crate) fn messages(&self) -> Endpoint {
        Endpoint { address: self.address, path: "/messages".to_owned() }
    }

    /// A connection of an operator.
    ///
    /// # Errors
    /// When it does not listen any more.
    pub(crate) fn control(&self) -> anyhow::Result<Control> {
        Control::connect(self.address)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A process on the store and with the settings in that folder. Its output begins anew.
fn spawn(binary: &Path, folder: &Path) -> anyhow::Result<Child> {
    Command::new(binary)
        .args(["serve", "--listen", "127.0.0.1:0", "--allow-private-targets", "--data"])
        .arg(folder.join("data"))
        .arg("--config")
        .arg(folder.join(CONFIG))
        .stdin(Stdio::null())
        .stdout(File::create(folder.join(LOG))?)
        .stderr(File::create(folder.join(ERRORS))?)
        .spawn()
        .with_context(|| format!("can't start {}", binary.display()))
}

/// The address in a line such as `… http://127.0.0.1:8080`.
fn listening_on(line: &str) -> Option<SocketAddr> {
    let rest = line.split_once("http://")?.1;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).unwrap_or(rest.len());
    rest.get(..end)?.trim_end_matches('.').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_its_line() {
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        for line in ["chaski 1.0 listens on http://127.0.0.1:8080", r#"{"message":"on http://127.0.0.1:8080/."}"#] {
            assert_eq!(listening_on(line), Some(address), "{line}");
        }
        assert_eq!(listening_on("starting"), None);
    }
}
