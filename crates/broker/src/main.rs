//! The program: reads `broker.toml`, runs the broker until SIGTERM or Ctrl-C, reloads certificates on SIGHUP.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use broker::config::{Config, REFERENCE};
use clap::{Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// MQTT broker of Ferraris: TLS with client certificates, each meter speaks only as itself
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file
    #[arg(short, long, default_value = "broker.toml", env = "FERRARIS_BROKER_CONFIG")]
    config: PathBuf,
    /// Address for MQTT over TLS, instead of the file's
    #[arg(long, env = "FERRARIS_BROKER_MQTTS")]
    mqtts: Option<std::net::SocketAddr>,
    /// Address for metrics and health, instead of the file's
    #[arg(long, env = "FERRARIS_BROKER_ADMIN")]
    admin: Option<std::net::SocketAddr>,
    /// Form of the log; RUST_LOG sets how much
    #[arg(long, default_value = "text", env = "FERRARIS_LOG")]
    log: Log,
    /// Print the commented default configuration and end
    #[arg(long)]
    print_config: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Log {
    Text,
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.print_config {
        print!("{REFERENCE}");
        return ExitCode::SUCCESS;
    }
    start_log(arguments.log);
    match work(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Each error says the whole of it, its cause included.
            eprintln!("broker: {error}");
            ExitCode::FAILURE
        }
    }
}

/// rumqttd's own log is off: it speaks of each connection, and formatting costs it half of its speed.
fn start_log(form: Log) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,rumqttd=off"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match form {
        Log::Text => log.init(),
        Log::Json => log.json().init(),
    }
}

fn work(arguments: &Arguments) -> anyhow::Result<()> {
    let mut config = Config::load(&arguments.config)?;
    config.listen.mqtts = arguments.mqtts.unwrap_or(config.listen.mqtts);
    config.listen.admin = arguments.admin.unwrap_or(config.listen.admin);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.threads.sessions())
        .enable_all()
        .build()
        .map_err(|error| anyhow!("can't start the runtime: {error}"))?;
    runtime.block_on(run(config))
}

async fn run(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let broker = broker::start(config).await?;
    let websocket = broker.websocket_addr().map(tracing::field::display);
    tracing::info!(mqtts = %broker.mqtts_addr(), websocket, admin = %broker.admin_addr(), "listening");
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            // What became of it is in the log and in the metrics.
            _ = hang_up.recv() => drop(broker.reload().await),
            () = broker.failed() => std::process::abort(),
        }
    }
    tracing::info!("stopping");
    broker.shutdown().await;
    Ok(())
}
