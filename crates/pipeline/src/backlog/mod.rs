//! Meters come back with a backlog: how fast is it drained, how old does live data get meanwhile, and is anything lost or doubled?

pub mod story;
pub mod window;

use anyhow::bail;

use crate::audit::{self, Verdict};
use crate::house::{House, Run};
use crate::load::{Age, Errand, Stage};
use crate::scenario::{Generator, cpu_of_all, most_memory};
use crate::usage::peak_rss;
use story::{Backlog, Story, Told};

/// What a run showed.
#[derive(Clone, Debug)]
pub struct Drained {
    /// The load.
    pub backlog: Backlog,
    /// From coming back to the last acknowledgement of a backlog frame, in s.
    pub seconds: f64,
    /// Processor time of a reading, backlog and live together, in µs, in the order of [`PROCESSES`](crate::scenario::PROCESSES).
    pub cpu_us: [f64; 4],
    /// Of live readings before.
    pub before: Age,
    /// Of live readings meanwhile.
    pub meanwhile: Age,
    /// Most memory of gate and processor, in bytes.
    pub peak_rss: [f64; 2],
    /// Frames that were sent again.
    pub repeated: u64,
    /// What Kafka holds.
    pub verdict: Verdict,
}

impl Drained {
    /// Backlog readings acknowledged in a second.
    pub fn readings_per_s(&self) -> f64 {
        (self.backlog.meters * self.backlog.records) as f64 / self.seconds
    }
}

/// Starts gate and processor and lets the meters come back.
pub async fn run(house: &mut House, backlog: &Backlog) -> anyhow::Result<Drained> {
    let run = house.start(1).await?;
    match measure(house, &run, backlog) {
        Ok(it) if it.verdict.is_clean() => Ok(it),
        Ok(it) => bail!("lost or doubled: {:?}\n{}", it.verdict, run.complaints()),
        Err(error) => bail!("{error:#}\n{}", run.complaints()),
    }
}

fn measure(house: &House, run: &Run, backlog: &Backlog) -> anyhow::Result<Drained> {
    let mut generator = Generator::start(&house.job(run, Errand::Backlog(backlog.clone())))?;
    let Stage::Ready { start_us } = generator.next()? else { bail!("the load generator is not ready") };
    let Stage::Begin(_) = generator.next()? else { bail!("the meters do not come back") };
    let begin = cpu_of_all(house, run, &generator)?;
    let Stage::End(_) = generator.next()? else { bail!("the backlog is not drained") };
    let end = cpu_of_all(house, run, &generator)?;
    let Stage::Returned { orders, missing, repeated, seconds, before, meanwhile } = generator.next()? else {
        bail!("the load does not end")
    };
    anyhow::ensure!(missing == 0, "{missing} meters have records that were never acknowledged");
    let readings = (backlog.meters * backlog.records) as f64 + backlog.live_per_s * seconds;
    let told = Told::new(Story { backlog: backlog.clone(), start_us }, &orders);
    Ok(Drained {
        backlog: backlog.clone(),
        seconds,
        cpu_us: std::array::from_fn(|at| (end[at] - begin[at]) * 1e6 / readings),
        before,
        meanwhile,
        peak_rss: [peak_rss(run.gate.id())?, most_memory(run)?],
        repeated,
        verdict: audit::audit(house.kafka.bootstrap(), &run.prefix, &told)?,
    })
}
