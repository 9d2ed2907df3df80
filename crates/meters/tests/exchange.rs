//! The transaction on a simulated line: quiet, late, noisy and silent devices.
#![expect(clippy::arithmetic_side_effects, clippy::expect_used, reason = "a test may panic")]

use core::time::Duration;

use meters::modbus::{Address, Exception, ReplyError};
use meters::pzem004t::{Measurement, ReadAll, ResetEnergy};
use meters::transaction::{Command, NoData, Step, Timing, Transaction};
use proptest::prelude::*;

const REPLY: [u8; 25] = [
    0x01, 0x04, 0x14, 0x08, 0xD1, 0x00, 0x6C, 0x00, 0x00, 0x00, 0xF4, 0x00, 0x00, 0x00, 0x26, 0x00, 0x00, 0x01, 0xF4, 0x00, 0x64, 0x00,
    0x00, 0x51, 0x34,
];
const REFUSAL: [u8; 5] = [0x01, 0x84, 0x01, 0x82, 0xC0];

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn one() -> Address {
    Address::new(1).expect("1 is an address")
}

/// What arrives when, from the start of the transaction.
type Arrivals = Vec<(Duration, Vec<u8>)>;

struct Outcome<T> {
    result: Result<T, NoData>,
    sent_at: Vec<Duration>,
    ended: Duration,
    stale_bytes: u32,
}

/// Runs a transaction to its end: each request sent is answered by `device`, and `line` says what arrives unasked.
fn run<C: Command>(command: C, mut line: Arrivals, mut device: impl FnMut(usize) -> Arrivals) -> Outcome<C::Reply> {
    let mut transaction = Transaction::new(command, one(), Timing::BAUD_9600, Duration::ZERO);
    let (mut now, mut sent_at) = (Duration::ZERO, Vec::new());
    for _ in 0..10_000 {
        let until = match transaction.poll(now) {
            Step::Send(_) => {
                line.extend(device(sent_at.len()).into_iter().map(|(after, bytes)| (now + after, bytes)));
                sent_at.push(now);
                continue;
            }
            Step::Wait(until) => until,
            Step::Done(reply) => return Outcome { result: Ok(reply), sent_at, ended: now, stale_bytes: transaction.stale_bytes() },
            Step::Failed(cause) => return Outcome { result: Err(cause), sent_at, ended: now, stale_bytes: transaction.stale_bytes() },
        };
        assert!(until > now, "waits for a time that has passed");
        line.sort();
        if line.first().is_some_and(|(at, _)| *at <= until) {
            let (at, bytes) = line.remove(0);
            now = now.max(at);
            transaction.push(&bytes, now);
        } else {
            now = until;
        }
    }
    panic!("the transaction never ends");
}

fn read(line: Arrivals, device: impl FnMut(usize) -> Arrivals) -> Outcome<Measurement> {
    run(ReadAll, line, device)
}

#[test]
fn a_reply_in_pieces_is_one_reply() {
    let outcome = read(vec![], |_| vec![(ms(40), REPLY[..7].to_vec()), (ms(56), REPLY[7..24].to_vec()), (ms(72), REPLY[24..].to_vec())]);
    assert_eq!(outcome.result.map(|m| m.voltage.millivolts()), Ok(225_700));
    assert_eq!((outcome.sent_at, outcome.ended), (vec![ms(5)], ms(5 + 72 + 5)));
}

#[test]
fn silence_is_silence_and_never_zero() {
    let outcome = read(vec![], |_| vec![]);
    assert_eq!(outcome.result, Err(NoData::Silent));
    assert_eq!(outcome.sent_at.len(), 3);
    assert!(outcome.ended <= Timing::BAUD_9600.deadline);
}

#[test]
fn a_second_attempt_may_succeed() {
    let mut damaged = REPLY.to_vec();
    damaged[9] ^= 1;
    let outcome = read(vec![], |attempt| vec![(ms(40), if attempt == 0 { damaged.clone() } else { REPLY.to_vec() })]);
    assert!(outcome.result.is_ok());
    assert_eq!(outcome.sent_at.len(), 2);
    assert!(outcome.sent_at[1] - outcome.sent_at[0] >= ms(40) + Timing::BAUD_9600.settle);
}

