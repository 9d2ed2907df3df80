//! A stream processor for tests: `processor CONFIG`. It tells which partitions it owns, and halts where the environment says.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use nix::sys::signal::{Signal, raise};
use stream_processor::{Config, Observer, Phase};
use tokio::signal::unix::{SignalKind, signal};

/// Halts the first worker that reaches a phase.
struct Halt {
    at: Option<String>,
    freeze: bool,
    done: AtomicBool,
}

impl Observer for Halt {
    fn phase(&self, partition: i32, phase: Phase) {
        let name = match phase {
            Phase::BeforeProduce => "before_produce",
            Phase::BeforeCommit => "before_commit",
            Phase::AfterCommitBeforeAck => "after_commit_before_ack",
        };
        if self.at.as_deref() != Some(name) || self.done.swap(true, Ordering::SeqCst) {
            return;
        }
        say(&format!("halted {partition}"));
        if self.freeze {
            // Returns when somebody sends SIGCONT.
            let _ = raise(Signal::SIGSTOP);
            return;
        }
        loop {
            std::thread::park();
        }
    }
}

fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    // Whoever reads it may be gone already.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let path = std::env::args_os().nth(1).map(PathBuf::from).context("usage: processor CONFIG")?;
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let halt = Halt {
        at: std::env::var("HALT_AT").ok(),
        freeze: std::env::var("HALT_BY").is_ok_and(|how| how == "freeze"),
        done: AtomicBool::new(false),
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut running = stream_processor::start(Config::load(Some(&path), [])?, Arc::new(halt)).await?;
    say(&format!("http {}", running.http_address()));
    let mut owned = running.owned();
    let told = tokio::spawn(async move {
        loop {
            let now: Vec<i32> = owned.borrow_and_update().iter().copied().collect();
            say(&format!("owns {now:?}"));
            if owned.changed().await.is_err() {
                return;
            }
        }
    });
    tokio::select! {
        _ = terminate.recv() => {}
        () = running.ended() => {}
    }
    let ended = running.shutdown().await;
    told.abort();
    Ok(ended?)
}
