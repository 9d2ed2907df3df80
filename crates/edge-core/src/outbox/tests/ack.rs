//! Acknowledgements, going back, restarts.

use super::*;

#[test]
fn without_an_acknowledgement_everything_is_sent_again() {
    let mut meter = Meter::new();
    meter.push_readings(1);
    let first = meter.poll().unwrap();
    meter.push_readings(1);
    let second = meter.poll().unwrap();
    let deadline = meter.outbox.poll_timeout().unwrap();
    meter.ms = deadline - 1;
    meter.outbox.handle_timeout(meter.now());
    assert_eq!(meter.poll(), None);
    meter.ms = deadline;
    meter.outbox.handle_timeout(meter.now());
    let again = meter.poll().unwrap();
    assert_eq!((again.fresh, again.first_seq, again.last()), (false, 1, 3), "cut anew");
    assert_eq!(records(&again), [records(&first), records(&second)].concat());
    meter.ack(first.stream, 2, 1);
    meter.outbox.handle_connected();
    assert_eq!(meter.poll().unwrap().first_seq, 3, "from the first row that was not acknowledged");
}

#[test]
fn an_acknowledgement_of_what_was_sent_before_going_back_is_not_sent_again() {
    let mut meter = Meter::new();
    meter.push_readings(200);
    let frames = meter.poll_all();
    meter.outbox.handle_connected();
    meter.ack(frames[0].stream, frames[1].last(), 1);
    assert_eq!(meter.poll().unwrap().first_seq, frames[2].first_seq);
}

#[test]
fn acknowledgements_of_too_much_too_little_or_others_change_nothing() {
    let mut meter = Meter::new();
    meter.push_readings(3);
    let stream = meter.poll().unwrap().stream;
    meter.ack(stream, 2, 5);
    let left = meter.journal.clone();
    for (stream, through, incarnation) in
        [(stream, 5, 5), (stream, Seq::MAX, 5), (stream, 2, 5), (stream, 1, 5), (stream, 4, 4), (StreamId(9), 4, 6)]
    {
        meter.ack(stream, through, incarnation);
        assert!(meter.journal.rows().eq(left.rows()));
        assert_eq!(meter.journal.head(), left.head());
    }
    let counters = meter.counters();
    assert_eq!((counters.acks_beyond_given, counters.acks_repeated, counters.acks_stale), (2, 1, 1));
    assert_eq!((counters.acks_old_incarnation, counters.acks_unknown_stream, counters.acks_applied), (1, 1, 1));
}

#[test]
fn a_restart_drains_the_earlier_stream_first_and_draws_another() {
    let mut meter = Meter::new();
    meter.push_readings(70);
    let before = meter.poll_all();
    meter.restart();
    meter.push(&event(EventKind::Stuck));
    meter.commit();
    let again = meter.poll_all();
    assert!(again.iter().all(|frame| !frame.fresh && frame.stream == before[0].stream));
    assert_eq!(again.last().unwrap().last(), 71, "and nothing new while it is open");
    meter.ack(again[0].stream, 71, 1);
    let new = meter.poll().unwrap();
    assert_ne!(new.stream, before[0].stream);
    assert!(matches!(&records(&new)[..], [Record::Hello(hello), Record::Event(_)] if hello.starts == 2));
    assert_eq!(meter.journal.streams().unwrap().len(), 1, "the drained stream is forgotten");
}

#[test]
fn with_sixteen_streams_open_nothing_new_is_numbered_until_they_are_drained_oldest_first() {
    let mut journal = MemoryJournal::new(1_000);
    for stream in (1..=16).map(StreamId) {
        journal.open_stream(stream).unwrap();
        let record = snapshot();
        let crate::journal::Append::Row(id) = journal.append(&record, None, crate::journal::Room::Normal).unwrap() else { panic!() };
        journal.number(id, crate::journal::Place { stream, seq: 1 }).unwrap();
    }
    let mut meter = Meter::on(journal, true);
    meter.push_readings(1);
    for stream in (1..=16).map(StreamId) {
        let frames = meter.poll_all();
        assert_eq!(frames.iter().map(|frame| frame.stream).collect::<Vec<_>>(), [stream]);
        meter.ack(stream, 1, 1);
    }
    assert!(meter.poll().unwrap().fresh);
}

#[test]
fn a_journal_that_lost_its_last_writes_is_drained_all_the_same() {
    let mut meter = Meter::new();
    meter.push_readings(1);
    let stream = meter.poll().unwrap().stream;
    let old_copy = meter.journal.clone();
    meter.push_readings(5);
    meter.poll_all();
    meter.journal = old_copy;
    meter.restart();
    meter.poll_all();
    meter.ack(stream, 7, 1);
    assert!(meter.journal.is_empty());
    assert_eq!(meter.counters().acks_beyond_given, 1);
}

#[test]
fn only_a_newer_incarnation_gives_streams_up_and_a_gap_says_so() {
    let mut meter = Meter::new();
    meter.push_readings(2);
    meter.ms += 10;
    meter.push_readings(2);
    let lost = meter.poll_all();
    meter.ack(lost[0].stream, 2, 3);
    assert_eq!(meter.counters().ledgers_restored, 0, "the first incarnation heard of is no news");
    meter.ack(lost[0].stream, 0, 4);
    let anew = meter.poll().unwrap();
    assert_ne!(anew.stream, lost[0].stream);
    let records = records(&anew);
    assert!(matches!(records[..], [Record::Hello(_), Record::Reading(_), Record::Reading(_), Record::Reading(_), Record::Gap(_)]));
    let expected = Gap { from: UnixMillis(NOON + 1_000), to: UnixMillis(NOON + 1_010), count: 3, reason: GapReason::LedgerRestored };
    assert_eq!(gaps(&records), [expected]);
    meter.ack(lost[0].stream, 5, 4);
    meter.ack(anew.stream, 5, 3);
    assert_eq!(meter.journal.len(), 5, "the old stream and the old incarnation are over");
    meter.ack(anew.stream, 5, 4);
    assert!(meter.journal.is_empty());
}
