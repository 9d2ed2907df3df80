//! The SQLite journal against the contract: it does what the journal in memory does, and keeps what was committed through crashes.
#![expect(clippy::expect_used, clippy::arithmetic_side_effects, reason = "a test may panic")]

mod damage;

use std::path::{Path, PathBuf};

use edge_agent::journal_sqlite::{OpenError, Store};
use edge_core::journal::{Append, Head, Journal, MemoryJournal, OpenStream, Place, Room, Row, RowId, Waiting};
use measure::{ClockQuality, Event, EventKind, Flags, Gap, GapReason, Hello, MeterId, Reading, Record, RowKind, StreamId, UnixMillis};
use proptest::prelude::*;

const LIMIT: u64 = 1 << 20;
const EVERYTHING: Waiting = Waiting::Ordinary { from: RowId(0), to: RowId(u64::MAX) };

fn meters() -> Vec<MeterId> {
    ["M1", "M2"].map(|id| id.parse().expect("an id")).to_vec()
}

fn open(path: &Path) -> Store {
    Store::open(path, &meters(), LIMIT, None).expect("opens").0
}

fn reading(time: i64) -> Record {
    Record::Reading(Reading { time: UnixMillis(time), ..Reading::default() })
}

fn record(kind: u8, time: i64) -> Record {
    let time = UnixMillis(time);
    let clock = ClockQuality::Synchronised;
    match kind {
        0 => reading(time.0),
        1 => Record::Reading(Reading { time, flags: Flags::SNAPSHOT, ..Reading::default() }),
        2 => Record::Gap(Gap { from: time, to: time, count: 3, reason: GapReason::JournalFull }),
        3 => Record::Event(Event { time, clock, channel: 0, kind: EventKind::DeviceSilent, value: -7 }),
        _ => Record::Hello(Hello {
            time,
            clock,
            device: "x".parse().expect("short"),
            software: "1".parse().expect("short"),
            configuration: 5,
            starts: 2,
        }),
    }
}

/// Everything a journal shows.
#[derive(Debug, PartialEq, Eq)]
struct Dump {
    head: Head,
    ordinary: Vec<Row>,
    kinds: Vec<Vec<Row>>,
    streams: Vec<OpenStream>,
    numbered: Vec<Vec<Row>>,
    clocks: Vec<Option<i64>>,
}

fn dump<J: Journal>(journal: &J) -> Dump {
    let streams = journal.streams().expect("reads");
    let kinds = [RowKind::Reading, RowKind::Snapshot, RowKind::Event, RowKind::Urgent];
    Dump {
        head: journal.head().expect("reads"),
        ordinary: journal.waiting(EVERYTHING, usize::MAX).expect("reads"),
        kinds: kinds.map(|kind| journal.waiting(Waiting::Kind(kind), usize::MAX).expect("reads")).into(),
        numbered: streams.iter().map(|open| journal.numbered(open.stream, 0, usize::MAX).expect("reads")).collect(),
        streams,
        clocks: (0..5).map(|start| journal.clock(start).expect("reads")).collect(),
    }
}

fn dump_store(store: &Store, meter: usize) -> Dump {
    dump(&store.meter(meter).expect("there"))
}

#[derive(Clone, Debug)]
enum Op {
    Append(u8, Option<u64>),
    Number(usize),
    Open,
    DeleteThrough(usize, u64),
    Close(usize),
    Discard(usize),
    Replace(usize, Option<u64>),
    Unnumber(usize),
    DiscardNumbered(usize),
    Head(u64),
    Clock(u64, i64),
    Commit,
    RollBack,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0u8..5, prop::option::weighted(0.2, 0u64..4)).prop_map(|(kind, unclocked)| Op::Append(kind, unclocked)),
        4 => any::<usize>().prop_map(Op::Number),
        2 => Just(Op::Open),
        2 => (any::<usize>(), 0u64..4).prop_map(|(stream, by)| Op::DeleteThrough(stream, by)),
        1 => any::<usize>().prop_map(Op::Close),
        1 => any::<usize>().prop_map(Op::Discard),
        1 => (any::<usize>(), prop::option::of(0u64..4)).prop_map(|(row, unclocked)| Op::Replace(row, unclocked)),
        1 => any::<usize>().prop_map(Op::Unnumber),
        1 => any::<usize>().prop_map(Op::DiscardNumbered),
        1 => (0u64..1 << 40).prop_map(Op::Head),
        1 => (0u64..5, any::<i64>()).prop_map(|(start, offset)| Op::Clock(start, offset)),
        2 => Just(Op::Commit),
        1 => Just(Op::RollBack),
    ]
}

