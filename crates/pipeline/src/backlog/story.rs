//! What meters say that come back with a backlog: a function of the meter, the part and the record's place in it.
//!
//! Numbers are given when a frame leaves, as the contract wants it, so the order of the parts is the run's and is noted ([`Order`]).

use std::sync::Arc;

use measure::{ClockQuality, Hello, Reading, Record, Seq, Text, UnixMillis};
use serde::{Deserialize, Serialize};
use wire::frame::{FIRST_SEQ_OFFSET, FrameBuilder, MAGIC, RECORDS_MAX, VERSION};

use crate::audit::Sent;
use crate::plan::{PATTERN, stream};

/// Different backlogs; meters take turns. Their readings are so far apart in Kafka that compression does not know them again.
const VARIANTS: usize = 50;
const CRC32C: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);

/// The load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backlog {
    /// How many meters come back.
    pub meters: usize,
    /// Readings that each brings: one a second until it came back.
    pub records: usize,
    /// Readings a second that all meters together send live, before and meanwhile, each in a frame of its own.
    pub live_per_s: f64,
    /// Live data alone, in s, before they come back.
    pub warm_up_s: f64,
}

impl Backlog {
    /// Why it is none that could be measured, if so.
    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!((1..=50_000).contains(&self.meters), "{} meters: 1 to 50,000 are possible", self.meters);
        anyhow::ensure!((1..=1_000_000).contains(&self.records), "a backlog of {} records: 1 to 1,000,000 are possible", self.records);
        Ok(())
    }

    /// Frames of each meter's backlog.
    pub const fn frames(&self) -> usize {
        self.records.div_ceil(RECORDS_MAX)
    }

    /// Readings of a frame.
    pub const fn records_of(&self, part: Part) -> usize {
        match part {
            Part::Hello | Part::Live(_) => 1,
            Part::Backlog(frame) if (frame + 1) * RECORDS_MAX <= self.records => RECORDS_MAX,
            Part::Backlog(frame) => self.records - frame * RECORDS_MAX,
        }
    }
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The hello, number 1.
    Hello,
    /// The reading that is due as the meter's so-manieth, from 0.
    Live(usize),
    /// The so-manieth frame of the backlog, from 0.
    Backlog(usize),
}

/// The load with the instant of its start.
pub struct Story {
    /// The load.
    pub backlog: Backlog,
    /// When the first live reading is due, µs since 1970.
    pub start_us: i64,
}

impl Story {
    /// When a meter's live reading is due, µs since 1970. Meters take turns.
    pub fn due_us(&self, meter: usize, reading: usize) -> i64 {
        let all = reading * self.backlog.meters + meter;
        self.start_us + (all as f64 / self.backlog.live_per_s * 1e6) as i64
    }

    /// When the meters come back.
    pub fn begin_us(&self) -> i64 {
        self.start_us + (self.backlog.warm_up_s * 1e6) as i64
    }

    /// A record of a meter: the `at`-th of a part.
    pub fn record(&self, meter: usize, part: Part, at: usize) -> Record {
        match part {
            Part::Hello => Record::Hello(hello(UnixMillis(self.start_us / 1_000))),
            Part::Live(reading) => reading_at(meter * 131 + reading, self.due_us(meter, reading) / 1_000),
            Part::Backlog(frame) => self.old(meter % VARIANTS, frame * RECORDS_MAX + at),
        }
    }

    fn old(&self, variant: usize, at: usize) -> Record {
        reading_at(variant * 37 + at, self.start_us / 1_000 - 1_000 * (self.backlog.records - at) as i64)
    }

    /// The bodies of all backlog frames, cut beforehand: only header and checksum know the number.
    pub fn bodies(&self) -> Vec<Vec<Arc<[u8]>>> {
        let body = |variant: usize, frame: usize| {
            let part = Part::Backlog(frame);
            body(&mut (0..self.backlog.records_of(part)).map(|at| self.record(variant, part, at)))
        };
        let variants = 0..VARIANTS.min(self.backlog.meters);
        variants.map(|variant| (0..self.backlog.frames()).map(|frame| body(variant, frame)).collect()).collect()
    }

    /// The bytes of a meter's frame; `bodies` are [`Story::bodies`].
    pub fn frame(&self, bodies: &[Vec<Arc<[u8]>>], meter: usize, part: Part, first_seq: Seq) -> Vec<u8> {
        let count = self.backlog.records_of(part) as u8;
        let body = match part {
            Part::Backlog(frame) => Arc::clone(&bodies[meter % VARIANTS][frame]),
            one => body(&mut [self.record(meter, one, 0)].into_iter()),
        };
        let mut varint = [0; 10];
        let varint = postcard::to_slice(&first_seq, &mut varint).expect("ten bytes hold any number");
        let mut bytes = [&[MAGIC, VERSION][..], &stream(meter).0.to_le_bytes(), varint, &[count], &body].concat();
        bytes.extend(CRC32C.checksum(&bytes).to_le_bytes());
        bytes
    }
}

