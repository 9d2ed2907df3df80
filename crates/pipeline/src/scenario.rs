//! One run: start everything, load it, measure, read Kafka back.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};

use crate::audit::{self, Frames, Verdict};
use crate::house::{House, Run};
use crate::load::{Age, Counts, Errand, Job, Stage};
use crate::plan::{Load, Plan};
use crate::usage::{cpu_s, peak_rss};

/// The processes whose time is told.
pub const PROCESSES: [&str; 4] = ["gate", "processor", "Kafka", "generator"];

/// What a run showed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was asked for.
    pub load: Load,
    /// How many processors shared the partitions.
    pub processors: usize,
    /// Frames acknowledged in a second.
    pub frames_per_s: f64,
    /// Readings acknowledged in a second.
    pub readings_per_s: f64,
    /// Processor time for a frame by process, in µs, in the order of [`PROCESSES`].
    pub cpu_us: [f64; 4],
    /// Transactions committed in a second.
    pub transactions_per_s: f64,
    /// From measurement to the meter's knowing that it is in Kafka.
    pub age: Age,
    /// Most memory of the gate and of the largest processor, in bytes.
    pub peak_rss: [f64; 2],
    /// Frames that did not leave in time because windows were full.
    pub waiting: u64,
    /// Frames that meters sent again.
    pub repeated: u64,
    /// What Kafka holds.
    pub verdict: Verdict,
}

impl Outcome {
    /// Processor time of gate and processor for a frame, in µs.
    pub fn own_cpu_us(&self) -> f64 {
        self.cpu_us[0] + self.cpu_us[1]
    }

    /// Whether the figures count: each record is in Kafka once, and a rate that was asked for was held.
    pub fn counts(&self) -> bool {
        self.verdict.is_clean() && self.load.rate.is_none_or(|rate| self.frames_per_s >= 0.98 * rate)
    }
}

/// The load generator; killed when dropped.
pub(crate) struct Generator {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Generator {
    /// Starts it.
    pub(crate) fn start(job: &Job) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--load", &serde_json::to_string(job)?]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the load generator")?;
        let lines = BufReader::new(child.stdout.take().context("its output is piped")?);
        Ok(Self { child, lines })
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for what it says next.
    pub(crate) fn next(&mut self) -> anyhow::Result<Stage> {
        let mut line = String::new();
        anyhow::ensure!(self.lines.read_line(&mut line)? > 0, "the load generator ended");
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        // One that has ended already is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time used so far by [`PROCESSES`], in s.
pub(crate) fn cpu_of_all(house: &House, run: &Run, generator: &Generator) -> anyhow::Result<[f64; 4]> {
    let processors = run.processors.iter().map(|it| cpu_s(it.server.id())).sum::<anyhow::Result<f64>>()?;
    let kafka = house.kafka.id().context("Kafka has ended")?;
    Ok([cpu_s(run.gate.id())?, processors, cpu_s(kafka)?, cpu_s(generator.id())?])
}

/// A moment of a run.
struct Moment {
    counts: Counts,
    cpu_s: [f64; 4],
    transactions: f64,
}

/// Runs a load through programs of its own, `processors` of them processors.
pub async fn run(house: &mut House, load: &Load, processors: usize) -> anyhow::Result<Outcome> {
    let run = house.start(processors).await?;
    match measure(house, &run, load) {
        Ok(outcome) if outcome.verdict.is_clean() => Ok(outcome),
        Ok(outcome) => bail!("lost or doubled: {:?}\n{}", outcome.verdict, run.complaints()),
        Err(error) => bail!("{error:#}\n{}", run.complaints()),
    }
}

fn measure(house: &House, run: &Run, load: &Load) -> anyhow::Result<Outcome> {
    let mut generator = Generator::start(&house.job(run, Errand::Load(load.clone())))?;
    let Stage::Ready { start_us } = generator.next()? else { bail!("the load generator is not ready") };
    let moment = |counts: Counts, generator: &Generator| -> anyhow::Result<Moment> {
        Ok(Moment { counts, cpu_s: cpu_of_all(house, run, generator)?, transactions: run.transactions()? })
    };
    let Stage::Begin(counts) = generator.next()? else { bail!("the measurement does not begin") };
    let begin = moment(counts, &generator)?;
    let Stage::End(counts) = generator.next()? else { bail!("the measurement does not end") };
    let end = moment(counts, &generator)?;
    let Stage::Drained { frames, missing, repeated, age } = generator.next()? else { bail!("the load does not end") };
    anyhow::ensure!(missing == 0, "{missing} frames were never acknowledged");

    let plan = Plan::new(load.clone(), start_us);
    let verdict = audit::audit(house.kafka.bootstrap(), &run.prefix, &Frames(&plan, &frames))?;
    let acknowledged = (end.counts.acknowledged - begin.counts.acknowledged) as f64;
    let frames_per_s = acknowledged / load.seconds;
    Ok(Outcome {
        load: load.clone(),
        processors: run.processors.len(),
        frames_per_s,
        readings_per_s: frames_per_s * load.records_per_frame as f64,
        cpu_us: std::array::from_fn(|at| (end.cpu_s[at] - begin.cpu_s[at]) * 1e6 / acknowledged),
        transactions_per_s: (end.transactions - begin.transactions) / load.seconds,
        age,
        peak_rss: [peak_rss(run.gate.id())?, most_memory(run)?],
        waiting: end.counts.waiting,
        repeated,
        verdict,
    })
}

pub(crate) fn most_memory(run: &Run) -> anyhow::Result<f64> {
    run.processors.iter().try_fold(0.0, |most: f64, it| Ok(most.max(peak_rss(it.server.id())?)))
}
