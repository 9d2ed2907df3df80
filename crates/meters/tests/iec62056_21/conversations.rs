//! Whole conversations: the session and a simulated meter, with a line between them that has a speed.

use std::time::Duration;

use fleet::optical_meter::{Device, Mode, Settings};
use meters::iec62056_21::identification::Baud;
use meters::iec62056_21::message::with_parity;
use meters::iec62056_21::readout::Readout;
use meters::iec62056_21::receiver::FrameError;
use meters::iec62056_21::session::{NoData, Options, Parity, ReadCommand, Session, Step, Task};
use proptest::prelude::*;

type Conversation<'a> = Session<'a, 4_096>;

fn settings(mode: Mode) -> Settings {
    Settings { manufacturer: "ABC".into(), name: "TEST".into(), address: "00012345".into(), mode, password: None }
}

fn registers() -> Vec<(String, String)> {
    [("0.0.0", "12345"), ("1.8.0", "001234.567*kWh"), ("2.8.0", "000010.490*kWh")].map(|(a, v)| (a.to_owned(), v.to_owned())).into()
}

fn meter(settings: Settings) -> Device {
    Device::new(settings, Box::new(registers))
}

/// What becomes of bytes on their way to the reader.
type Line<'l> = &'l mut dyn FnMut(Vec<u8>) -> Vec<u8>;

struct Ended {
    result: Result<(), NoData>,
    text: String,
    at: Duration,
    speeds: Vec<Baud>,
}

/// Talks until the end. `echo`: the head repeats what is sent.
fn talk(task: Task<'_>, options: Options<'_>, meter: &mut Device, echo: bool, line: Line<'_>) -> Ended {
    let mut session = Conversation::new(task, options, Duration::ZERO);
    let (mut now, mut baud, mut speeds) = (Duration::ZERO, Conversation::first_baud(task), Vec::new());
    for _ in 0..200_000 {
        let until = match session.poll(now) {
            Step::Send(bytes) => {
                if echo {
                    session.push(&bytes, now);
                }
                // The last byte is there when all are.
                let byte_time = Duration::from_secs(10) / baud.per_second();
                let heard = now + byte_time * u32::try_from(bytes.len()).expect("short");
                // What takes the parity away from what is heard puts it on what is sent.
                let bytes: Vec<u8> = bytes.iter().map(|byte| with_parity(*byte)).collect();
                meter.hear(&bytes, baud.per_second(), heard);
                continue;
            }
            Step::SetBaud(other) => {
                baud = other;
                speeds.push(other);
                continue;
            }
            Step::Wait(until) => until,
            Step::Done => return Ended { result: Ok(()), text: session.text().into(), at: now, speeds },
            Step::Failed(cause) => return Ended { result: Err(cause), text: session.text().into(), at: now, speeds },
        };
        assert!(until >= now, "waits for a time that has passed");
        let due = meter.due().filter(|due| *due <= until);
        now = due.unwrap_or(until).max(now);
        let said = meter.say(now);
        if !said.bytes.is_empty() {
            let bytes = if said.baud == baud.per_second() { said.bytes } else { said.bytes.iter().map(|byte| byte ^ 0xa5).collect() };
            session.push(&line(bytes), now);
        }
    }
    panic!("the conversation never ends");
}

