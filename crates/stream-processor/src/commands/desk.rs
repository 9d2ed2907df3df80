//! Commands that wait for their meters' answers, and when each is to be sent. Pure.
//!
//! A meter gets its commands in the order of their numbers, each after the answer to the one before: a meter refuses what comes out of
//! order. A command is sent when it comes, again when its meter comes online, and otherwise again and again with growing pauses, until its
//! outcome is in Kafka or its time is over. So a command, a connection and this process may all be lost on the way.

use std::collections::{BTreeMap, BTreeSet};

use contracts::CommandRecord;
use measure::{MeterId, UnixMillis};
use wire::command::{COMMAND_LEN_MAX, Signed};

/// Commands of one meter that may wait; more are not taken.
pub const WAITING_PER_METER_MAX: usize = 64;
/// Commands of one partition that may wait, of some 300 bytes each.
pub const WAITING_MAX: usize = 100_000;

/// An instant: of the monotonic clock, in ms, and UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Never goes back.
    pub monotonic_ms: u64,
    /// For expiry.
    pub utc: UnixMillis,
}

/// Pauses before a command is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pauses {
    /// The first, in ms; doubles.
    pub first_ms: u64,
    /// The longest, in ms.
    pub max_ms: u64,
}

/// Why a record is no command to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undeliverable {
    /// Its bytes are no command, or for another meter or number than the record says.
    Malformed,
    /// Its time is over.
    Expired,
    /// It was answered already.
    Answered,
    /// Too many wait.
    Full,
}

/// See the module.
#[derive(Debug)]
pub struct Desk {
    pauses: Pauses,
    meters: BTreeMap<MeterId, Waiting>,
    /// By when to send, the meters' order among equals.
    due: BTreeSet<(u64, MeterId)>,
    waiting: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    commands: BTreeMap<u64, Command>,
    answered: Option<u64>,
    due_ms: Option<u64>,
    pause_ms: u64,
}

#[derive(Debug)]
struct Command {
    bytes: Vec<u8>,
    expires: UnixMillis,
    /// When it came into Kafka.
    appended: UnixMillis,
}

impl Desk {
    /// Nothing waits.
    pub const fn new(pauses: Pauses) -> Self {
        Self { pauses, meters: BTreeMap::new(), due: BTreeSet::new(), waiting: 0 }
    }

    /// A record of `meter.commands.v1`, which came into Kafka at `appended`.
    pub fn command(&mut self, record: &CommandRecord, appended: UnixMillis, now: Now) -> Result<(), Undeliverable> {
        let bytes = bytes(&record.command).ok_or(Undeliverable::Malformed)?;
        let signed = Signed::decode(&bytes).map_err(|_| Undeliverable::Malformed)?;
        let claims = signed.claims();
        if (&claims.meter, claims.number) != (&record.meter, record.number) {
            return Err(Undeliverable::Malformed);
        }
        let (number, expires) = (claims.number, claims.expires);
        if expires < now.utc {
            return Err(Undeliverable::Expired);
        }
        let known = self.meters.get(&record.meter);
        if known.is_some_and(|it| it.answered == Some(number)) {
            return Err(Undeliverable::Answered);
        }
        if self.waiting >= WAITING_MAX || known.is_some_and(|it| it.commands.len() >= WAITING_PER_METER_MAX) {
            return Err(Undeliverable::Full);
        }
        let meter = self.meters.entry(record.meter.clone()).or_default();
        let first = meter.commands.keys().next().is_none_or(|first| number < *first);
        if meter.commands.insert(number, Command { bytes, expires, appended }).is_none() {
            self.waiting = self.waiting.saturating_add(1);
        }
        if first {
            self.send_at(&record.meter, now.monotonic_ms);
        }
        Ok(())
    }

    /// A meter has answered a command. Whether that waited here.
    pub fn outcome(&mut self, meter: &MeterId, number: u64, now: Now) -> bool {
        let Some(known) = self.meters.get_mut(meter) else { return false };
        known.answered = known.answered.max(Some(number));
        let waited = known.commands.remove(&number).is_some();
        if waited {
            self.waiting = self.waiting.saturating_sub(1);
            self.send_at(meter, now.monotonic_ms);
        }
        waited
    }