#[test]
fn the_last_cause_is_reported() {
    let outcome = read(vec![], |_| vec![(ms(40), REPLY[..20].to_vec())]);
    assert_eq!(outcome.result, Err(ReplyError::Short { got: 20, expected: 25 }.into()));
    let doubled = [REPLY, REPLY].concat();
    let outcome = read(vec![], |_| vec![(ms(40), doubled.clone())]);
    assert!(matches!(outcome.result, Err(NoData::Reply(ReplyError::Long { expected: 25, .. }))), "{:?}", outcome.result);
}

#[test]
fn leftovers_are_thrown_away_before_asking() {
    let outcome = read(vec![(ms(1), REPLY.to_vec())], |_| vec![]);
    assert_eq!(outcome.result, Err(NoData::Silent), "the old reply must not pass for a new one");
    assert_eq!((outcome.stale_bytes, outcome.sent_at[0]), (25, ms(6)));
}

#[test]
fn a_reply_before_the_request_was_heard_is_to_an_earlier_one() {
    // Sent at 5 ms; eight bytes take 8.3 ms; the late reply arrives 4 ms after the first of them left.
    let late = vec![(ms(9), REPLY.to_vec())];
    let outcome = read(late.clone(), |_| vec![]);
    assert_eq!(outcome.stale_bytes, 25);
    assert_eq!(outcome.result, Err(NoData::Silent), "two more attempts stayed without an answer");
    let outcome = read(late, |attempt| if attempt == 1 { vec![(ms(40), REPLY.to_vec())] } else { vec![] });
    assert!(outcome.result.is_ok());
    assert_eq!(outcome.sent_at.len(), 2);
    // On the last attempt the cause is visible.
    let outcome = read(vec![], |_| vec![(ms(4), REPLY.to_vec())]);
    assert_eq!(outcome.result, Err(ReplyError::Stale.into()));
}

#[test]
fn a_late_reply_and_the_right_one_in_a_row_are_too_much() {
    let outcome = read(vec![], |attempt| match attempt {
        0 => vec![(ms(40), REPLY.to_vec()), (ms(43), REPLY[..4].to_vec()), (ms(60), REPLY[4..].to_vec())],
        _ => vec![(ms(40), REPLY.to_vec())],
    });
    assert!(outcome.result.is_ok());
    assert_eq!((outcome.sent_at.len(), outcome.stale_bytes), (2, 21), "the rest of the second reply is drained, then asked again");
}

#[test]
fn a_chatterbox_ends_at_the_deadline() {
    let chatter = (0..400).map(|n| (ms(n * 3), vec![0x55])).collect();
    let outcome = read(chatter, |_| vec![]);
    assert_eq!((outcome.result, outcome.sent_at.len()), (Err(NoData::Busy), 0));
    assert_eq!(outcome.ended, Timing::BAUD_9600.deadline);
}

#[test]
fn refusals_and_resets_are_not_repeated() {
    let outcome = read(vec![], |_| vec![(ms(30), REFUSAL.to_vec())]);
    assert_eq!(outcome.result, Err(ReplyError::Refused(Exception::IllegalFunction).into()));
    assert_eq!(outcome.sent_at.len(), 1);
    let outcome = run(ResetEnergy, vec![], |_| vec![]);
    assert_eq!((outcome.result, outcome.sent_at.len()), (Err(NoData::Silent), 1));
}

proptest! {
    #[test]
    fn whatever_the_line_does_it_ends_in_time(
        line in prop::collection::vec((0u64..1200, prop::collection::vec(any::<u8>(), 0..40)), 0..30),
        answers in prop::collection::vec((0u64..400, prop::collection::vec(any::<u8>(), 0..60)), 3),
    ) {
        let line = line.into_iter().map(|(at, bytes)| (ms(at), bytes)).collect();
        let outcome = read(line, |attempt| vec![(ms(answers[attempt].0), answers[attempt].1.clone())]);
        prop_assert!(outcome.sent_at.len() <= 3);
        let slack = Timing::BAUD_9600.reply + Timing::BAUD_9600.silence + ms(10);
        prop_assert!(outcome.ended <= Timing::BAUD_9600.deadline + slack, "{:?}", outcome.ended);
    }
}
