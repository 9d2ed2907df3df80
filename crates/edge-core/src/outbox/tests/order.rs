//! Which rows go when.

use super::*;

#[test]
fn a_row_goes_at_once_behind_a_hello_and_gets_its_number_in_the_journal() {
    let mut meter = Meter::new();
    assert_eq!(meter.poll(), None, "a stream is opened by its first row");
    meter.push_readings(1);
    let first = meter.poll().unwrap();
    assert_eq!((first.first_seq, first.records, first.fresh), (1, 2, true));
    assert!(
        matches!(&records(&first)[..], [Record::Hello(hello), Record::Reading(_)] if hello.starts == 1 && hello.time.0 == NOON + 1_000)
    );
    assert_eq!(meter.journal.streams(), Ok([OpenStream { stream: first.stream, given: 2, deleted: 0 }].into()));
    meter.push_readings(1);
    let second = meter.poll().unwrap();
    assert_eq!((second.stream, second.first_seq, second.records), (first.stream, 3, 1));
    meter.ack(first.stream, 3, 1);
    assert!(meter.journal.is_empty() && meter.outbox.is_drained(&meter.journal).unwrap());
}

#[test]
fn nothing_goes_without_a_connection() {
    let mut meter = Meter::new();
    meter.push_readings(1);
    meter.outbox.handle_disconnected();
    assert_eq!(meter.poll(), None);
    meter.outbox.handle_connected();
    assert!(meter.poll().is_some());
}

#[test]
fn urgent_goes_before_live_goes_before_backlog() {
    let mut meter = Meter::new();
    meter.push_readings(100);
    meter.ms += 31_000;
    meter.push(&reading());
    meter.push(&event(EventKind::Stuck));
    meter.push(&event(EventKind::Started));
    assert_eq!(kinds(&meter.poll().unwrap()), [RowKind::Event, RowKind::Urgent, RowKind::Reading, RowKind::Event]);
    assert_eq!(meter.poll().unwrap().records, 64, "then the backlog, in frames of its own");
    meter.push(&event(EventKind::Stuck));
    assert_eq!(kinds(&meter.poll().unwrap()), [RowKind::Urgent]);
    assert_eq!(meter.poll().unwrap().records, 36);
    assert_eq!(meter.poll(), None);
}

#[test]
fn rows_are_live_for_half_a_minute_and_only_to_the_start_that_appended_them() {
    // The backlog's share of the window is taken, so that only what is live is sent.
    let only_live = || {
        let mut meter = Meter::new();
        meter.push_readings(200);
        meter.ms += 31_000;
        assert_eq!(meter.poll_all().len(), 2);
        meter.push_readings(1);
        meter
    };
    let mut meter = only_live();
    meter.ms += 30_000;
    assert!(meter.poll().is_some());
    let mut meter = only_live();
    meter.ms += 30_001;
    assert_eq!(meter.poll(), None);

    let mut meter = Meter::new();
    meter.push_readings(200);
    meter.restart();
    assert_eq!(meter.poll_all().len(), 2);
}

#[test]
fn eight_frames_are_on_their_way_two_of_them_backlog() {
    let mut meter = Meter::new();
    meter.push_readings(1_000);
    meter.ms += 31_000;
    let backlog = meter.poll_all();
    assert_eq!(backlog.len(), 2);
    for _ in 0..6 {
        meter.push_readings(1);
        assert_eq!(meter.poll_all().len(), 1);
    }
    meter.push_readings(3);
    assert_eq!(meter.poll(), None);
    meter.ack(backlog[0].stream, backlog[0].last(), 1);
    assert_eq!(meter.poll().unwrap().records, 3, "what waited goes together");
    assert_eq!(meter.poll(), None, "the window is full again");
    meter.ack(backlog[1].stream, backlog[1].last(), 1);
    assert_eq!(meter.poll().unwrap().records, 64, "backlog again");
}
