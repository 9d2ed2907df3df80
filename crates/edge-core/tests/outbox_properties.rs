//! The meter's side alone, against a shell and a head-end that do anything: what it publishes and what it deletes.

#![expect(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "tests count small numbers, and panic where they are wrong")]

use std::collections::{BTreeMap, HashMap};

use edge_core::journal::{Journal, MemoryJournal, Row, RowId};
use edge_core::outbox::{Config, Outbox, Transmit};
use edge_core::{Now, Wall};
use measure::{ClockQuality, Event, EventKind, Flags, Gap, GapReason, Reading, Record, Seq, StreamId, UnixMillis};
use proptest::prelude::*;
use wire::ack::Ack;
use wire::frame;

#[derive(Clone, Debug)]
enum Op {
    Push(u8),
    Poll,
    Commit,
    FailCommit,
    Crash,
    Connect,
    Disconnect,
    Advance(u64),
    LearnUtc,
    /// Of the n-th stream ever seen: its highest number published so much less or more; incarnation so much newer.
    Ack(usize, i64, u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..4u8).prop_map(Op::Push),
        8 => Just(Op::Poll),
        6 => Just(Op::Commit),
        1 => Just(Op::FailCommit),
        1 => Just(Op::Crash),
        2 => Just(Op::Connect),
        1 => Just(Op::Disconnect),
        2 => (0..5_000u64).prop_map(Op::Advance),
        1 => Just(Op::LearnUtc),
        6 => (0..4usize, -4..3i64, prop_oneof![30 => Just(0), 1 => Just(1)]).prop_map(|(stream, more, newer)| Op::Ack(stream, more, newer)),
    ]
}

/// A shell, and what it saw leave.
struct Shell {
    outbox: Outbox,
    journal: MemoryJournal,
    ms: u64,
    utc: bool,
    starts: u8,
    incarnation: u64,
    unpublished: Vec<Transmit>,
    published: HashMap<(StreamId, Seq), Record>,
    highest: BTreeMap<usize, (StreamId, Seq)>,
}

impl Shell {
    fn new() -> Self {
        let mut journal = MemoryJournal::new(12);
        let outbox = start(1, 0, false, &mut journal);
        Self {
            outbox,
            journal,
            ms: 0,
            utc: false,
            starts: 1,
            incarnation: 1,
            unpublished: Vec::new(),
            published: HashMap::new(),
            highest: BTreeMap::new(),
        }
    }

    fn apply(&mut self, op: &Op) {
        let now = now(self.ms, self.utc);
        match op {
            Op::Push(kind) => {
                let stamp = self.outbox.clock().stamp(now);
                self.outbox.push(now, &mut self.journal, &record(*kind, stamp.time), stamp.unclocked).unwrap();
            }
            Op::Poll => self.unpublished.extend(self.outbox.poll_transmit(now, &mut self.journal).unwrap()),
            Op::Commit => {
                self.journal.commit();
                self.outbox.handle_committed();
                std::mem::take(&mut self.unpublished).iter().for_each(|transmit| self.publish(transmit));
            }
            Op::FailCommit => {
                self.journal.roll_back();
                self.unpublished.clear();
                self.outbox.handle_commit_failed(&mut self.journal, GapReason::JournalDamaged).unwrap();
            }
            Op::Crash => {
                self.journal.roll_back();
                self.unpublished.clear();
                self.starts += 1;
                self.outbox = start(self.starts, self.ms, self.utc, &mut self.journal);
            }
            Op::Connect => self.outbox.handle_connected(),
            Op::Disconnect => self.outbox.handle_disconnected(),
            Op::Advance(ms) => {
                self.ms += ms;
                self.outbox.handle_timeout(Now { monotonic_ms: self.ms, ..now });
            }
            Op::LearnUtc => self.utc = true,
            Op::Ack(..) => {
                if let Some(ack) = self.ack(op) {
                    self.outbox.handle_ack(now, &mut self.journal, &ack).unwrap();
                }
            }
        }
    }

    fn ack(&mut self, op: &Op) -> Option<Ack> {
        let Op::Ack(stream, more, newer) = op else { return None };
        let (stream, highest) = *self.highest.get(stream)?;
        self.incarnation += newer;
        Some(Ack { stream, through: highest.saturating_add_signed(*more), incarnation: self.incarnation })
    }

