//! The stream processor's program: arguments, configuration, log, run, drain.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::Parser;
use stream_processor::config::{Config, DEFAULT, LogFormat};
use tracing_subscriber::EnvFilter;

/// Takes meters' frames from MQTT and writes each record to Kafka exactly once.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// Configuration file; keys that it leaves out have their defaults.
    #[arg(long, env = "FERRARIS_PROCESSOR_CONFIG")]
    config: Option<PathBuf>,
    /// Print the commented default configuration and exit.
    #[arg(long)]
    print_config: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.print_config {
        print!("{DEFAULT}");
        return ExitCode::SUCCESS;
    }
    match try_main(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Each error says the whole of it, its cause included.
            eprintln!("stream-processor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn try_main(arguments: &Arguments) -> anyhow::Result<()> {
    let config = Config::load(arguments.config.as_deref(), std::env::vars())?;
    log(config.log.format);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| anyhow!("can't start the runtime: {error}"))?;
    runtime.block_on(async {
        let stop = stop_signal().map_err(|error| anyhow!("can't listen for signals: {error}"))?;
        Ok(stream_processor::run(config, stop).await?)
    })
}

fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

/// Ends at SIGTERM or Ctrl-C.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