    /// A meter has come online.
    pub fn online(&mut self, meter: &MeterId, now: Now) {
        self.send_at(meter, now.monotonic_ms);
    }

    /// What is to be sent now.
    pub fn take_due(&mut self, now: Now) -> Vec<(MeterId, Vec<u8>)> {
        let mut sent = Vec::new();
        while self.due.first().is_some_and(|(due, _)| *due <= now.monotonic_ms) {
            let Some((_, meter)) = self.due.pop_first() else { break };
            let Some(known) = self.meters.get_mut(&meter) else { continue };
            known.due_ms = None;
            let before = known.commands.len();
            known.commands.retain(|_, command| command.expires >= now.utc);
            self.waiting = self.waiting.saturating_sub(before.saturating_sub(known.commands.len()));
            let Some(command) = known.commands.values().next() else {
                self.meters.remove(&meter);
                continue;
            };
            sent.push((meter.clone(), command.bytes.clone()));
            let pause = known.pause_ms.clamp(self.pauses.first_ms, self.pauses.max_ms);
            let due = now.monotonic_ms.saturating_add(pause);
            (known.pause_ms, known.due_ms) = (pause.saturating_mul(2), Some(due));
            self.due.insert((due, meter));
        }
        sent
    }

    /// Sends the meter's first command at this instant, and begins with the shortest pause again.
    fn send_at(&mut self, meter: &MeterId, at_ms: u64) {
        let Some(known) = self.meters.get_mut(meter) else { return };
        if let Some(due) = known.due_ms.replace(at_ms) {
            self.due.remove(&(due, meter.clone()));
        }
        known.pause_ms = 0;
        self.due.insert((at_ms, meter.clone()));
    }

    /// When the oldest waiting command came into Kafka: its outcome can't be older.
    pub fn oldest(&self) -> Option<UnixMillis> {
        self.meters.values().flat_map(|meter| meter.commands.values()).map(|command| command.appended).min()
    }

    /// How many wait.
    pub const fn waiting(&self) -> usize {
        self.waiting
    }
}

