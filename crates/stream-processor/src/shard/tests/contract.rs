use wire::ack::Ack;
use wire::frame::{BodyError, FrameError};

use super::super::{Outcome, Reason, Row, Useless};
use super::*;

fn accepted(through: u64, records: usize) -> Outcome {
    Outcome::Accepted { through, records }
}

fn answer(through: u64, useless: Useless) -> Outcome {
    Outcome::Answer(Ack { stream: S, through, incarnation: 1 }, useless)
}

fn seqs(partition: &Partition) -> Vec<u64> {
    partition.batch().records.iter().map(|record| record.seq).collect()
}

#[test]
fn nothing_is_acknowledged_before_the_commit() {
    let (mut partition, m) = (empty(Limits::default()), meter("M1"));
    assert_eq!(partition.handle_frame(&m, &frame(S, 1, 3), NOW), accepted(3, 3));
    assert_eq!(partition.handle_frame(&m, &frame(S, 1, 3), NOW), answer(0, Useless::Repeated));
    assert_eq!(partition.committed_through(&m, S), 0);
    assert_eq!(partition.committed(), [(m.clone(), Ack { stream: S, through: 3, incarnation: 1 })]);
    assert_eq!(partition.committed_through(&m, S), 3);
    assert!(partition.batch().is_empty());
}

#[test]
fn an_overlap_is_trimmed() {
    let (mut partition, m) = (empty(Limits::default()), meter("M1"));
    partition.handle_frame(&m, &frame(S, 1, 3), NOW);
    assert_eq!(partition.handle_frame(&m, &frame(S, 2, 5), NOW), accepted(5, 2));
    assert_eq!(seqs(&partition), [1, 2, 3, 4, 5]);
    assert_eq!(partition.batch().records[4].record, record(5));
    assert_eq!(partition.batch().ledger.get(&(m, S)), Some(&Some(5)));
}

#[test]
fn a_hole_is_answered_with_what_is_committed() {
    let (mut partition, m) = (empty(Limits::default()), meter("M1"));
    partition.handle_frame(&m, &frame(S, 1, 3), NOW);
    partition.committed();
    partition.handle_frame(&m, &frame(S, 4, 6), NOW);
    assert_eq!(partition.handle_frame(&m, &frame(S, 8, 9), NOW), answer(3, Useless::Hole));
    assert_eq!(seqs(&partition), [4, 5, 6]);
}

#[test]
fn an_unknown_stream_starts_at_one() {
    let (mut partition, m) = (empty(Limits::default()), meter("M1"));
    assert_eq!(partition.handle_frame(&m, &frame(S, 2, 2), NOW), answer(0, Useless::Hole));
    assert_eq!(partition.streams(), 0);
    assert_eq!(partition.handle_frame(&m, &frame(S, 1, 1), NOW), accepted(1, 1));
    assert_eq!(partition.streams(), 1);
}

#[test]
fn answers_come_at_most_once_a_second_and_a_clock_set_back_does_not_stop_them() {
    let (mut partition, m) = (empty(Limits::default()), meter("M1"));
    for stream in [S, StreamId(7)] {
        if stream == S {
            partition.handle_frame(&m, &frame(S, 1, 1), NOW);
        }
        let again = frame(stream, 9, 9);
        assert!(matches!(partition.handle_frame(&m, &again, NOW), Outcome::Answer(..)));
        assert_eq!(partition.handle_frame(&m, &again, NOW.saturating_add(999)), Outcome::Silent(Useless::Hole));
        assert!(matches!(partition.handle_frame(&m, &again, NOW.saturating_add(1_000)), Outcome::Answer(..)));
        assert!(matches!(partition.handle_frame(&m, &again, NOW.saturating_add(-3_600_000)), Outcome::Answer(..)));
    }
}

#[test]
fn an_unreadable_body_is_kept_aside_and_passed_over() {
    let (mut partition, m) = (empty(Limits::default()), meter("M1"));
    partition.handle_frame(&m, &frame(S, 1, 3), NOW);
    let bytes = poison(S, 3, 5);
    assert_eq!(partition.handle_frame(&m, &bytes, NOW), Outcome::Poisoned { through: 5, why: BodyError::UnknownVersion(99) });
    assert_eq!(partition.handle_frame(&m, &frame(S, 6, 6), NOW), accepted(6, 1));
    assert_eq!(seqs(&partition), [1, 2, 3, 6]);
    let letter = &partition.batch().dead_letters[0];
    assert_eq!(letter.payload, bytes);
    assert_eq!(letter.reason, Reason::Body { stream: S, from: 4, through: 5, why: BodyError::UnknownVersion(99) });
    assert_eq!(partition.committed(), [(m, Ack { stream: S, through: 6, incarnation: 1 })]);
}

