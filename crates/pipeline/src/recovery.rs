//! A processor is killed (SIGKILL) under load: how long until its successor's first commit, and is anything lost or doubled?

use std::time::{Duration, Instant};

use anyhow::bail;
use testkit::await_until;

use crate::audit::{self, Frames, Verdict};
use crate::house::{House, Run};
use crate::load::{Age, Errand, Stage};
use crate::plan::{Load, Plan};
use crate::scenario::Generator;

/// Longest wait for the successor.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a run showed.
#[derive(Clone, Copy, Debug)]
pub struct Recovery {
    /// From the kill to the successor's first commit, in s.
    pub seconds: f64,
    /// Of all frames, those of the outage included.
    pub age: Age,
    /// What Kafka holds.
    pub verdict: Verdict,
}

/// Kills the processor after the warm-up of a load and starts another one at once, as a supervisor does.
pub async fn run(house: &mut House, load: &Load) -> anyhow::Result<Recovery> {
    let mut run = house.start(1).await?;
    match measure(house, &mut run, load).await {
        Ok(it) if it.verdict.is_clean() => Ok(it),
        Ok(it) => bail!("lost or doubled: {:?}\n{}", it.verdict, run.complaints()),
        Err(error) => bail!("{error:#}\n{}", run.complaints()),
    }
}

async fn measure(house: &House, run: &mut Run, load: &Load) -> anyhow::Result<Recovery> {
    let mut generator = Generator::start(&house.job(run, Errand::Load(load.clone())))?;
    let Stage::Ready { start_us } = generator.next()? else { bail!("the load generator is not ready") };
    let Stage::Begin(_) = generator.next()? else { bail!("the measurement does not begin") };
    run.processors[0].server.kill()?;
    let killed = Instant::now();
    run.processors[0] = house.processor(run, 0)?;
    let successor = &mut run.processors[0];
    let seconds = await_until("the successor commits", PATIENCE, async || {
        successor.server.check_running()?;
        Ok(successor.transactions().is_ok_and(|count| count > 0.0).then(|| killed.elapsed().as_secs_f64()))
    })
    .await?;
    let Stage::End(_) = generator.next()? else { bail!("the measurement does not end") };
    let Stage::Drained { frames, missing, age, .. } = generator.next()? else { bail!("the load does not end") };
    anyhow::ensure!(missing == 0, "{missing} frames were never acknowledged");
    let verdict = audit::audit(house.kafka.bootstrap(), &run.prefix, &Frames(&Plan::new(load.clone(), start_us), &frames))?;
    Ok(Recovery { seconds, age, verdict })
}
