//! The SQLite journal against the contract: it does what the journal in memory does, and keeps what was committed through crashes.
#![expect(clippy::expect_used, clippy::arithmetic_side_effects, reason = "a test may panic")]

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
fn a_damaged_row_is_a_gap_in_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    let store = open(&path);
    store.begin().expect("begins");
    let stream = StreamId(9);
    let mut journal = store.meter(0).expect("there");
    journal.open_stream(stream).expect("opens");
    for seq in 1..=5 {
        let Ok(Append::Row(id)) = journal.append(&reading(i64::try_from(seq).expect("small") * 1_000), None, Room::Normal) else {
            panic!("full")
        };
        journal.number(id, Place { stream, seq }).expect("numbers");
    }
    store.commit().expect("commits");
    drop(store);
    // The third row's record, changed behind the journal's back: its time is in the frame's first bytes.
    let sqlite = rusqlite::Connection::open(&path).expect("opens");
    let changed = sqlite.execute("UPDATE row SET record = zeroblob(length(record)) WHERE seq = 3", []).expect("updates");
    assert_eq!(changed, 1);
    drop(sqlite);

    let (store, salvaged) = Store::open(&path, &meters(), LIMIT, None).expect("opens");
    assert_eq!(salvaged, [], "SQLite finds nothing wrong");
    store.begin().expect("begins");
    let rows = store.meter(0).expect("there").numbered(stream, 1, 9).expect("reads");
    let gap = Gap { from: UnixMillis(2_000), to: UnixMillis(4_000), count: 1, reason: GapReason::JournalDamaged };
    assert_eq!(rows.iter().map(|row| row.place.expect("numbered").seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(rows[2].record, Record::Gap(gap));
    assert_eq!(rows[3].record, reading(4_000));
    store.commit().expect("commits");
    assert_eq!(
        (store.meter(0).expect("there").numbered(stream, 3, 1).expect("reads")[0].record.clone(), store.damaged_rows()),
        (Record::Gap(gap), 1)
    );
}

/// A journal of two meters with 2,000 rows each, half of them numbered; closed.
fn large(path: &Path) {
    let store = open(path);
    store.begin().expect("begins");
    for meter in 0..2 {
        let mut journal = store.meter(meter).expect("there");
        let stream = StreamId(1_000 + meter as u64);
        journal.set_head(&Head { starts: 7, incarnation: 3, gap: None }).expect("writes");
        journal.open_stream(stream).expect("opens");
        for n in 1..=2_000u64 {
            let Ok(Append::Row(id)) = journal.append(&reading(i64::try_from(n).expect("small")), None, Room::Normal) else {
                panic!("full")
            };
            if n <= 1_000 {
                journal.number(id, Place { stream, seq: n }).expect("numbers");
            }
        }
        journal.delete_through(stream, 10).expect("deletes");
    }
    store.commit().expect("commits");
}

#[test]
fn a_damaged_file_is_set_aside_and_salvaged() {
    for page in [12, 30, 60, 90] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        large(&path);
        let mut bytes = std::fs::read(&path).expect("reads");
        assert!(bytes.len() > 92 * 4096, "{} pages", bytes.len() / 4096);
        bytes[page * 4096..(page + 1) * 4096].fill(0xa5);
        std::fs::write(&path, &bytes).expect("writes");

        let (store, salvaged) = Store::open(&path, &meters(), LIMIT, Some(UnixMillis(9_999))).expect("opens");
        assert_eq!(salvaged.len(), 2);
        for (meter, told) in salvaged.iter().enumerate() {
            let journal = store.meter(meter).expect("there");
            let dump = dump(&journal);
            let stream = StreamId(1_000 + meter as u64);
            assert_eq!(dump.head, Head { starts: 7, incarnation: 3, gap: None });
            assert_eq!(dump.streams, [OpenStream { stream, given: 1_000, deleted: 10 }]);
            let numbers = dump.numbered[0].iter().map(|row| row.place.expect("numbered").seq);
            assert!(numbers.eq(11..=1_000), "no hole in the stream");
            let all: Vec<&Row> = dump.numbered[0].iter().chain(&dump.ordinary).collect();
            let gaps = all.iter().filter_map(|row| match row.record {
                Record::Gap(gap) => Some(gap),
                _ => None,
            });
            assert_eq!(gaps.map(|gap| gap.count).sum::<u64>(), told.lost, "each loss is in a gap");
            let kept = all.iter().filter(|row| matches!(row.record, Record::Reading(_))).count() as u64;
            assert_eq!((kept, kept + told.lost), (told.kept, 1_990), "page {page}");
        }
        assert!(salvaged.iter().any(|told| told.lost > 0), "page {page} held rows");
        assert!(folder.path().join("journal.damaged-1").exists());
        assert!(!folder.path().join("journal.damaged").exists() && !folder.path().join("journal.salvaged").exists());
        drop(store);
        assert_eq!(Store::open(&path, &meters(), LIMIT, None).expect("opens").1, [], "the new file is sound");
    }
}

#[test]
fn a_file_that_is_no_database_any_more_is_a_gap_for_everybody() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    large(&path);
    let mut bytes = std::fs::read(&path).expect("reads");
    bytes[..4096].fill(0);
    std::fs::write(&path, &bytes).expect("writes");
    let (store, salvaged) = Store::open(&path, &meters(), LIMIT, Some(UnixMillis(5))).expect("opens");
    assert_eq!(salvaged.iter().map(|told| (told.kept, told.lost)).collect::<Vec<_>>(), [(0, 1), (0, 1)], "at least one row each");
    let gap = Gap { from: UnixMillis(5), to: UnixMillis(5), count: 1, reason: GapReason::JournalDamaged };
    assert_eq!(dump_store(&store, 1).ordinary[0].record, Record::Gap(gap));
}

#[test]
fn an_interrupted_salvage_is_finished() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    large(&path);
    // Killed after the damaged file was set aside, with a half-written new one.
    std::fs::rename(&path, folder.path().join("journal.damaged")).expect("renames");
    std::fs::write(folder.path().join("journal.salvaged"), b"half").expect("writes");
    let (store, salvaged) = Store::open(&path, &meters(), LIMIT, None).expect("opens");
    assert_eq!((store.rows(), salvaged[0].lost), (3_980, 0));
    drop(store);
    // Killed before the damaged file got its last name.
    std::fs::rename(folder.path().join("journal.damaged-1"), folder.path().join("journal.damaged")).expect("renames");
    let (store, salvaged) = Store::open(&path, &meters(), LIMIT, None).expect("opens");
    assert_eq!((store.rows(), salvaged), (3_980, vec![]));
    assert!(folder.path().join("journal.damaged-1").exists());
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
