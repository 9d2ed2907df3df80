//! Eclipse Mosquitto with the configuration that we ship for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::credentials::{Credentials, Identity};
use crate::process::Server;
use crate::{await_until, ports};

const START_DEADLINE: Duration = Duration::from_secs(30);

/// A Mosquitto that runs `deploy/mosquitto/`: TLS with client certificates, revocation list, access by common name. Only ports and
/// paths differ from what is shipped. Killed when dropped.
pub struct Mosquitto {
    port: u16,
    server: Option<Server>,
    configuration: PathBuf,
    dir: TempDir,
}

impl Mosquitto {
    /// Starts it as the server `identity` on a free port and waits until it accepts connections.
    pub async fn start(credentials: &Credentials, identity: &Identity) -> anyhow::Result<Mosquitto> {
        let dir = tempfile::Builder::new().prefix("ferraris-mosquitto-").tempdir().context("cannot make a temporary directory")?;
        let [port] = ports::free()?;
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/mosquitto");
        let template = shipped.join("mosquitto.conf");
        let template = fs::read_to_string(&template).with_context(|| format!("cannot read {}", template.display()))?;
        // Read by Mosquitto after it has given up root's rights, which it would do in vain on keys that root owns.
        let user = format!("user {}\n", current_user()?);
        let settings = [
            ("listener", format!("{port} 127.0.0.1")),
            ("cafile", path(&identity.ca)),
            ("certfile", path(&identity.certificate)),
            ("keyfile", path(&identity.key)),
            ("crlfile", path(&credentials.revocation_list())),
            ("acl_file", path(&shipped.join("acl"))),
        ];
        let configuration = dir.path().join("mosquitto.conf");
        fs::write(&configuration, user + &fill(&template, &settings)?)?;
        let mut mosquitto = Mosquitto { port, server: None, configuration, dir };
        mosquitto.resume().await?;
        Ok(mosquitto)
    }

    /// Where clients connect, by TLS, on 127.0.0.1 or `localhost`.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it at once. It keeps nothing: sessions and messages are gone, which our contract allows.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts it again on the same port. Does nothing while it runs.
    pub async fn resume(&mut self) -> anyhow::Result<()> {
        if self.server.is_some() {
            return Ok(());
        }
        let mut command = Command::new(program());
        command.arg("-c").arg(&self.configuration);
        let mut server = Server::start(&mut command, &self.dir.path().join("log"), self.dir.path())?;
        await_until("Mosquitto accepts connections", START_DEADLINE, async || {
            server.check_running().context("Mosquitto did not start")?;
            Ok(TcpStream::connect(("127.0.0.1", self.port)).await.ok())
        })
        .await?;
        self.server = Some(server);
        Ok(())
    }

    /// Makes it read its revocation list and access rules again (SIGHUP).
    pub fn reload(&self) -> anyhow::Result<()> {
        let id = self.server.as_ref().context("Mosquitto is stopped")?.id();
        let status = Command::new("kill").args(["-HUP", &id.to_string()]).status()?;
        anyhow::ensure!(status.success(), "cannot signal Mosquitto");
        Ok(())
    }
}

/// Debian keeps it where only root's PATH looks.
fn program() -> &'static str {
    ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"].into_iter().find(|it| Path::new(it).exists()).unwrap_or("mosquitto")
}

fn current_user() -> anyhow::Result<String> {
    let output = Command::new("id").arg("-un").output().context("cannot run id")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Replaces the values of `settings` in a Mosquitto configuration; each must be there exactly once.
fn fill(template: &str, settings: &[(&str, String)]) -> anyhow::Result<String> {
    let mut lines: Vec<String> = template.lines().map(str::to_owned).collect();
    for (key, value) in settings {
        let mut places = lines.iter_mut().filter(|line| line.split_whitespace().next() == Some(key));
        let place = places.next().with_context(|| format!("the shipped configuration has no `{key}`"))?;
        *place = format!("{key} {value}");
        anyhow::ensure!(places.next().is_none(), "the shipped configuration has `{key}` twice");
    }
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn settings_are_filled_in_where_they_stand() {
        let filled = fill("# a\nlistener 8883\nkeyfile x\n", &[("listener", "1 127.0.0.1".into())]).unwrap();
        assert_eq!(filled, "# a\nlistener 1 127.0.0.1\nkeyfile x\n");
        assert!(fill("listener 1\n", &[("keyfile", "x".into())]).is_err());
        assert!(fill("listener 1\nlistener 2\n", &[("listener", "x".into())]).is_err());
    }
}
