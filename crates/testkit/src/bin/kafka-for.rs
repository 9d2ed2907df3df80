//! Runs a command beside a Kafka of its own: `kafka-for COMMAND [ARGUMENT...]`.
//!
//! Starts one real Kafka broker, puts its address into `FERRARIS_KAFKA`, runs the command, kills the broker and exits as the command
//! did. If `FERRARIS_KAFKA` is set already, that Kafka is used.

use std::process::{Command, ExitCode};

use anyhow::Context;
use testkit::{Kafka, KafkaHandle};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("kafka-for: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().context("which command? usage: kafka-for COMMAND [ARGUMENT...]")?;
    let mut command = Command::new(&program);
    command.args(arguments);

    let own = if std::env::var_os("FERRARIS_KAFKA").is_some() {
        KafkaHandle::shared().await?;
        None
    } else {
        let kafka = Kafka::start().await?;
        eprintln!("kafka-for: Kafka at {}", kafka.bootstrap());
        command.env("FERRARIS_KAFKA", kafka.bootstrap());
        Some(kafka)
    };
    let status = command.status().with_context(|| format!("cannot run {}", program.to_string_lossy()))?;
    drop(own);
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
