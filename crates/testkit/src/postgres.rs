//! A PostgreSQL of its own, from Debian's package.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::credentials::Identity;
use crate::process::Server;
use crate::{await_until, ports};

const START_DEADLINE: Duration = Duration::from_secs(60);
/// Longest wait for its orderly end before it is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(20);
/// Where Debian keeps the servers, a directory for each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Whom it runs as if we are root, which it refuses to be.
const USER: &str = "postgres";

/// A server with fresh, empty data, one superuser `ferraris` without a password, and a database of that name. Stopped and its data removed
/// when dropped.
pub struct Postgres {
    port: u16,
    // Before the directory: what writes into it must be gone first.
    server: Option<Server>,
    has_tls: bool,
    dir: TempDir,
}

impl Postgres {
    /// Starts a server on a free port and waits until it answers.
    pub async fn start() -> anyhow::Result<Postgres> {
        Self::start_as(None).await
    }

    /// The same with TLS, as the server `identity`.
    pub async fn start_with_tls(identity: &Identity) -> anyhow::Result<Postgres> {
        Self::start_as(Some(identity.clone())).await
    }

    async fn start_as(identity: Option<Identity>) -> anyhow::Result<Postgres> {
        let has_tls = identity.is_some();
        let (dir, port) = tokio::task::spawn_blocking(move || prepare(identity.as_ref())).await??;
        let mut postgres = Postgres { port, server: None, has_tls, dir };
        postgres.resume().await?;
        Ok(postgres)
    }

    /// Where clients connect: `postgresql://ferraris@localhost:port/ferraris`.
    pub fn url(&self) -> String {
        format!("postgresql://ferraris@localhost:{}/ferraris", self.port)
    }

    /// Its process, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.server.as_ref().map(Server::id)
    }

    /// Stops it at once, without a checkpoint: what it knows when it comes back it has from its log, as after a power cut. (PostgreSQL's
    /// "immediate" shutdown; `kill -9` would do the same and leave a segment of shared memory behind.)
    pub fn stop(&mut self) -> anyhow::Result<()> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        let status = Command::new("kill").args(["-QUIT", &server.id().to_string()]).status().context("cannot run kill")?;
        anyhow::ensure!(status.success(), "cannot signal PostgreSQL");
        let begin = std::time::Instant::now();
        while server.check_running().is_ok() && begin.elapsed() < STOP_DEADLINE {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Starts it again on the same data and port and waits until it answers. Does nothing while it runs.
    pub async fn resume(&mut self) -> anyhow::Result<()> {
        if self.server.is_some() {
            return Ok(());
        }
        let data = self.dir.path().join("data");
        let mut command = as_user(&program("postgres")?);
        command.arg("-D").arg(&data).args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        command.args(["-c", "unix_socket_directories=", "-c", "shared_buffers=64MB"]);
        if self.has_tls {
            command.args(["-c", "ssl=on", "-c", "ssl_cert_file=server.pem", "-c", "ssl_key_file=server.key"]);
        }
        let mut server = Server::start(&mut command, &self.dir.path().join("log"), self.dir.path())?;
        let ready = b"database system is ready to accept connections";
        let log = self.dir.path().join("log");
        let answers = await_until("PostgreSQL answers", START_DEADLINE, async || {
            server.check_running().context("PostgreSQL did not start")?;
            let is_ready = fs::read(&log)?.windows(ready.len()).any(|it| it == ready);
            let is_open = TcpStream::connect(("127.0.0.1", self.port)).await.is_ok();
            Ok((is_ready && is_open).then_some(()))
        });
        if let Err(error) = answers.await {
            bail!("{error:#}\n{}", server.log_end());
        }
        self.server = Some(server);
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its guard and the kill behind it see to whatever is left.
        let _ = self.stop();
    }
}

/// A cluster of files and its port.
fn prepare(identity: Option<&Identity>) -> anyhow::Result<(TempDir, u16)> {
    let dir = tempfile::Builder::new().prefix("ferraris-postgres-").tempdir().context("cannot make a temporary directory")?;
    let [port] = ports::free()?;
    let data = dir.path().join("data");
    fs::create_dir(&data)?;
    hand_over(&data)?;
    // Its user must be able to pass through.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711))?;
    let mut make = as_user(&program("initdb")?);
    make.arg("-D").arg(&data).args(["-U", "ferraris", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
    run(&mut make, "initdb")?;
    let mut create = as_user(&program("postgres")?);
    create.args(["--single", "-D"]).arg(&data).arg("postgres");
    pipe(&mut create, b"create database ferraris\n").context("cannot create the database")?;
    if let Some(identity) = identity {
        for (from, to) in [(&identity.certificate, "server.pem"), (&identity.key, "server.key")] {
            let to = data.join(to);
            fs::copy(from, &to)?;
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600))?;
            hand_over(&to)?;
        }
    }
    Ok((dir, port))
}

fn run(command: &mut Command, what: &str) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("cannot run {what}"))?;
    anyhow::ensure!(
        output.status.success(),
        "{what}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn pipe(command: &mut Command, input: &[u8]) -> anyhow::Result<()> {
    use std::io::Write;
    use std::process::Stdio;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    child.stdin.take().context("its input is piped")?.write_all(input)?;
    let status = child.wait()?;
    anyhow::ensure!(status.success(), "it ended with {status}");
    Ok(())
}

/// The newest that is installed.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().flatten().map(|it| it.path());
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| {
            let number = version.file_name().and_then(OsStr::to_str)?.parse().ok()?;
            let program = version.join("bin").join(name);
            program.exists().then_some((number, program))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, program)| program).with_context(|| format!("no {name} under {VERSIONS}: apt-get install postgresql"))
}

/// A command as somebody who is not root.
fn as_user(program: &Path) -> Command {
    let mut command;
    if is_root() {
        command = Command::new("setpriv");
        command.args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--clear-groups"]).arg(program);
    } else {
        command = Command::new(program);
    }
    // Where it may be.
    command.current_dir("/");
    command
}

fn hand_over(path: &Path) -> anyhow::Result<()> {
    if is_root() {
        run(Command::new("chown").arg(format!("{USER}:")).arg(path), "chown")?;
    }
    Ok(())
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0)
}
