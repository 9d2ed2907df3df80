//! Files that were damaged: what is left is kept with its numbers, and what is lost is told.

use std::path::Path;

use edge_agent::journal_sqlite::Store;
use edge_core::journal::{Append, Head, Journal, OpenStream, Place, Room, Row};
use measure::{Gap, GapReason, Record, StreamId, UnixMillis};

use super::{LIMIT, dump, dump_store, meters, open, reading};

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
    for page in [12, 30, 60, 88] {
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
