//! Child processes that never outlive us.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::Context;

/// A server of ours: killed when dropped, and killed by a guard when we die without dropping anything.
pub struct Server {
    child: Child,
    guard: Child,
    log: PathBuf,
}

/// Waits for a word on its standard input. If it gets the end of the file instead, then whoever started it is gone: it kills the
/// server (first argument) and removes its directory (second).
const GUARD: &str = r#"read -r word || { kill -9 "$1"; rm -rf "$2"; }"#;

impl Server {
    /// Starts `command`, which writes to the file `log`. `dir` is removed with it if we die; if we live, it is its owner's.
    pub fn start(command: &mut Command, log: &Path, dir: &Path) -> anyhow::Result<Server> {
        let program = command.get_program().to_string_lossy().into_owned();
        let output = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        // Groups of their own: a Ctrl-C at the terminal is for us, and the guard sees to the rest.
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start {program}: install it, or look at PATH"))?;
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard", &child.id().to_string()])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        match guard {
            Ok(guard) => Ok(Server { child, guard, log: log.to_owned() }),
            Err(error) => {
                child.kill()?;
                Err(error).context("cannot start sh")
            }
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Fails with the end of the log if the server is not running any more.
    pub fn check_running(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(anyhow::anyhow!("it ended with {status}; its log ends:\n{}", self.log_end())),
        }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// The last lines it wrote.
    pub fn log_end(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let len = file.metadata()?.len();
            file.seek(SeekFrom::Start(len.saturating_sub(4096)))?;
            let mut end = Vec::new();
            file.read_to_end(&mut end)?;
            Ok(String::from_utf8_lossy(&end).into_owned())
        };
        read().unwrap_or_else(|error| format!("(cannot read {}: {error})", self.log.display()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing useful can be done about a failure here; a process that is gone already is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(mut stdin) = self.guard.stdin.take() {
            let _ = stdin.write_all(b"done\n");
        }
        let _ = self.guard.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_guard_kills_what_a_dead_parent_left() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("data");
        std::fs::create_dir(&inner).unwrap();
        let mut server = Server::start(Command::new("sleep").arg("1000"), &dir.path().join("log"), &inner).unwrap();
        server.check_running().unwrap();

        // What the end of our process does.
        drop(server.guard.stdin.take());
        let ended = async || Ok(server.child.try_wait()?);
        let status = crate::await_until("the server is killed", Duration::from_secs(60), ended).await.unwrap();
        assert!(!status.success());
        crate::await_until("its directory is gone", Duration::from_secs(60), async || Ok((!inner.exists()).then_some(()))).await.unwrap();
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = Server::start(&mut Command::new("no-such-broker"), &dir.path().join("log"), dir.path()).err().unwrap();
        assert!(error.to_string().contains("no-such-broker"), "{error}");
    }
}