/// A frame's body depends on its records only.
fn body(records: &mut dyn Iterator<Item = Record>) -> Arc<[u8]> {
    let mut builder = FrameBuilder::new(stream(0), 1);
    records.for_each(|record| builder.push(&record).expect("64 readings fit a frame"));
    let bytes = builder.finish();
    Arc::from(&bytes[FIRST_SEQ_OFFSET + 2..bytes.len() - 4])
}

fn reading_at(number: usize, time_ms: i64) -> Record {
    Record::Reading(Reading { time: UnixMillis(time_ms), ..PATTERN[number % PATTERN.len()] })
}

fn hello(time: UnixMillis) -> Hello {
    let text = |text: &str| Text::try_from(text).unwrap_or_default();
    Hello { time, clock: ClockQuality::Synchronised, device: text("simulated"), software: text("pipeline"), configuration: 7, starts: 1 }
}

/// In which order a meter numbered its parts: `h`, `l`, `b`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order(String);

impl Order {
    /// Notes the next.
    pub fn push(&mut self, part: Part) {
        self.0.push(match part {
            Part::Hello => 'h',
            Part::Live(_) => 'l',
            Part::Backlog(_) => 'b',
        });
    }

    /// The parts with the number of each one's first record, and the last number of all.
    fn parts(&self, backlog: &Backlog) -> (Vec<(Seq, Part)>, Seq) {
        let (mut live, mut old, mut last) = (0.., 0.., 0);
        let part = |letter| match letter {
            'l' => live.next().map(Part::Live),
            'b' => old.next().map(Part::Backlog),
            _ => Some(Part::Hello),
        };
        let numbered = self.0.chars().filter_map(part).map(|part| {
            let first = last + 1;
            last += backlog.records_of(part) as Seq;
            (first, part)
        });
        (numbered.collect(), last)
    }
}

/// A run as it went: what each number of each meter is.
pub struct Told {
    story: Story,
    meters: Vec<(Vec<(Seq, Part)>, Seq)>,
}

impl Told {
    /// By meter, in which order it numbered.
    pub fn new(story: Story, orders: &[Order]) -> Self {
        let meters = orders.iter().map(|order| order.parts(&story.backlog)).collect();
        Self { story, meters }
    }
}

impl Sent for Told {
    fn meters(&self) -> usize {
        self.meters.len()
    }

    fn last_seq(&self, meter: usize) -> Seq {
        self.meters[meter].1
    }

    fn record(&self, meter: usize, seq: Seq) -> Record {
        let parts = &self.meters[meter].0;
        let (first, part) = parts[parts.partition_point(|(first, _)| *first <= seq) - 1];
        self.story.record(meter, part, (seq - first) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_decode_to_the_records_of_their_numbers_in_whatever_order_they_left() {
        let backlog = Backlog { meters: 60, records: 150, live_per_s: 60.0, warm_up_s: 1.0 };
        let story = || Story { backlog: backlog.clone(), start_us: 1_800_000_000_000_000 };
        let bodies = story().bodies();
        let parts = [Part::Hello, Part::Live(0), Part::Backlog(0), Part::Backlog(1), Part::Live(1), Part::Live(2), Part::Backlog(2)];
        for meter in [0, 59] {
            let (mut order, mut next, mut decoded) = (Order::default(), 1, Vec::new());
            for part in parts {
                order.push(part);
                let bytes = story().frame(&bodies, meter, part, next);
                let (header, body) = wire::frame::decode(&bytes).unwrap();
                assert_eq!((header.stream, header.first_seq), (stream(meter), next));
                decoded.extend(body.map(Result::unwrap));
                next = header.last_seq() + 1;
            }
            let told = Told::new(story(), &vec![order; 60]);
            assert_eq!((told.last_seq(meter), decoded.len()), (154, 154));
            for (seq, record) in (1..).zip(&decoded) {
                assert_eq!(told.record(meter, seq), *record, "number {seq}");
            }
        }
    }

    #[test]
    fn the_backlog_is_older_than_what_is_live_and_each_reading_later_than_the_one_before() {
        let backlog = Backlog { meters: 1, records: 100, live_per_s: 1.0, warm_up_s: 1.0 };
        let story = Story { backlog, start_us: 1_800_000_000_000_000 };
        let old = [(0, 0), (0, 63), (1, 0), (1, 35)].map(|(frame, at)| story.record(0, Part::Backlog(frame), at).time());
        assert!(old.is_sorted_by(|one, other| one < other) && old[3] < story.record(0, Part::Live(0), 0).time());
    }
}
