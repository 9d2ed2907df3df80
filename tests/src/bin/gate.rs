//! A gate for tests: `gate CONFIG`. It tells where it listens.

use std::path::PathBuf;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let path = std::env::args_os().nth(1).map(PathBuf::from).context("usage: gate CONFIG")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let gate = broker::start(broker::Config::load(&path)?).await?;
    println!("listens {} {}", gate.mqtts_addr(), gate.admin_addr());
    terminate.recv().await;
    gate.shutdown().await;
    Ok(())
}
