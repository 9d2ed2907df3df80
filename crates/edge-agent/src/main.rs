//! The program: reads `agent.toml`, runs until SIGTERM or Ctrl-C, then drains.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::Parser;
use edge_agent::config::{Config, LogFormat, REFERENCE};
use edge_agent::{Options, start};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Reads meters, keeps what they say until the head-end has it, and sends it there over MQTT
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file
    #[arg(short, long, default_value = "agent.toml", env = "FERRARIS_AGENT_CONFIG")]
    config: PathBuf,
    /// Print the commented default configuration and end
    #[arg(long)]
    print_config: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.print_config {
        print!("{REFERENCE}");
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Runtime::new().map_err(|error| anyhow!("can't start the runtime: {error}"));
    match runtime.and_then(|runtime| runtime.block_on(run(&arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Each error's text holds its cause.
            eprintln!("edge-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = Config::load(&arguments.config)?;
    start_log(config.log.format);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut agent = start(config, Options::default()).await?;
    if let Some(health) = agent.health_addr() {
        tracing::info!(%health, "listening");
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = agent.failed() => anyhow::bail!("the journal's owner ended: see above"),
    }
    tracing::info!("stopping");
    let drained = agent.shutdown().await;
    tracing::info!(rows_left = drained.rows_left, "stopped");
    Ok(())
}

fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}
