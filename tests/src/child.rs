//! Services as child processes, to be stopped and killed.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use edge_agent::config::Meter;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::PATIENCE;

/// Where a processor stops, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// Nowhere.
    Never,
    /// The worker that gets to this phase first stays there for ever; it says so first.
    Park(&'static str),
    /// The whole process stops itself at this phase, as SIGSTOP stops it; it says so first.
    Freeze(&'static str),
}

/// A child process that tells on its standard output what it does. Killed when dropped.
pub struct Child {
    name: String,
    child: tokio::process::Child,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Child {
    /// A stream processor: the product's library with a hook at the phases of a transaction.
    pub fn processor(program: &str, config: &Path, halt: Halt) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.arg(config);
        match halt {
            Halt::Never => {}
            Halt::Park(phase) => _ = command.env("HALT_AT", phase).env("HALT_BY", "park"),
            Halt::Freeze(phase) => _ = command.env("HALT_AT", phase).env("HALT_BY", "freeze"),
        }
        Self::start("processor", command)
    }

    /// A gate that tells where it listens.
    pub fn gate(program: &str, config: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.arg(config);
        Self::start("gate", command)
    }

    /// An agent that measures by itself and tells what its journal accepts.
    pub fn agent(program: &str, config: &Path, meters: &[Meter]) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.arg(config);
        for meter in meters {
            command.arg(meter.id.as_str()).arg(&meter.certificate_file).arg(&meter.key_file);
        }
        Self::start("agent", command)
    }

    fn start(name: &str, mut command: Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start the {name}"))?;
        let output = child.stdout.take().context("its output was piped")?;
        let (sender, lines) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut output = BufReader::new(output).lines();
            while let Ok(Some(line)) = output.next_line().await {
                let _ = sender.send(line);
            }
        });
        Ok(Self { name: name.to_owned(), child, lines })
    }

    /// Waits for a line that `wanted` gives a value for.
    pub async fn line<T>(&mut self, what: &str, mut wanted: impl FnMut(&str) -> Option<T>) -> anyhow::Result<T> {
        let search = async {
            while let Some(line) = self.lines.recv().await {
                if let Some(value) = wanted(&line) {
                    return Ok(value);
                }
            }
            anyhow::bail!("the {} ended before it said: {what}", self.name)
        };
        tokio::time::timeout(PATIENCE, search)
            .await
            .with_context(|| format!("the {} did not say within {PATIENCE:?}: {what}", self.name))?
    }

    /// Where a processor answers by HTTP, which is the first thing that it says.
    pub async fn http(&mut self) -> anyhow::Result<std::net::SocketAddr> {
        self.line("http", |line| line.strip_prefix("http ")?.parse().ok()).await
    }

    /// Waits until a processor owns these partitions, and no others.
    pub async fn owns(&mut self, partitions: &[i32]) -> anyhow::Result<()> {
        let wanted = format!("owns {partitions:?}");
        self.line(&wanted, |line| (line == wanted).then_some(())).await
    }

    /// Waits until a processor owns partitions that `enough` accepts.
    pub async fn owns_some(&mut self, what: &str, enough: impl Fn(&[i32]) -> bool) -> anyhow::Result<Vec<i32>> {
        self.line(what, |line| {
            let partitions: Vec<i32> = serde_json::from_str(line.strip_prefix("owns ")?).ok()?;
            enough(&partitions).then_some(partitions)
        })
        .await
    }

    /// Waits until a processor has halted at its phase; in which partition.
    pub async fn halted(&mut self) -> anyhow::Result<i32> {
        self.line("halted", |line| line.strip_prefix("halted ")?.parse().ok()).await
    }

    /// All lines that are there and not read yet.
    pub fn lines_now(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.lines.try_recv().ok()).collect()
    }

    /// `kill -9`; returns when it is gone. Lines that it wrote before can still be read.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("cannot kill")
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// SIGTERM, and how it ended.
    pub async fn terminate(&mut self, deadline: Duration) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        Ok(tokio::time::timeout(deadline, self.child.wait()).await.with_context(|| format!("the {} did not end", self.name))??)
    }

    /// Reads the rest of its lines after its end.
    pub async fn remaining_lines(&mut self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Some(line) = self.lines.recv().await {
            rest.push(line);
        }
        rest
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = self.child.id().with_context(|| format!("the {} has ended", self.name))?;
        Ok(kill(Pid::from_raw(i32::try_from(id)?), signal)?)
    }
}
