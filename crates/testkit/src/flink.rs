//! Apache Flink: its SQL client, with a cluster in the same process, runs a script to its end.

use std::fs;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::await_until;
use crate::jars::Jars;
use crate::process::Server;

const JARS: Jars = Jars { name: "Apache Flink", folder: "flink", pom: include_str!("../../../deploy/flink/pom.xml"), megabytes: 170 };

/// What Flink's own start script opens to it of Java 17.
const OPENED: [&str; 12] = [
    "java.lang",
    "java.lang.reflect",
    "java.net",
    "java.io",
    "java.nio",
    "sun.nio.ch",
    "java.text",
    "java.time",
    "java.util",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "java.util.concurrent.locks",
];

/// The cluster lives as long as a job, and no pause of the machine makes it doubt itself. A statement is done when its job is, and has failed
/// when that has.
const CONFIG: &str = "\
execution.target: local
parallelism.default: 2
heartbeat.timeout: 30 min
pekko.ask.timeout: 30 min
restart-strategy.type: none
execution.checkpointing.storage: filesystem
execution.checkpointing.dir: file://@DIR@/checkpoints
table.dml-sync: true
sql-client.execution.result-mode: tableau
";

/// Each line begins with its time.
const LOGGING: &str = "\
rootLogger.level = INFO
rootLogger.appenderRef.file.ref = File
appender.file.name = File
appender.file.type = FILE
appender.file.fileName = ${sys:log.file}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{UNIX_MILLIS} %p %m%n
";

/// A script that was run.
#[derive(Clone, Debug)]
pub struct Ran {
    /// What the client printed.
    pub output: String,
    /// How long its jobs ran, in all: without the start of Java, and of the cluster.
    pub jobs: Duration,
}

/// Runs the statements of `script` one after the other, and waits for the jobs among them. The first time in a checkout Flink is fetched.
///
/// Fails with the end of the log if a statement does, or if it takes longer than `deadline`.
pub async fn run(script: &str, deadline: Duration) -> anyhow::Result<Ran> {
    let dir = tempfile::Builder::new().prefix("ferraris-flink-").tempdir().context("cannot make a temporary directory")?;
    let path = |name: &str| dir.path().join(name);
    let config = CONFIG.replace("@DIR@", &dir.path().to_string_lossy());
    for (name, text) in [("config.yaml", config.as_str()), ("log4j2.properties", LOGGING), ("script.sql", script)] {
        fs::write(path(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    let mut command = tokio::task::spawn_blocking(|| JARS.java()).await??;
    command.args(OPENED.map(|it| format!("--add-opens=java.base/{it}=ALL-UNNAMED")));
    command.args(["-Xmx4g", "-XX:+UseG1GC", "-Djava.awt.headless=true"]);
    command.arg(format!("-Dlog4j2.configurationFile={}", path("log4j2.properties").display()));
    command.arg(format!("-Dlog.file={}", path("log").display())).arg(format!("-Djava.io.tmpdir={}", dir.path().display()));
    command.args(["org.apache.flink.table.client.SqlClient", "embedded", "-f"]).arg(path("script.sql"));
    command.env("FLINK_CONF_DIR", dir.path());

    let mut client = Server::start(&mut command, &path("output"), dir.path())?;
    let status = await_until("Flink has run the script", deadline, async || client.ended()).await;
    drop(client);
    let read = |name: &str| fs::read_to_string(path(name)).unwrap_or_default();
    let (output, log) = (read("output"), read("log"));
    match status {
        Ok(status) if status.success() && !output.contains("[ERROR]") => Ok(Ran { output, jobs: jobs(&log) }),
        Ok(status) => bail!("Flink ended with {status}:\n{}\n{}", end(&output), causes(&log)),
        Err(error) => bail!("{error:#}\n{}\n{}", end(&output), causes(&log)),
    }
}

/// From the start of each job to its end, as the log tells.
fn jobs(log: &str) -> Duration {
    let mut sum: u64 = 0;
    let mut start = None;
    for line in log.lines() {
        let mut words = line.splitn(3, ' ');
        let (Some(Ok(time)), Some(_), Some(text)) = (words.next().map(str::parse::<u64>), words.next(), words.next()) else { continue };
        // Its tasks change their states as well, under other names.
        if !text.starts_with("Job ") {
            continue;
        }
        if text.contains("switched from state CREATED to RUNNING") {
            start = Some(time);
        } else if text.contains("switched from state RUNNING to FINISHED") {
            sum = sum.saturating_add(time.saturating_sub(start.take().unwrap_or(time)));
        }
    }
    Duration::from_millis(sum)
}

/// The last lines.
fn end(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
}

/// What the log says why, each cause once, the first ones first.
fn causes(log: &str) -> String {
    let mut causes: Vec<&str> = Vec::new();
    for line in log.lines().filter(|it| it.starts_with("Caused by: ")) {
        if causes.len() < 20 && !causes.contains(&line) {
            causes.push(line);
        }
    }
    causes.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_told_from_their_tasks() {
        let log = "1000 INFO Job a (0) switched from state CREATED to RUNNING.\n\
            1100 INFO Source: b (1/2) (0) switched from CREATED to RUNNING.\n\
            \tat somewhere\n\
            4500 INFO Job a (0) switched from state RUNNING to FINISHED.\n\
            5000 INFO Job c (1) switched from state CREATED to RUNNING.\n\
            5250 INFO Job c (1) switched from state RUNNING to FINISHED.\n";
        assert_eq!(jobs(log), Duration::from_millis(3750));
    }
}
