//! One partition's worker at work, without its threads, clients and clocks.

use std::hint::black_box;

use measure::{MeterId, UnixMillis};
use pipeline::plan::{self, Load, Plan};
use stream_processor::live::Live;
use stream_processor::records::Outbox;
use stream_processor::shard::{Limits, Outcome, Partition, Rebuild, Row};

/// 2026-11-29 00:00 UTC.
const BEGIN_MS: i64 = 1_795_910_400_000;
/// Meters of the partition, the fourth of a thousand.
const METERS: usize = 250;
const FRAMES_PER_METER: usize = 16;
/// Frames of a walk.
pub const FRAMES: usize = METERS * FRAMES_PER_METER;
/// Between two commits, in ms and in frames of one reading at 50,000 frames/s of four partitions.
const COMMIT_MS: i64 = 50;
const COMMIT_FRAMES: usize = 625;
const LIVE_INTERVAL_MS: i64 = 1_000;

/// Frames, cut beforehand.
pub struct Walk {
    meters: Vec<MeterId>,
    frames: Vec<(usize, Vec<u8>)>,
}

impl Walk {
    /// Meters take turns, each with frames of `records_per_frame` readings behind its hello.
    pub fn new(records_per_frame: usize) -> Self {
        let load = Load { meters: METERS, records_per_frame, channels: 1, rate: Some(50_000.0), warm_up_s: 0.0, seconds: 1.0 };
        let plan = Plan::new(load, BEGIN_MS * 1_000);
        let turns = (1..=FRAMES_PER_METER).flat_map(|frame| (0..METERS).map(move |meter| (meter, frame)));
        let frames = turns.map(|(meter, frame)| (meter, plan.frame(meter, frame))).collect();
        Self { meters: (0..METERS).map(plan::name).collect(), frames }
    }

    /// Takes all frames through a partition that knows its meters, and commits as often as a worker would.
    pub fn once(&self) {
        let mut worker = Worker::knowing(&self.meters);
        for (taken, (meter, frame)) in (1..).zip(&self.frames) {
            let outcome = worker.partition.handle_frame(&self.meters[*meter], black_box(frame), worker.now);
            assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
            if worker.partition.is_full() || taken % COMMIT_FRAMES == 0 {
                worker.commit();
            }
        }
        worker.commit();
    }
}

struct Worker {
    partition: Partition,
    outbox: Outbox,
    live: Live,
    now: UnixMillis,
}

impl Worker {
    /// After the hello of each meter.
    fn knowing(meters: &[MeterId]) -> Self {
        let now = UnixMillis(BEGIN_MS);
        let mut rebuild = Rebuild::new(Limits::default());
        for (number, meter) in meters.iter().enumerate() {
            rebuild.row(Row::Through { meter: meter.clone(), stream: plan::stream(number), through: 1, time: now });
        }
        Self { partition: rebuild.finish(), outbox: Outbox::default(), live: Live::new(LIVE_INTERVAL_MS), now }
    }

    fn commit(&mut self) {
        let newest = self.outbox.fill(self.partition.batch(), &self.live, self.now).unwrap();
        black_box(&self.outbox);
        black_box(self.partition.committed());
        newest.into_readings().for_each(|reading| self.live.offer(reading));
        self.now = self.now.saturating_add(COMMIT_MS);
        black_box(self.live.take_due(self.now));
    }
}
