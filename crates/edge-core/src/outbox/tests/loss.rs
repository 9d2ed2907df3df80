//! Losses and times: a full journal, a failed one, a start without a clock.

use super::*;

#[test]
fn without_utc_nothing_is_numbered_and_then_times_are_repaired() {
    let mut meter = Meter::on(MemoryJournal::new(100), false);
    meter.push_readings(1);
    meter.ms = 5_000;
    assert_eq!(meter.poll(), None);
    meter.utc = true;
    let sent = records(&meter.poll().unwrap());
    assert!(matches!(&sent[1], Record::Reading(reading) if reading.time.0 == NOON + 1_000 && reading.clock == ClockQuality::Repaired));
    let stored = meter.journal.rows().find(|row| row.kind() == RowKind::Reading).unwrap();
    assert_eq!((stored.record.time().0, stored.unclocked), (NOON + 1_000, None));
}

#[test]
fn rows_of_earlier_starts_are_repaired_if_these_learnt_utc_and_bounded_if_not() {
    let mut meter = Meter::on(MemoryJournal::new(100), false);
    meter.push_readings(1);
    meter.utc = true;
    meter.outbox.observe(meter.now(), &mut meter.journal).unwrap();
    meter.commit();
    meter.utc = false;
    meter.ms = 3_000;
    meter.restart();
    meter.push_readings(1);
    meter.ms = 7_000;
    meter.restart();
    meter.ms = 9_000;
    meter.utc = true;
    let times: Vec<_> = meter.drain().iter().map(Record::time).collect();
    assert_eq!(times[1..], [UnixMillis(NOON + 1_000), UnixMillis(NOON + 7_000)], "start 2 had ended when start 3 began");
}

#[test]
fn a_full_journal_drops_readings_before_snapshots_before_events_oldest_first() {
    let mut meter = Meter::with_capacity(4);
    meter.outbox.handle_disconnected();
    for record in [snapshot(), reading(), event(EventKind::Started), reading(), reading(), snapshot(), event(EventKind::Stuck), reading()] {
        meter.ms += 1;
        meter.push(&record);
    }
    meter.commit();
    let counters = *meter.counters();
    let all = meter.journal.rows().cloned().collect::<Vec<_>>();
    assert_eq!((counters.readings_dropped_full, counters.snapshots_dropped_full, counters.events_dropped_full), (4, 1, 0));
    meter.outbox.handle_connected();
    let sent = meter.drain();
    assert_eq!(
        gaps(&sent),
        [Gap { from: UnixMillis(NOON + 1_001), to: UnixMillis(NOON + 1_008), count: 5, reason: GapReason::JournalFull }],
        "{all:?}"
    );
    assert_eq!(sent.len(), 1 + 1 + 3, "hello, gap, two events, the newer snapshot");
}

#[test]
fn a_full_journal_keeps_what_has_a_number_and_says_what_it_could_not_take() {
    let mut meter = Meter::with_capacity(3);
    meter.push_readings(3);
    let sent = meter.poll().unwrap();
    assert_eq!(sent.records, 4);
    meter.push_readings(2);
    meter.ack(sent.stream, 4, 1);
    assert_eq!(gaps(&meter.drain())[0].count, 2);
    meter.push_readings(9);
    let sent = meter.drain();
    let readings = sent.iter().filter(|record| record.kind() == RowKind::Reading).count() as u64;
    assert!(readings > 0);
    assert!(gaps(&sent).iter().map(|gap| gap.count).eq([9 - readings]), "a gap with a number grows no more; later losses are another's");
}

#[test]
fn a_failed_commit_is_as_a_restart_and_what_it_lost_becomes_a_gap() {
    let mut meter = Meter::new();
    meter.push_readings(2);
    let published = meter.poll().unwrap();
    meter.push(&reading());
    meter.ms += 5;
    meter.push(&reading());
    meter.outbox.poll_transmit(meter.now(), &mut meter.journal).unwrap().unwrap();
    meter.journal.roll_back();
    meter.outbox.handle_commit_failed(&mut meter.journal, GapReason::JournalDamaged).unwrap();
    meter.commit();
    assert_eq!(meter.counters().rows_dropped_failed, 2);
    meter.outbox.handle_connected();
    meter.push_readings(1);
    let sent = meter.drain();
    let expected = Gap { from: UnixMillis(NOON + 1_000), to: UnixMillis(NOON + 1_005), count: 2, reason: GapReason::JournalDamaged };
    assert_eq!(gaps(&sent), [expected]);
    assert_eq!(records(&published)[..], sent[..3]);
    assert!(matches!(sent[3..], [Record::Hello(_), Record::Gap(_), Record::Reading(_)]), "a new stream");
}

#[test]
fn a_gap_that_could_not_be_committed_is_noted_again() {
    let mut meter = Meter::new();
    meter.push(&reading());
    for _ in 0..2 {
        meter.journal.roll_back();
        meter.outbox.handle_commit_failed(&mut meter.journal, GapReason::JournalDamaged).unwrap();
        meter.push(&reading());
    }
    meter.commit();
    meter.push_readings(1);
    assert_eq!(gaps(&meter.drain()).iter().map(|gap| gap.count).sum::<u64>(), 2);
}

#[test]
fn a_gap_of_rows_without_a_time_gets_its_times_when_utc_is_learnt() {
    let mut meter = Meter::on(MemoryJournal::new(3), false);
    for _ in 0..5 {
        meter.ms += 1_000;
        meter.push(&reading());
    }
    meter.commit();
    let gap = meter.journal.rows().find(|row| matches!(row.record, Record::Gap(_))).unwrap();
    assert_eq!((gap.unclocked, gaps(core::slice::from_ref(&gap.record))[0].from), (Some(1), UnixMillis(2_000)), "of the monotonic clock");
    meter.utc = true;
    meter.ms += 1_000;
    meter.push(&reading());
    meter.commit();
    let expected = Gap { from: UnixMillis(NOON + 2_000), to: UnixMillis(NOON + 5_000), count: 4, reason: GapReason::JournalFull };
    assert_eq!(gaps(&meter.drain()), [expected]);
}

#[test]
fn losses_on_clocks_that_have_nothing_in_common_are_different_gaps() {
    let mut meter = Meter::with_capacity(2);
    meter.outbox.handle_disconnected();
    meter.push_readings(3);
    meter.utc = false;
    meter.restart();
    meter.push_readings(2);
    meter.utc = true;
    let mut counts: Vec<_> = gaps(&meter.drain()).iter().map(|gap| gap.count).collect();
    counts.sort_unstable();
    assert_eq!(counts, [2, 3]);
}

#[test]
fn the_gap_that_counts_the_dropped_is_not_dropped_itself() {
    let mut meter = Meter::with_capacity(1);
    meter.push(&event(EventKind::Stuck));
    meter.commit();
    meter.poll().unwrap();
    meter.push(&event(EventKind::Stuck));
    let gap = meter.journal.head().unwrap().gap;
    meter.push(&event(EventKind::Stuck));
    assert_eq!(meter.journal.head().unwrap().gap, gap);
    assert_eq!(meter.counters().events_dropped_full, 2);
}