    fn publish(&mut self, transmit: &Transmit) {
        let (header, body) = frame::decode(&transmit.bytes).unwrap();
        let at = self.highest.values().position(|(stream, _)| *stream == header.stream).unwrap_or(self.highest.len());
        let (_, highest) = self.highest.entry(at).or_insert((header.stream, 0));
        // A crash between commit and publishing may leave numbers that were never seen, but none is skipped for good.
        *highest = header.last_seq().max(*highest);
        for (seq, record) in (header.first_seq..).zip(body.map(Result::unwrap)) {
            assert_eq!(matches!(record, Record::Hello(_)), seq == 1, "a hello is record 1 and no other");
            assert_ne!(clock(&record), Some((0, ClockQuality::Unknown)), "numbered without a time");
            let first = self.published.entry((header.stream, seq)).or_insert_with(|| record.clone());
            assert_eq!(*first, record, "another record under a number that was given");
        }
    }

    fn rows(&self) -> BTreeMap<RowId, Row> {
        self.journal.rows().map(|row| (row.id, row.clone())).collect()
    }
}

fn start(seed: u8, ms: u64, utc: bool, journal: &mut MemoryJournal) -> Outbox {
    let outbox =
        Outbox::start(Config { window: 3, window_backlog: 1, live_ms: 4_000, ..Config::default() }, [seed; 32], now(ms, utc), journal);
    journal.commit();
    outbox.unwrap()
}

fn now(ms: u64, utc: bool) -> Now {
    let time = UnixMillis(1_800_000_000_000 + ms as i64);
    Now { monotonic_ms: ms, wall: utc.then_some(Wall { time, quality: ClockQuality::Synchronised }) }
}

fn record(kind: u8, time: UnixMillis) -> Record {
    let reading = Reading { time, ..Reading::default() };
    let event = |kind| Record::Event(Event { time, clock: ClockQuality::Synchronised, channel: 0, kind, value: 0 });
    match kind {
        0 => Record::Reading(reading),
        1 => Record::Reading(Reading { flags: Flags::SNAPSHOT, ..reading }),
        2 => event(EventKind::Started),
        _ => event(EventKind::Stuck),
    }
}

fn clock(record: &Record) -> Option<(i64, ClockQuality)> {
    if let Record::Reading(reading) = record { Some((reading.time.0, reading.clock)) } else { None }
}

/// What the gaps of a journal count as dropped.
fn counted(rows: &BTreeMap<RowId, Row>) -> u64 {
    let lost = |row: &Row| match row.record {
        Record::Gap(Gap { reason: GapReason::LedgerRestored, .. }) => 0,
        Record::Gap(gap) => gap.count,
        _ => 0,
    };
    rows.values().map(lost).sum()
}

/// Rows that are no gaps of dropped rows.
fn kept(rows: &BTreeMap<RowId, Row>) -> u64 {
    rows.values()
        .filter(|row| !matches!(row.record, Record::Gap(Gap { reason: GapReason::JournalFull | GapReason::JournalDamaged, .. })))
        .count() as u64
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn numbers_stand_for_one_record_and_rows_go_only_when_acknowledged_or_counted(ops in prop::collection::vec(op(), 1..150)) {
        let mut shell = Shell::new();
        for op in &ops {
            let before = shell.rows();
            shell.apply(op);
            let after = shell.rows();
            let gone: Vec<&Row> = before.values().filter(|row| !after.contains_key(&row.id)).collect();
            match op {
                Op::Push(_) => {
                    prop_assert!(gone.iter().all(|row| row.place.is_none()), "a row with a number was dropped: {gone:?}");
                    let noted = (kept(&after) + counted(&after)).saturating_sub(kept(&before) + counted(&before));
                    let failed = shell.outbox.counters().rows_dropped_failed;
                    prop_assert!((1..=1 + failed).contains(&noted), "one row more, kept or counted, and those of failed commits: {noted}");
                }
                Op::Ack(..) => prop_assert!(gone.iter().all(|row| row.place.is_some())),
                Op::Crash | Op::FailCommit => {}
                _ => prop_assert!(gone.is_empty(), "{op:?} deleted {gone:?}"),
            }
            prop_assert!(shell.journal.streams().unwrap().len() <= 16);
        }
    }

    #[test]
    fn a_head_end_that_acknowledges_drains_whatever_happened(ops in prop::collection::vec(op(), 1..100)) {
        let mut shell = Shell::new();
        ops.iter().for_each(|op| shell.apply(op));
        shell.utc = true;
        shell.outbox.handle_connected();
        for _ in 0..100 {
            while shell.outbox.poll_transmit(now(shell.ms, true), &mut shell.journal).unwrap().is_some() {}
            for open in shell.journal.streams().unwrap() {
                let ack = Ack { stream: open.stream, through: open.given, incarnation: shell.incarnation };
                shell.outbox.handle_ack(now(shell.ms, true), &mut shell.journal, &ack).unwrap();
            }
        }
        prop_assert!(shell.journal.is_empty(), "{:?}", shell.rows());
        prop_assert!(shell.outbox.is_drained(&shell.journal).unwrap());
    }
}
