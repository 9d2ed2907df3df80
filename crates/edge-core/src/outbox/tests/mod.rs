//! One test per rule of the meter's side of the delivery contract.

mod ack;
mod loss;
mod order;

use alloc::vec::Vec;

use measure::{ClockQuality, Event, EventKind, Flags, Gap, GapReason, Reading, Record, RowKind, Seq, StreamId, UnixMillis};
use wire::ack::Ack;
use wire::frame;

use super::{Config, Outbox, Transmit};
use crate::clock::{Now, Wall};
use crate::counters::Counters;
use crate::journal::{Journal, MemoryJournal, OpenStream};

const NOON: i64 = 1_700_000_000_000;

/// An outbox, its journal and its clock; a shell in miniature.
struct Meter {
    outbox: Outbox,
    journal: MemoryJournal,
    ms: u64,
    utc: bool,
    starts: u8,
}

impl Meter {
    fn with_capacity(rows: usize) -> Self {
        Self::on(MemoryJournal::new(rows), true)
    }

    fn new() -> Self {
        Self::with_capacity(100_000)
    }

    /// A first start that is connected.
    fn on(mut journal: MemoryJournal, utc: bool) -> Self {
        let now = now(1_000, utc);
        let mut outbox = Outbox::start(Config::default(), [1; 32], now, &mut journal).unwrap();
        journal.commit();
        outbox.handle_connected();
        Self { outbox, journal, ms: 1_000, utc, starts: 1 }
    }

    fn now(&self) -> Now {
        now(self.ms, self.utc)
    }

    /// Loses what is not committed and starts again.
    fn restart(&mut self) {
        self.journal.roll_back();
        self.starts += 1;
        self.outbox = Outbox::start(Config::default(), [self.starts; 32], self.now(), &mut self.journal).unwrap();
        self.commit();
        self.outbox.handle_connected();
    }

    fn commit(&mut self) {
        self.journal.commit();
        self.outbox.handle_committed();
    }

    fn push(&mut self, record: &Record) {
        let stamp = self.outbox.clock().stamp(self.now());
        let mut record = record.clone();
        match &mut record {
            Record::Reading(reading) => reading.time = stamp.time,
            Record::Event(event) => event.time = stamp.time,
            Record::Gap(_) | Record::Hello(_) | Record::Outcome(_) => {}
        }
        self.outbox.push(self.now(), &mut self.journal, &record, stamp.unclocked).unwrap();
    }

    fn push_readings(&mut self, count: usize) {
        (0..count).for_each(|_| self.push(&reading()));
        self.commit();
    }

    fn poll(&mut self) -> Option<Transmit> {
        let transmit = self.outbox.poll_transmit(self.now(), &mut self.journal).unwrap();
        self.commit();
        transmit
    }

    fn poll_all(&mut self) -> Vec<Transmit> {
        core::iter::from_fn(|| self.poll()).collect()
    }

    fn ack(&mut self, stream: StreamId, through: Seq, incarnation: u64) {
        self.outbox.handle_ack(self.now(), &mut self.journal, &Ack { stream, through, incarnation }).unwrap();
        self.commit();
    }

    /// Acknowledges everything until nothing more comes.
    fn drain(&mut self) -> Vec<Record> {
        let mut all = Vec::new();
        while let Some(transmit) = self.poll() {
            self.ack(transmit.stream, transmit.last(), 1);
            all.extend(records(&transmit));
        }
        all
    }

    fn counters(&self) -> &Counters {
        self.outbox.counters()
    }
}

impl Transmit {
    fn last(&self) -> Seq {
        self.first_seq + self.records as u64 - 1
    }
}

fn now(ms: u64, utc: bool) -> Now {
    let time = UnixMillis(NOON + ms as i64);
    Now { monotonic_ms: ms, wall: utc.then_some(Wall { time, quality: ClockQuality::Synchronised }) }
}

fn reading() -> Record {
    Record::Reading(Reading::default())
}

fn snapshot() -> Record {
    Record::Reading(Reading { flags: Flags::SNAPSHOT, ..Reading::default() })
}

fn event(kind: EventKind) -> Record {
    Record::Event(Event { time: UnixMillis(0), clock: ClockQuality::Synchronised, channel: 0, kind, value: 0 })
}

fn records(transmit: &Transmit) -> Vec<Record> {
    let (header, body) = frame::decode(&transmit.bytes).unwrap();
    assert_eq!((header.stream, header.first_seq, usize::from(header.count)), (transmit.stream, transmit.first_seq, transmit.records));
    body.collect::<Result<_, _>>().unwrap()
}

fn kinds(transmit: &Transmit) -> Vec<RowKind> {
    records(transmit).iter().map(Record::kind).collect()
}

fn gaps(records: &[Record]) -> Vec<Gap> {
    records.iter().filter_map(|record| if let Record::Gap(gap) = record { Some(*gap) } else { None }).collect()
}
