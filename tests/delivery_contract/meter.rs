//! One meter: the real outbox, its journal, and a shell that crashes.

use std::collections::HashMap;

use edge_core::journal::{Journal, MemoryJournal, OpenStream, Waiting};
use edge_core::outbox::{Config, Outbox, Transmit};
use edge_core::{Counters, Now, Wall};
use measure::{ClockQuality, Event, EventKind, Flags, GapReason, Reading, Record, Register, RowKind, Seq, StreamId, UnixMillis, WattHours};
use wire::ack::Ack;
use wire::frame;

use crate::dice::Dice;
use crate::world::Bug;

/// UTC at the start of the simulation.
const EPOCH: i64 = 1_800_000_000_000;
/// Rows that the journal takes; outages fill it.
const CAPACITY: usize = 40;

pub struct Meter {
    outbox: Outbox,
    pub journal: MemoryJournal,
    bug: Option<Bug>,
    knows_utc: bool,
    connected: bool,
    /// The planted bug: each stale acknowledgement is passed off as one of a newer incarnation.
    made_up_incarnations: u64,
    /// Ids of rows in the open transaction.
    open: Vec<i64>,
    /// Frames in the open transaction.
    frames: Vec<Transmit>,
    /// Ids of rows that the journal took.
    pub taken: Vec<i64>,
    /// Rows that a failed commit lost.
    pub failed: u64,
    next_id: i64,
    /// What each number stood for when it was first published.
    pub given: HashMap<(StreamId, Seq), Record>,
    /// What the outboxes of all starts counted.
    counters: Vec<Counters>,
    /// Two records under one number.
    pub ambiguous: Option<(StreamId, Seq)>,
}

impl Meter {
    pub fn new(dice: &mut Dice, ms: u64, bug: Option<Bug>) -> Self {
        let mut journal = MemoryJournal::new(CAPACITY);
        let knows_utc = !dice.per_mille(300);
        let outbox = Outbox::start(config(), dice.bytes(), now(ms, knows_utc), &mut journal).unwrap();
        journal.commit();
        Self {
            outbox,
            journal,
            bug,
            knows_utc,
            connected: false,
            made_up_incarnations: 0,
            open: Vec::new(),
            frames: Vec::new(),
            taken: Vec::new(),
            failed: 0,
            next_id: 1,
            given: HashMap::new(),
            counters: Vec::new(),
            ambiguous: None,
        }
    }

    /// What is not committed is lost; a new start.
    pub fn crash(&mut self, dice: &mut Dice, ms: u64) {
        self.counters.push(*self.outbox.counters());
        self.journal.roll_back();
        (self.open, self.frames) = (Vec::new(), Vec::new());
        self.knows_utc = !dice.per_mille(300);
        self.connected = false;
        self.outbox = Outbox::start(config(), dice.bytes(), now(ms, self.knows_utc), &mut self.journal).unwrap();
    }

    pub fn learn_utc(&mut self) {
        self.knows_utc = true;
    }

    pub fn connect(&mut self) {
        if !self.connected {
            self.connected = true;
            self.outbox.handle_connected();
        }
    }

    pub fn disconnect(&mut self) {
        self.connected = false;
        self.outbox.handle_disconnected();
    }

    /// Measures something.
    pub fn measure(&mut self, dice: &mut Dice, ms: u64) {
        let stamp = self.outbox.clock().stamp(now(ms, self.knows_utc));
        let id = self.next_id;
        self.next_id += 1;
        let kind = if dice.per_mille(70) { EventKind::Stuck } else { EventKind::Started };
        let record = if dice.per_mille(850) {
            let import = Register { raw: WattHours::from_centiwatthours(id), integrated: WattHours::default() };
            let flags = if dice.per_mille(150) { Flags::SNAPSHOT } else { Flags::empty() };
            Record::Reading(Reading { time: stamp.time, clock: stamp.clock, import, flags, ..Reading::default() })
        } else {
            Record::Event(Event { time: stamp.time, clock: stamp.clock, channel: 0, kind, value: id })
        };
        if self.bug == Some(Bug::DropNumberedWhenFull) && self.journal.len() >= CAPACITY {
            self.drop_oldest_reading();
        }
        self.outbox.push(now(ms, self.knows_utc), &mut self.journal, &record, stamp.unclocked).unwrap();
        self.open.push(id);
    }

