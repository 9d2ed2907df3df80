//! Any bytes as what a meter answers in a conversation. The first byte says what is wanted of it.

use core::time::Duration;

use meters::iec62056_21::readout::Readout;
use meters::iec62056_21::session::{Options, Parity, ReadCommand, Session, Step, Task, Timing};

/// Bytes that come at a time, and the time between them.
const PIECE: usize = 7;
const APART: Duration = Duration::from_millis(40);

/// Panics if the conversation does not end in time, or tells what was not said.
pub fn check(bytes: &[u8]) {
    let (&first, said) = bytes.split_first().unwrap_or((&0, &[]));
    let names = ["1.8.0", "2.8.0"];
    let task = match first % 3 {
        0 => Task::Readout,
        1 => Task::Push,
        _ => Task::Registers { password: (first & 8 != 0).then_some("secret"), command: ReadCommand::Ascii, names: &names },
    };
    // Without parity most bytes mean something.
    let parity = if first & 4 == 0 { Parity::None } else { Parity::Even };
    let timing = Timing { deadline: Duration::from_secs(60), ..Timing::STANDARD };
    let mut session = Session::<512>::new(task, Options { parity, timing, ..Options::STANDARD }, Duration::ZERO);
    let (mut now, mut pieces, mut steps) = (Duration::ZERO, said.chunks(PIECE), 0u32);
    loop {
        steps += 1;
        assert!(steps < 10_000, "the conversation never ends");
        match session.poll(now) {
            Step::Send(message) => assert!(!message.is_empty()),
            Step::SetBaud(_) => {}
            Step::Wait(until) => {
                assert!(until >= now, "waits for a time that has passed");
                match pieces.next() {
                    Some(piece) => {
                        now += APART;
                        session.push(piece, now);
                    }
                    None => now = until,
                }
            }
            Step::Done => break,
            Step::Failed(_) => return,
        }
    }
    assert!(now <= timing.deadline + Duration::from_secs(2), "it took {now:?}");
    for readout in [Readout::parse(session.text()), Readout::parse_replies(session.text())].into_iter().flatten() {
        for register in readout.registers() {
            register.values().for_each(|value| assert!(value.text.len() <= 128));
            let _ = (register.value().quantity(), register.value().date_time());
        }
    }
}
