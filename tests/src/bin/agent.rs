//! An agent for tests: `agent CONFIG [ID CERTIFICATE KEY]...`. The meters behind the configuration measure by themselves, which is nothing that
//! a file could describe; those in it are on lines. Each record that the journal accepts becomes a line of output.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use edge_agent::config::Device;
use edge_agent::{Config, Observation, Options};
use fleet::audit::record;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (path, meters) = arguments.split_first().context("usage: agent CONFIG [ID CERTIFICATE KEY]...")?;
    let mut config: Config = toml::from_str(&std::fs::read_to_string(path)?)?;
    for meter in meters.as_chunks().0 {
        let [id, certificate, key]: &[String; 3] = meter;
        config.meter.push(promises::home::supplied(id.parse()?, PathBuf::from(certificate), PathBuf::from(key)));
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut options = Options::default().accepted(|rows| {
        let mut output = std::io::stdout().lock();
        for row in &rows {
            let identity = record::accepted(&row.meter, &row.record);
            // Whoever reads it may be gone already.
            let _ = writeln!(output, "accepted {} {} {}", identity.meter, identity.time.0, identity.digest);
        }
        let _ = output.flush();
    });
    let supplied = config.meter.iter().filter(|meter| matches!(meter.device, Device::Supplied { .. }));
    for (number, meter) in (0..).zip(supplied) {
        let (sender, samples) = mpsc::channel(16);
        options = options.source(meter.id.clone(), samples);
        tokio::spawn(async move {
            let mut clock = tokio::time::interval(Duration::from_secs(1));
            for second in 0.. {
                clock.tick().await;
                let sample = promises::home::sample(number, second, false);
                if sender.send(Observation { at: Instant::now(), channel: 0, result: Ok(sample) }).await.is_err() {
                    return;
                }
            }
        });
    }
    let agent = edge_agent::start(config, options).await?;
    terminate.recv().await;
    let drained = agent.shutdown().await;
    println!("left {}", drained.rows_left);
    Ok(())
}