#[test]
fn a_poisoned_repetition_is_not_kept_aside_again() {
    let (mut partition, m) = (empty(Limits::default()), meter("M1"));
    partition.handle_frame(&m, &poison(S, 1, 2), NOW);
    assert_eq!(partition.handle_frame(&m, &poison(S, 1, 2), NOW), answer(0, Useless::Repeated));
    assert_eq!(partition.batch().dead_letters.len(), 1);
}

#[test]
fn a_damaged_frame_advances_nothing_and_is_kept_aside_now_and_then() {
    let (mut partition, m) = (empty(Limits::default()), meter("M1"));
    let mut bytes = frame(S, 1, 3);
    *bytes.last_mut().unwrap() ^= 1;
    let rejected = |dead_letter| Outcome::Rejected { why: FrameError::Checksum, dead_letter };
    assert_eq!(partition.handle_frame(&m, &bytes, NOW), rejected(true));
    assert_eq!(partition.handle_frame(&m, &bytes, NOW.saturating_add(9_999)), rejected(false));
    assert_eq!(partition.handle_frame(&meter("M2"), &bytes, NOW), rejected(true));
    assert_eq!(partition.handle_frame(&m, &bytes, NOW.saturating_add(10_000)), rejected(true));
    assert_eq!(partition.batch().dead_letters.len(), 3);
    assert!(partition.batch().ledger.is_empty());
    assert_eq!(partition.committed(), []);
    assert_eq!(partition.streams(), 0);
}

#[test]
fn the_same_stream_number_of_two_meters_is_two_streams() {
    let (mut partition, a, b) = (empty(Limits::default()), meter("M1"), meter("M2"));
    partition.handle_frame(&a, &frame(S, 1, 5), NOW);
    assert_eq!(partition.handle_frame(&b, &frame(S, 1, 2), NOW), accepted(2, 2));
    assert_eq!(partition.streams(), 2);
}

#[test]
fn a_rebuild_takes_the_last_row_and_the_highest_incarnation() {
    let (a, b) = (meter("M1"), meter("M2"));
    let mut rebuild = empty(Limits::default()).aborted_or_unknown();
    for through in [3, 7] {
        rebuild.row(Row::Through { meter: a.clone(), stream: S, through, time: NOW });
    }
    rebuild.row(Row::Through { meter: b.clone(), stream: S, through: 9, time: NOW });
    rebuild.row(Row::Incarnation(4));
    rebuild.row(Row::Forgotten { meter: b.clone(), stream: S });
    rebuild.row(Row::Incarnation(2));
    let mut partition = rebuild.finish();
    assert_eq!((partition.incarnation(), partition.streams()), (4, 1));
    assert_eq!(partition.handle_frame(&a, &frame(S, 6, 8), NOW), accepted(8, 1));
    assert_eq!(partition.committed(), [(a, Ack { stream: S, through: 8, incarnation: 4 })]);
    assert_eq!(partition.committed_through(&b, S), 0);
}

#[test]
fn what_was_accepted_and_not_committed_is_accepted_again_after_a_rebuild() {
    let (mut partition, m) = (empty(Limits::default()), meter("M1"));
    partition.handle_frame(&m, &frame(S, 1, 3), NOW);
    partition.committed();
    partition.handle_frame(&m, &frame(S, 4, 6), NOW);
    let mut rebuild = partition.aborted_or_unknown();
    rebuild.row(Row::Through { meter: m.clone(), stream: S, through: 3, time: NOW });
    let mut partition = rebuild.finish();
    assert!(partition.batch().is_empty());
    assert_eq!(partition.handle_frame(&m, &frame(S, 4, 6), NOW), accepted(6, 3));
}

#[test]
fn a_batch_has_an_end() {
    let limits = Limits { batch_records_max: 3, batch_dead_letter_bytes_max: 10, ..Limits::default() };
    let (mut partition, m) = (empty(limits), meter("M1"));
    partition.handle_frame(&m, &frame(S, 1, 2), NOW);
    assert!(!partition.is_full());
    partition.handle_frame(&m, &frame(S, 3, 4), NOW);
    assert!(partition.is_full());
    partition.committed();
    assert!(!partition.is_full());
    partition.handle_frame(&m, &poison(S, 5, 5), NOW);
    assert!(partition.is_full());
}

#[test]
fn streams_have_an_end_and_known_ones_go_on() {
    let (mut partition, m) = (empty(Limits { streams_max: 2, ..Limits::default() }), meter("M1"));
    for id in 0..3 {
        let outcome = partition.handle_frame(&m, &frame(StreamId(id), 1, 1), NOW);
        assert_eq!(outcome, if id < 2 { accepted(1, 1) } else { Outcome::Refused });
    }
    assert_eq!(partition.handle_frame(&m, &frame(StreamId(0), 2, 2), NOW), accepted(2, 1));
    assert_eq!(seqs(&partition), [1, 1, 2]);
}
