//! The load generator: a process of its own, so that its time is nobody else's. It is this program again, started with a [`Job`].
//!
//! One thread drives all meters: frames are cut and wrapped beforehand, a wake-up serves every meter that is due, and all frames that a
//! meter may send at once leave in one TLS record. It tells how far it is as lines of JSON, each a [`Stage`].

mod connection;
mod go_back;
mod mqtt;
mod returning;
mod run;
mod sockets;
mod wallet;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;

use anyhow::Context;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use wire::topic::Topic;

use crate::backlog::story::{Backlog, Order};
use crate::plan::{self, Load, Plan, now_us};
use connection::Connection;
use run::Answers;
use wallet::Wallet;

/// What to do to which broker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Of the broker, on 127.0.0.1.
    pub port: u16,
    /// The authority's directory.
    pub pki: PathBuf,
    /// What the meters do.
    pub errand: Errand,
}

/// What the meters do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Errand {
    /// They send frames; what counts is the processor's acknowledgement.
    Load(Load),
    /// They send frames; what counts is the broker's PUBACK, for there is no processor.
    Publish(Load),
    /// They come back with a backlog.
    Backlog(Backlog),
}

impl Errand {
    const fn meters(&self) -> usize {
        match self {
            Self::Load(load) | Self::Publish(load) => load.meters,
            Self::Backlog(backlog) => backlog.meters,
        }
    }
}

/// How far the generator is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Stage {
    /// All meters are connected; the first frame is due at this time, µs since 1970.
    Ready {
        /// Start of the [`Plan`].
        start_us: i64,
    },
    /// The measurement begins.
    Begin(Counts),
    /// The measurement ends.
    End(Counts),
    /// Everything is acknowledged, or nothing was for so long that it never will be.
    Drained {
        /// Frames sent, by meter.
        frames: Vec<usize>,
        /// Frames that are not acknowledged.
        missing: usize,
        /// Frames that were sent again.
        repeated: u64,
        /// From when a frame was due (or, without a rate, sent) to its acknowledgement, of the measurement's frames.
        age: Age,
    },
    /// The whole backlog is acknowledged, and what was live meanwhile.
    Returned {
        /// How each meter numbered what it sent.
        orders: Vec<Order>,
        /// Meters that are not done.
        missing: usize,
        /// Frames that were sent again.
        repeated: u64,
        /// From the meters' coming back to the acknowledgement of the last backlog frame, in s.
        seconds: f64,
        /// Of live readings before the meters came back.
        before: Age,
        /// Of live readings meanwhile.
        meanwhile: Age,
    },
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Frames acknowledged: in Kafka, and the meter knows it.
    pub acknowledged: u64,
    /// Frames offered by the plan and not sent, because windows are full.
    pub waiting: u64,
}

/// A distribution, in ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "their names say it")]
pub struct Age {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

impl Age {
    fn of(ages: &Histogram<u64>) -> Self {
        let ms = |us: u64| us as f64 / 1e3;
        Self { p50: ms(ages.value_at_quantile(0.5)), p99: ms(ages.value_at_quantile(0.99)), max: ms(ages.max()) }
    }
}

/// A meter's frames as PUBLISH packets, one after the other.
struct Packets {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Packets {
    fn of(plan: &Plan, meter: usize, frames: usize) -> Self {
        let topic = Topic::up(&plan::name(meter)).to_string();
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(frames));
        for frame in 0..frames {
            bytes.extend(mqtt::publish(&topic, (frame % 65_535 + 1) as u16, &plan.frame(meter, frame)));
            ends.push(bytes.len());
        }
        bytes.shrink_to_fit();
        Self { bytes, ends }
    }

    fn of_frames(&self, frames: std::ops::Range<usize>) -> &[u8] {
        let end = |frame: usize| if frame == 0 { 0 } else { self.ends[frame - 1] };
        &self.bytes[end(frames.start)..end(frames.end)]
    }
}

/// What a bench of this name does: it drives the meters of `job` if it was started for that, and measures otherwise. `measure` says whether
/// all targets were reached.
pub fn or_measure(name: &str, job: Option<&str>, measure: impl FnOnce() -> anyhow::Result<bool>) -> ExitCode {
    match job.map_or_else(measure, |job| drive(job).map(|()| true)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn drive(job: &str) -> anyhow::Result<()> {
    let job: Job = serde_json::from_str(job).context("no job")?;
    let connections = connect(&job)?;
    let (load, answers) = match &job.errand {
        Errand::Load(load) => (load, Answers::Processor),
        Errand::Publish(load) => (load, Answers::Broker),
        Errand::Backlog(backlog) => return returning::run(backlog, connections),
    };
    let (plan, packets) = prepare(load)?;
    tell(&Stage::Ready { start_us: plan.due_us(0, 0) })?;
    run::run(&plan, answers, connections, &packets)
}

fn tell(stage: &Stage) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    serde_json::to_writer(&mut output, stage)?;
    output.write_all(b"\n")?;
    Ok(output.flush()?)
}

/// Connects all meters, some at a time.
fn connect(job: &Job) -> anyhow::Result<Vec<Connection>> {
    const THREADS: usize = 8;
    let wallet = Wallet::open(&job.pki)?;
    let connections = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let connect = |thread: usize| {
            for meter in (thread..job.errand.meters()).step_by(THREADS) {
                let id = plan::name(meter);
                let connection = Connection::open(job.port, wallet.meter(id.as_str())?, id.as_str(), &Topic::down(&id).to_string());
                let connection = connection.with_context(|| format!("connecting {id}"))?;
                connections.lock().expect("no thread panics").push((meter, connection));
            }
            anyhow::Ok(())
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || connect(thread))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
    })?;
    let mut connections = connections.into_inner().expect("no thread panics");
    connections.sort_by_key(|(meter, _)| *meter);
    Ok(connections.into_iter().map(|(_, connection)| connection).collect())
}

/// Cuts all frames that may be sent. Their times are in them, so the start is set first, late enough.
fn prepare(load: &Load) -> anyhow::Result<(Plan, Vec<Packets>)> {
    /// Readings a second that nobody reaches without a rate.
    const CEILING: f64 = 1_500_000.0;
    let rate = load.rate.unwrap_or(CEILING / load.records_per_frame as f64).min(150_000.0);
    let frames = (rate * load.duration().as_secs_f64() / load.meters as f64).ceil() as usize + 2;
    let mut allowed_us = 1_000_000;
    for _ in 0..6 {
        let plan = Plan::new(load.clone(), now_us() + allowed_us);
        let packets: Vec<Packets> = (0..load.meters).map(|meter| Packets::of(&plan, meter, frames)).collect();
        let late_us = now_us() - plan.due_us(0, 0);
        if late_us < -100_000 {
            return Ok((plan, packets));
        }
        allowed_us = (allowed_us + late_us) * 5 / 4 + 1_000_000;
    }
    anyhow::bail!("{} frames can't be cut in time", frames * load.meters)
}
