use super::super::{FORGET_NEWER, FORGET_SILENT_MS, METER_STREAMS_MAX, Row};
use super::*;

/// Opens streams `from` to `to` of a meter and commits them; the streams that were forgotten.
fn open(partition: &mut Partition, from: u64, to: u64, now: UnixMillis) -> Vec<u64> {
    let m = meter("M1");
    for id in from..=to {
        partition.handle_frame(&m, &frame(StreamId(id), 1, 1), now);
    }
    let forgotten = partition.batch().ledger.iter().filter(|(_, through)| through.is_none());
    let forgotten = forgotten.map(|((_, stream), _)| stream.0).collect();
    partition.committed();
    forgotten
}

#[test]
fn a_stream_is_forgotten_when_it_is_both_old_and_silent() {
    let newer = u64::try_from(FORGET_NEWER).unwrap();
    let mut partition = empty(Limits::default());
    assert!(open(&mut partition, 1, newer + 5, NOW).is_empty(), "not silent for long enough");
    let next_day = NOW.saturating_add(FORGET_SILENT_MS);
    assert_eq!(open(&mut partition, newer + 6, newer + 6, next_day), [1, 2, 3, 4, 5, 6], "64 newer ones remain with it");
    assert_eq!(partition.streams(), FORGET_NEWER);
}

#[test]
fn a_stream_that_still_speaks_is_kept() {
    let mut partition = empty(Limits::default());
    open(&mut partition, 1, 70, NOW);
    let next_day = NOW.saturating_add(FORGET_SILENT_MS);
    partition.handle_frame(&meter("M1"), &frame(StreamId(1), 2, 2), next_day);
    partition.committed();
    let forgotten = open(&mut partition, 71, 71, next_day);
    assert_eq!(forgotten, [2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(partition.committed_through(&meter("M1"), StreamId(1)), 2);
}

#[test]
fn a_meter_has_at_most_1024_streams_and_another_meters_streams_do_not_count() {
    let max = u64::try_from(METER_STREAMS_MAX).unwrap();
    let mut partition = empty(Limits::default());
    partition.handle_frame(&meter("M2"), &frame(S, 1, 1), NOW);
    assert_eq!(open(&mut partition, 1, max + 2, NOW), [1, 2]);
    assert_eq!(partition.streams(), METER_STREAMS_MAX + 1);
    assert_eq!(partition.committed_through(&meter("M2"), S), 1);
}

#[test]
fn silence_is_measured_from_the_ledgers_own_time_after_a_rebuild() {
    let newer = u64::try_from(FORGET_NEWER).unwrap();
    let mut rebuild = Rebuild::new(Limits::default());
    for id in 1..=newer {
        let time = if id == 1 { NOW.saturating_add(-FORGET_SILENT_MS) } else { NOW };
        rebuild.row(Row::Through { meter: meter("M1"), stream: StreamId(id), through: 1, time });
    }
    assert_eq!(open(&mut rebuild.finish(), newer + 1, newer + 1, NOW), [1]);
}