fn pick<T: Clone>(of: &[T], which: usize) -> Option<T> {
    of.get(which.checked_rem(of.len())?).cloned()
}

/// Applies an operation as the contract allows it; `time` makes each record its own.
fn apply<J: Journal>(journal: &mut J, op: &Op, time: i64) {
    let waiting = |journal: &J| journal.waiting(EVERYTHING, usize::MAX).expect("reads");
    let streams = journal.streams().expect("reads");
    match *op {
        Op::Append(kind, unclocked) => assert!(matches!(journal.append(&record(kind, time), unclocked, Room::Normal), Ok(Append::Row(_)))),
        Op::Number(row) => {
            if let (Some(row), Some(open)) = (pick(&waiting(journal), row), streams.last().filter(|open| open.given < u64::MAX)) {
                journal.number(row.id, Place { stream: open.stream, seq: open.given + 1 }).expect("writes");
            }
        }
        // Streams beyond the range of SQLite's integers, too.
        Op::Open => journal.open_stream(StreamId(u64::MAX - time.unsigned_abs())).expect("writes"),
        Op::DeleteThrough(stream, by) => {
            if let Some(open) = pick(&streams, stream) {
                journal.delete_through(open.stream, (open.deleted + by).min(open.given)).expect("writes");
            }
        }
        Op::Close(stream) => {
            if let Some(open) = pick(&streams, stream).filter(|open| journal.numbered(open.stream, 0, 1).expect("reads").is_empty()) {
                journal.close_stream(open.stream).expect("writes");
            }
        }
        Op::Discard(row) => {
            if let Some(row) = pick(&waiting(journal), row) {
                journal.discard(row.id).expect("writes");
            }
        }
        Op::Replace(row, unclocked) => {
            if let Some(row) = pick(&waiting(journal), row).filter(|row| row.kind() == RowKind::Reading) {
                journal.replace(row.id, &reading(-time), unclocked).expect("writes");
            }
        }
        Op::Unnumber(stream) => {
            if let Some(row) = pick(&streams, stream).and_then(|open| journal.numbered(open.stream, 0, 1).expect("reads").pop()) {
                journal.unnumber(row.id).expect("writes");
            }
        }
        Op::DiscardNumbered(stream) => {
            if let Some(row) = pick(&streams, stream).and_then(|open| journal.numbered(open.stream, 0, 1).expect("reads").pop()) {
                journal.discard_numbered(row.id).expect("writes");
            }
        }
        Op::Head(starts) => {
            let gap = waiting(journal).first().map(|row| row.id);
            journal.set_head(&Head { starts, incarnation: starts / 2, gap }).expect("writes");
        }
        Op::Clock(start, offset) => journal.set_clock(start, offset).expect("writes"),
        Op::Commit | Op::RollBack => {}
    }
}

/// What a kill at this instant leaves: the files as they are, opened elsewhere.
fn killed(path: &Path, into: &Path) -> PathBuf {
    let copy = into.join(format!("killed-{}", into.read_dir().expect("lists").count()));
    for suffix in ["", "-wal"] {
        let from = PathBuf::from(format!("{}{suffix}", path.display()));
        if from.exists() {
            std::fs::copy(from, format!("{}{suffix}", copy.display())).expect("copies");
        }
    }
    copy
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_the_journal_in_memory_does(ops in prop::collection::vec((op(), 0usize..2), 1..80)) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        let store = open(&path);
        let mut models = [MemoryJournal::new(10_000), MemoryJournal::new(10_000)];
        store.begin().expect("begins");
        for (time, (op, meter)) in ops.iter().enumerate() {
            let time = i64::try_from(time).expect("small");
            apply(&mut models[*meter], op, time);
            apply(&mut store.meter(*meter).expect("there"), op, time);
            match op {
                Op::Commit => {
                    store.commit().expect("commits");
                    models.iter_mut().for_each(MemoryJournal::commit);
                    store.begin().expect("begins");
                }
                Op::RollBack => {
                    store.roll_back();
                    models.iter_mut().for_each(MemoryJournal::roll_back);
                    store.begin().expect("begins");
                }
                _ => {}
            }
            for (meter, model) in models.iter().enumerate() {
                prop_assert_eq!(dump_store(&store, meter), dump(model));
            }
        }
        let killed = open(&killed(&path, folder.path()));
        for (meter, model) in models.iter_mut().enumerate() {
            model.roll_back();
            prop_assert_eq!(dump_store(&killed, meter), dump(model));
        }
        prop_assert_eq!(killed.rows(), models.iter().map(|model| model.len() as u64).sum::<u64>());
    }
}

fn append(store: &Store, meter: usize, record: &Record) -> Append {
    store.meter(meter).expect("there").append(record, None, Room::Normal).expect("writes")
}