/// From hexadecimal digits, as many as a command may have.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    if digits.len() > COMMAND_LEN_MAX.saturating_mul(2) { None } else { hex::decode(digits).ok() }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests {
    use measure::ActionKind;
    use proptest::prelude::*;
    use wire::command::{Action, Authority, Command};

    use super::*;

    const PAUSES: Pauses = Pauses { first_ms: 5_000, max_ms: 60_000 };

    const fn at(monotonic_ms: u64) -> Now {
        Now { monotonic_ms, utc: UnixMillis(1_000_000 + monotonic_ms as i64) }
    }

    fn record(meter: &str, number: u64, expires: i64) -> CommandRecord {
        let command = Command { meter: meter.parse().unwrap(), number, expires: UnixMillis(expires), action: Action::Read };
        CommandRecord {
            meter: meter.parse().unwrap(),
            number,
            action: ActionKind::Read,
            channel: None,
            account: None,
            issued_ms: UnixMillis(0),
            expires_ms: UnixMillis(expires),
            who: None,
            authority: String::new(),
            command: hex::encode(command.sign(&Authority::from_secret(&[7; 32]))),
        }
    }

    fn numbers(desk: &mut Desk, now: Now) -> Vec<(String, u64)> {
        let number = |bytes: &[u8]| Signed::decode(bytes).unwrap().claims().number;
        desk.take_due(now).iter().map(|(meter, bytes)| (meter.to_string(), number(bytes))).collect()
    }

    fn take(desk: &mut Desk, meter: &str, number: u64, expires: i64, now: Now) -> Result<(), Undeliverable> {
        desk.command(&record(meter, number, expires), now.utc, now)
    }

    #[test]
    fn it_is_sent_again_with_growing_pauses_until_it_is_answered() {
        let mut desk = Desk::new(PAUSES);
        take(&mut desk, "M1", 7, i64::MAX, at(0)).unwrap();
        let mut sent = Vec::new();
        for second in 0..120 {
            if !numbers(&mut desk, at(second * 1_000)).is_empty() {
                sent.push(second);
            }
        }
        assert_eq!(sent, [0, 5, 15, 35, 75]);
        desk.online(&"M1".parse().unwrap(), at(120_000));
        assert_eq!(numbers(&mut desk, at(120_000)), [("M1".to_owned(), 7)]);
        assert!(desk.outcome(&"M1".parse().unwrap(), 7, at(120_001)));
        assert!(numbers(&mut desk, at(10_000_000)).is_empty() && desk.waiting() == 0 && desk.meters.is_empty());
        assert!(!desk.outcome(&"M1".parse().unwrap(), 7, at(120_002)));
    }

    #[test]
    fn a_meter_gets_them_one_by_one_in_order() {
        let mut desk = Desk::new(PAUSES);
        for number in [3, 1, 2] {
            take(&mut desk, "M1", number, i64::MAX, at(0)).unwrap();
        }
        let meter = "M1".parse().unwrap();
        for number in 1..=3 {
            assert_eq!(numbers(&mut desk, at(0)), [("M1".to_owned(), number)]);
            assert!(desk.outcome(&meter, number, at(0)));
        }
    }

    #[test]
    fn what_has_expired_makes_way() {
        let mut desk = Desk::new(PAUSES);
        take(&mut desk, "M1", 1, 1_000_500, at(0)).unwrap();
        take(&mut desk, "M1", 2, i64::MAX, at(0)).unwrap();
        assert_eq!(numbers(&mut desk, at(0)), [("M1".to_owned(), 1)]);
        assert_eq!(numbers(&mut desk, at(5_000)), [("M1".to_owned(), 2)]);
        assert_eq!(take(&mut desk, "M1", 3, 1_000_500, at(600)), Err(Undeliverable::Expired));
        assert_eq!(desk.waiting(), 1);
    }

    #[test]
    fn what_is_no_command_is_not_delivered() {
        let mut desk = Desk::new(PAUSES);
        let good = record("M1", 1, i64::MAX);
        for bad in [
            CommandRecord { meter: "M2".parse().unwrap(), ..good.clone() },
            CommandRecord { number: 2, ..good.clone() },
            CommandRecord { command: String::new(), ..good.clone() },
            CommandRecord { command: format!("{}0", good.command), ..good.clone() },
            CommandRecord { command: "fb".repeat(10_000), ..good },
        ] {
            assert_eq!(desk.command(&bad, UnixMillis(0), at(0)), Err(Undeliverable::Malformed));
        }
        for number in 0..WAITING_PER_METER_MAX as u64 {
            take(&mut desk, "M1", number, i64::MAX, at(0)).unwrap();
        }
        assert_eq!(take(&mut desk, "M1", 1_000, i64::MAX, at(0)), Err(Undeliverable::Full));
        assert_eq!(desk.oldest(), Some(UnixMillis(1_000_000)));
    }

    proptest! {
        /// Whatever happens, what is counted as waiting waits, and each meter that has something waiting has an instant to send it.
        #[test]
        fn the_books_agree(steps in prop::collection::vec((0..4u8, 0..3u8, 0..6u64, 0..20_000u64), 0..60)) {
            let (mut desk, mut clock) = (Desk::new(PAUSES), 0);
            for (what, meter, number, later) in steps {
                clock += later;
                let (name, now) = (format!("M{meter}"), at(clock));
                match what {
                    0 => _ = take(&mut desk, &name, number, 1_000_000 + (clock + 30_000) as i64, now),
                    1 => _ = desk.outcome(&name.parse().unwrap(), number, now),
                    2 => desk.online(&name.parse().unwrap(), now),
                    _ => _ = desk.take_due(now),
                }
                let waiting: usize = desk.meters.values().map(|it| it.commands.len()).sum();
                prop_assert_eq!(waiting, desk.waiting());
                let due: BTreeSet<_> = desk.meters.iter().filter_map(|(meter, it)| Some((it.due_ms?, meter.clone()))).collect();
                prop_assert_eq!(&due, &desk.due);
                prop_assert!(desk.meters.values().all(|it| it.commands.is_empty() || it.due_ms.is_some()));
            }
            prop_assert!(desk.take_due(at(clock + 100_000)).is_empty() && desk.meters.is_empty(), "everything ends");
        }
    }
}