fn clean(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

#[test]
fn mode_c_reads_out_at_the_speed_agreed() {
    for offered in Baud::ALL {
        for baud_max in [Baud::B300, Baud::B9600, Baud::B19200] {
            for echo in [false, true] {
                let options = Options { baud_max, ..Options::STANDARD };
                let ended = talk(Task::Readout, options, &mut meter(settings(Mode::C(offered))), echo, &mut clean);
                assert_eq!((ended.result, ended.speeds), (Ok(()), vec![offered.min(baud_max)]), "{offered:?}, echo {echo}");
                let readout = Readout::parse(&ended.text).expect("registers");
                assert_eq!(readout.find(1, 8, 0).expect("import").value().text, "001234.567");
            }
        }
    }
}

#[test]
fn a_meter_that_ignores_the_acknowledgement_is_read_out_at_300_baud() {
    for offered in [Baud::B600, Baud::B9600, Baud::B19200] {
        for echo in [false, true] {
            let ended = talk(Task::Readout, Options::STANDARD, &mut meter(settings(Mode::Deaf(offered))), echo, &mut clean);
            assert_eq!((ended.result, ended.speeds), (Ok(()), vec![offered, Baud::B300]), "{offered:?}, echo {echo}");
            assert_eq!(Readout::parse(&ended.text).expect("registers").registers().len(), 3);
        }
    }
    let ended = talk(read(None, &["1.8.0"]), Options::STANDARD, &mut meter(settings(Mode::Deaf(Baud::B9600))), false, &mut clean);
    assert!(ended.result.is_err(), "a single register can't be asked for");
}

#[test]
fn modes_a_and_b_read_out_without_being_told() {
    for (mode, speeds) in [(Mode::A, vec![]), (Mode::B(Baud::B600), vec![Baud::B600]), (Mode::B(Baud::B19200), vec![Baud::B19200])] {
        let ended = talk(Task::Readout, Options::STANDARD, &mut meter(settings(mode)), true, &mut clean);
        assert_eq!((ended.result, ended.speeds), (Ok(()), speeds));
        assert_eq!(Readout::parse(&ended.text).expect("registers").registers().len(), 3);
    }
}

#[test]
fn mode_d_is_listened_to() {
    let mut pushing = meter(settings(Mode::D(Duration::from_secs(4))));
    let ended = talk(Task::Push, Options::STANDARD, &mut pushing, false, &mut clean);
    assert_eq!((ended.result, ended.speeds), (Ok(()), vec![]));
    assert_eq!(Readout::parse(&ended.text).expect("registers").find(2, 8, 0).expect("export").value().text, "000010.490");
}

#[test]
fn the_address_chooses_the_meter() {
    for (address, answers) in [("12345", true), ("00012345", true), ("", true), ("54321", false)] {
        let options = Options { address, ..Options::STANDARD };
        let ended = talk(Task::Readout, options, &mut meter(settings(Mode::C(Baud::B9600))), true, &mut clean);
        assert_eq!(ended.result, if answers { Ok(()) } else { Err(NoData::Silent) }, "{address}");
    }
}

fn read<'a>(password: Option<&'a str>, names: &'a [&'a str]) -> Task<'a> {
    Task::Registers { password, command: ReadCommand::Ascii, names }
}

#[test]
fn registers_are_read_one_by_one_behind_the_password() {
    let locked = || meter(Settings { password: Some("1234567".into()), ..settings(Mode::C(Baud::B4800)) });
    let names = ["2.8.0", "1.8.0"];
    let ended = talk(read(Some("1234567"), &names), Options::STANDARD, &mut locked(), true, &mut clean);
    assert_eq!(ended.result, Ok(()));
    let replies = Readout::parse_replies(&ended.text).expect("registers");
    assert_eq!(replies.registers().iter().map(|it| it.value().text).collect::<Vec<_>>(), ["000010.490", "001234.567"]);

    let formatted = Task::Registers { password: Some("1234567"), command: ReadCommand::Formatted, names: &names };
    assert_eq!(talk(formatted, Options::STANDARD, &mut locked(), false, &mut clean).result, Ok(()));
    let refused = |task: Task<'_>| talk(task, Options::STANDARD, &mut locked(), false, &mut clean).result;
    assert_eq!(refused(read(Some("7654321"), &names)), Err(NoData::Refused("the password")));
    assert_eq!(refused(read(None, &names)), Err(NoData::Refused("the register")));
    assert_eq!(refused(read(Some("1234567"), &["9.9.9"])), Err(NoData::Refused("the register")));
    assert_eq!(refused(read(Some("12)34"), &names)), Err(NoData::Name("the password")));
    let simple = talk(read(None, &names), Options::STANDARD, &mut meter(settings(Mode::A)), false, &mut clean);
    assert_eq!(simple.result, Err(NoData::NoProgramming));
}

#[test]
fn a_reply_with_a_wrong_check_character_is_asked_for_again() {
    // The block of the reply ends with the only byte behind ETX: spoil that of the second block, P0's being the first.
    let (mut blocks, mut behind_etx) = (0, false);
    let mut spoil = |bytes: Vec<u8>| -> Vec<u8> {
        let spoilt = bytes.into_iter().map(|byte| {
            let check = std::mem::replace(&mut behind_etx, byte & 0x7f == 0x03);
            blocks += usize::from(check);
            // Two bits, so that the parity stays.
            if check && blocks == 2 { byte ^ 0x03 } else { byte }
        });
        spoilt.collect()
    };
    let ended = talk(read(None, &["1.8.0"]), Options::STANDARD, &mut meter(settings(Mode::C(Baud::B9600))), false, &mut spoil);
    assert_eq!(ended.result, Ok(()));
    assert_eq!(Readout::parse_replies(&ended.text).expect("a register").registers().len(), 1, "what was spoilt is gone");
    assert_eq!(blocks, 3, "the invitation, the spoilt reply, the good one");
}