/// Appends so many readings in a committed transaction of each, and returns the file's state after each.
fn committed_states(store: &Store, rows: i64) -> Vec<Dump> {
    (0..rows)
        .map(|time| {
            store.begin().expect("begins");
            assert!(matches!(append(store, 0, &reading(time)), Append::Row(_)));
            store.commit().expect("commits");
            dump_store(store, 0)
        })
        .collect()
}

#[test]
fn a_write_ahead_log_cut_anywhere_leaves_a_committed_state() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    let store = open(&path);
    let before = dump_store(&store, 0);
    let states = committed_states(&store, 6);
    let log = std::fs::read(folder.path().join("journal-wal")).expect("a log");
    let (mut latest, mut seen) = (0, 0);
    for cut in (0..=log.len()).step_by(509) {
        let copy = killed(&path, folder.path());
        std::fs::write(format!("{}-wal", copy.display()), &log[..cut]).expect("writes");
        let state = dump_store(&open(&copy), 0);
        let reached = if state == before { 0 } else { 1 + states.iter().position(|known| *known == state).expect("a committed state") };
        assert!(reached >= latest, "a longer log holds no less");
        seen += usize::from(reached > latest);
        latest = reached;
        std::fs::remove_file(&copy).expect("removes");
    }
    assert!(seen >= 5, "the cuts fell between commits: {seen}");
}

#[test]
fn what_is_not_committed_is_not_accepted() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder.path().join("journal"));
    store.begin().expect("begins");
    let _ = append(&store, 0, &reading(1));
    store.roll_back();
    store.begin().expect("begins");
    let _ = append(&store, 1, &reading(2));
    let accepted = store.commit().expect("commits");
    assert_eq!(accepted.iter().map(|row| (row.meter.as_str(), row.record.clone())).collect::<Vec<_>>(), [("M2", reading(2))]);
    assert_eq!(store.rows(), 1);
}

#[test]
fn a_full_journal_says_so_and_takes_again_what_was_discarded() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    let store = Store::open(&path, &meters(), 64 * 1024, None).expect("opens").0;
    store.begin().expect("begins");
    let mut rows = 0;
    let first = loop {
        match append(&store, 0, &reading(rows)) {
            Append::Row(_) => rows += 1,
            Append::Full => break store.meter(0).expect("there").waiting(EVERYTHING, 1).expect("reads")[0].id,
        }
    };
    assert!(rows > 100, "{rows} rows of 32 KiB");
    assert!(matches!(append(&store, 1, &reading(0)), Append::Row(_)), "the other meter has its own room");
    let mut journal = store.meter(0).expect("there");
    for _ in 0..192 {
        assert!(matches!(journal.append(&record(2, 0), None, Room::Reserved), Ok(Append::Row(_))));
    }
    journal.discard(first).expect("discards");
    store.commit().expect("commits within the file's own bound");
    assert_eq!(store.rows(), u64::try_from(rows).expect("few") + 192);
    let size = std::fs::metadata(&path).expect("there").len() + std::fs::metadata(folder.path().join("journal-wal")).expect("there").len();
    assert!(size < 4 << 20, "{size} bytes");
}

#[test]
fn what_cannot_be_opened_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    let first = open(&path);
    let second = Store::open(&path, &meters(), LIMIT, None);
    assert!(matches!(second, Err(OpenError::InUse(_))), "{second:?}");
    drop(first);
    rusqlite::Connection::open(&path).expect("opens").pragma_update(None, "user_version", 99).expect("writes");
    let newer = Store::open(&path, &meters(), LIMIT, None);
    assert!(matches!(newer, Err(OpenError::Format { found: 99, .. })), "{newer:?}");
    let nowhere = Store::open(&folder.path().join("none/journal"), &meters(), LIMIT, None);
    assert!(matches!(nowhere, Err(OpenError::Open { .. })), "{nowhere:?}");
    let small = Store::open(&path, &meters(), 100, None).expect_err("too small");
    assert_eq!(small.to_string(), "journal limit of 100 bytes is too small for 2 meters: give it 32768 bytes at least");
}

#[test]
fn ids_are_not_used_again_by_a_later_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    let mut store = open(&path);
    store.begin().expect("begins");
    let Append::Row(id) = append(&store, 0, &reading(1)) else { panic!("full") };
    store.meter(0).expect("there").discard(id).expect("discards");
    store.commit().expect("commits");
    assert_eq!(store.reopen(None).expect("reopens"), []);
    store.begin().expect("begins");
    let Append::Row(next) = append(&store, 0, &reading(2)) else { panic!("full") };
    assert!(next > id);
}