    /// The planted bug: a journal that makes room without regard to numbers.
    fn drop_oldest_reading(&mut self) {
        let numbered = self.journal.rows().find(|row| row.place.is_some() && row.kind() == RowKind::Reading).map(|row| row.id);
        if let Some(id) = numbered {
            self.journal.discard_numbered(id).unwrap();
        }
    }

    pub fn handle_ack(&mut self, ms: u64, ack: &Ack) {
        let stale = |open: &OpenStream| open.stream == ack.stream && ack.through < open.deleted;
        if self.bug == Some(Bug::GiveUpOnStaleAck) && self.journal.streams().unwrap().iter().any(stale) {
            self.made_up_incarnations += 1;
        }
        let ack = Ack { incarnation: ack.incarnation + self.made_up_incarnations, ..*ack };
        self.outbox.handle_ack(now(ms, self.knows_utc), &mut self.journal, &ack).unwrap();
    }

    pub fn handle_timeout(&mut self, ms: u64) {
        self.outbox.handle_timeout(now(ms, self.knows_utc));
    }

    pub fn poll_timeout(&self) -> Option<u64> {
        self.outbox.poll_timeout()
    }

    /// Polls for frames; they belong to the open transaction.
    pub fn poll(&mut self, ms: u64, limit: usize) {
        for _ in 0..limit {
            let Some(frame) = self.outbox.poll_transmit(now(ms, self.knows_utc), &mut self.journal).unwrap() else { return };
            self.frames.push(frame);
        }
    }

    /// Commits; the frames that may leave now.
    pub fn commit(&mut self) -> Vec<Vec<u8>> {
        self.journal.commit();
        self.outbox.handle_committed();
        self.taken.append(&mut self.open);
        self.publish()
    }

    /// The frames as they leave.
    pub fn publish(&mut self) -> Vec<Vec<u8>> {
        let frames = std::mem::take(&mut self.frames);
        for frame in &frames {
            let (header, body) = frame::decode(&frame.bytes).expect("the meter's own frame");
            for (seq, record) in (header.first_seq..).zip(body) {
                let record = record.expect("the meter's own record");
                if *self.given.entry((header.stream, seq)).or_insert_with(|| record.clone()) != record {
                    self.ambiguous = Some((header.stream, seq));
                }
            }
        }
        frames.into_iter().map(|frame| frame.bytes).collect()
    }

    /// The commit fails: nothing may leave.
    pub fn fail(&mut self) {
        self.journal.roll_back();
        self.failed += self.open.len() as u64;
        (self.open, self.frames) = (Vec::new(), Vec::new());
        self.outbox.handle_commit_failed(&mut self.journal, GapReason::JournalDamaged).unwrap();
    }

    /// Sums up one counter over all starts.
    pub fn count(&self, counter: impl Fn(&Counters) -> u64) -> u64 {
        self.counters.iter().chain([self.outbox.counters()]).map(counter).sum()
    }

    pub fn is_drained(&self) -> bool {
        let waiting = |kind| !self.journal.waiting(Waiting::Kind(kind), 1).unwrap().is_empty();
        let empty = ![RowKind::Reading, RowKind::Snapshot, RowKind::Event, RowKind::Urgent].into_iter().any(waiting);
        assert_eq!(self.journal.is_empty(), self.outbox.is_drained(&self.journal).unwrap(), "the outbox knows whether it is drained");
        empty && self.journal.is_empty()
    }
}

/// The name by which a measured record is counted.
pub fn id_of(record: &Record) -> Option<i64> {
    match record {
        Record::Reading(reading) => Some(reading.import.raw.centiwatthours()),
        Record::Event(event) => Some(event.value),
        Record::Hello(_) | Record::Gap(_) | Record::Outcome(_) => None,
    }
}

/// Small windows and short lives, so that every limit is reached.
fn config() -> Config {
    Config { window: 4, window_backlog: 1, live_ms: 3_000, ..Config::default() }
}

fn now(ms: u64, knows_utc: bool) -> Now {
    let time = UnixMillis(EPOCH + ms as i64);
    Now { monotonic_ms: ms, wall: knows_utc.then_some(Wall { time, quality: ClockQuality::Synchronised }) }
}