#[test]
fn silence_noise_and_the_wrong_parity_have_names() {
    let nobody = |_: Vec<u8>| Vec::new();
    let standard = |line: Line<'_>| talk(Task::Readout, Options::STANDARD, &mut meter(settings(Mode::C(Baud::B300))), false, line);
    let ended = standard(&mut { nobody });
    assert_eq!(ended.result, Err(NoData::Silent));
    assert!(ended.at < Duration::from_secs(10), "{:?}", ended.at);
    assert_eq!(standard(&mut |bytes| vec![0x55; bytes.len()]).result, Err(NoData::Unexpected("its identification")));
    let stripped = |bytes: Vec<u8>| bytes.into_iter().map(|byte| byte & 0x7f).collect();
    assert!(matches!(standard(&mut { stripped }).result, Err(NoData::Frame(FrameError::Parity(_)) | NoData::Unexpected(_))));
    let options = Options { parity: Parity::None, ..Options::STANDARD };
    let ended = talk(Task::Readout, options, &mut meter(settings(Mode::C(Baud::B9600))), false, &mut { stripped });
    assert_eq!(ended.result, Ok(()), "where the parity is taken away, that can be said");
}

#[test]
fn a_readout_that_breaks_off_says_after_how_much() {
    let mut left = 60;
    let ended = talk(Task::Readout, Options::STANDARD, &mut meter(settings(Mode::C(Baud::B9600))), false, &mut |bytes| {
        let kept: Vec<u8> = bytes.into_iter().take(left).collect();
        left -= kept.len();
        kept
    });
    assert!(matches!(ended.result, Err(NoData::Frame(FrameError::Truncated(1..)))), "{:?}", ended.result);
}

#[test]
fn a_meter_that_talks_for_ever_is_given_up() {
    let endless = || (0..100_000).map(|n| (format!("{}.{}.0", n % 100, n % 7), "1".to_owned())).collect();
    let mut device = Device::new(settings(Mode::C(Baud::B19200)), Box::new(endless));
    let ended = talk(Task::Readout, Options::STANDARD, &mut device, false, &mut clean);
    assert_eq!(ended.result, Err(NoData::Frame(FrameError::Text(4_096))));

    let mut session = Conversation::new(Task::Readout, Options::STANDARD, Duration::ZERO);
    let (mut now, mut ended) = (Duration::ZERO, None);
    while ended.is_none() {
        match session.poll(now) {
            // Just often enough to keep it waiting.
            Step::Wait(until) => {
                now = until.min(now + Duration::from_millis(1_400));
                session.push(if session.identification().is_none() { b"/ABC5X\r\n" } else { b"\x82" }, now);
            }
            Step::Done => panic!("nothing was said"),
            Step::Failed(cause) => ended = Some(cause),
            Step::Send(_) | Step::SetBaud(_) => {}
        }
        assert!(now <= Duration::from_secs(200), "never ends");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_said_the_conversation_ends_in_time(
        said in prop::collection::vec((0u64..2_000, prop::collection::vec(any::<u8>(), 0..60)), 0..60),
        task in 0usize..3,
        wake_up: bool,
    ) {
        let names = ["1.8.0"];
        let task = [Task::Readout, Task::Push, read(Some("1"), &names)][task];
        let options = Options { wake_up, ..Options::STANDARD };
        let mut session = Conversation::new(task, options, Duration::ZERO);
        let (mut now, mut said) = (Duration::ZERO, said.into_iter());
        let mut steps = 0;
        loop {
            steps += 1;
            prop_assert!(steps < 10_000, "never ends");
            match session.poll(now) {
                Step::Wait(until) => {
                    prop_assert!(until >= now);
                    match said.next() {
                        Some((after, bytes)) => {
                            now = until.min(now + Duration::from_millis(after));
                            session.push(&bytes, now);
                        }
                        None => now = until,
                    }
                }
                Step::Done | Step::Failed(_) => break,
                Step::Send(_) | Step::SetBaud(_) => {}
            }
        }
        prop_assert!(now <= options.timing.deadline + Duration::from_secs(3));
    }
}
