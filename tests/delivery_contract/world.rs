//! One run: everything that can go wrong, then healing, then the reckoning.

mod reckoning;

use std::collections::{BTreeMap, HashSet};

use measure::{MeterId, Record, Seq, StreamId, UnixMillis};
use wire::ack::Ack;
use wire::frame;

use crate::dice::Dice;
use crate::kafka::{Fate, Kafka};
use crate::meter::{Meter, id_of};
use crate::owner::{Fenced, Owner};

/// Rounds after healing within which everything must have drained.
const ROUNDS_HEALED: usize = 500;

/// A rule that a wrapper breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The processor acknowledges what is not committed.
    AckAccepted,
    /// It does not answer frames that add nothing.
    SilentDuplicate,
    /// The meter publishes before its journal's commit.
    NumberAfterPublish,
    /// The processor takes an unknown commit for one that came through.
    AckUnknownCommit,
    /// It goes on after an abort as if nothing had happened.
    KeepAcceptedAfterAbort,
    /// Kafka takes transactions of a processor that was replaced.
    NoFencing,
    /// The processor drops frames that it can't read.
    StopAtPoison,
    /// A full journal drops rows that have a number.
    DropNumberedWhenFull,
    /// The meter gives a stream up because an old acknowledgement came late.
    GiveUpOnStaleAck,
}

pub struct World {
    dice: Dice,
    ms: u64,
    id: MeterId,
    meter: Meter,
    kafka: Kafka,
    owner: Owner,
    zombie: Option<Owner>,
    up: Vec<Vec<u8>>,
    down: Vec<Ack>,
    bug: Option<Bug>,
    backup: Option<Kafka>,
    /// Numbers that were in Kafka at some time.
    ever: HashSet<(StreamId, Seq)>,
    restores: bool,
    journal_fails: bool,
    seen: Seen,
}

/// How often something happened in a run.
pub type Seen = BTreeMap<&'static str, u64>;

impl World {
    /// Runs one seed; what happened, or what rule was broken.
    pub fn run(seed: u64, bug: Option<Bug>) -> Result<Seen, String> {
        let mut dice = Dice::new(seed);
        let mut kafka = Kafka::new();
        // A backup that is put back, or a commit that fails, blurs what is counted; planted bugs must be found without them.
        let (restores, journal_fails) = (bug.is_none() && dice.per_mille(200), bug.is_none() && dice.per_mille(300));
        let owner = Owner::new(&mut kafka, bug);
        let mut world = Self {
            ms: 1_000,
            id: "M0001".parse().expect("a meter id"),
            meter: Meter::new(&mut dice, 1_000, bug),
            kafka,
            owner,
            zombie: None,
            up: Vec::new(),
            down: Vec::new(),
            bug,
            backup: None,
            ever: HashSet::new(),
            restores,
            journal_fails,
            seen: Seen::new(),
            dice,
        };
        for _ in 0..100 + world.dice.below(700) {
            world.step();
        }
        world.heal()?;
        world.reckon()?;
        world.count();
        Ok(world.seen)
    }

    fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.ms as i64)
    }

    fn step(&mut self) {
        self.ms += self.dice.below(200) as u64;
        match self.dice.below(100) {
            0..10 => self.measure(),
            10..42 => self.transmit(),
            42..66 => self.carry_up(),
            66..78 => self.commit_all(),
            78..90 => self.carry_down(),
            90..92 => {
                self.ms += self.dice.below(3_000) as u64;
                self.meter.handle_timeout(self.ms);
            }
            92..97 => self.meter.connect(),
            97 => self.meter.learn_utc(),
            _ => self.fault(),
        }
    }

    fn measure(&mut self) {
        for _ in 0..=self.dice.below(3) {
            self.meter.measure(&mut self.dice, self.ms);
        }
    }

    /// The shell's round: poll, commit, publish; a crash may come between any two.
    fn transmit(&mut self) {
        let limit = 1 + self.dice.below(5);
        self.meter.poll(self.ms, limit);
        if self.bug == Some(Bug::NumberAfterPublish) {
            let frames = self.meter.publish();
            self.publish(frames);
        }
        match self.dice.below(1_000) {
            0..10 => self.meter.crash(&mut self.dice, self.ms),
            10..30 if self.journal_fails => self.meter.fail(),
            30..40 => {
                self.meter.commit();
                self.meter.crash(&mut self.dice, self.ms);
            }
            _ => {
                let frames = self.meter.commit();
                self.publish(frames);
            }
        }
    }

    fn publish(&mut self, frames: Vec<Vec<u8>>) {
        for mut bytes in frames {
            if records(&bytes).iter().any(is_poison) {
                spoil(&mut bytes);
            }
            self.up.push(bytes);
        }
    }

    /// One frame reaches the processor, perhaps twice, out of turn, damaged or never; one that was replaced may get it too.
    fn carry_up(&mut self) {
        let Some(mut bytes) = take(&mut self.dice, &mut self.up) else { return };
        match self.dice.below(100) {
            0..10 => return,
            10 => {
                let at = self.dice.below(bytes.len());
                bytes[at] ^= 1 << self.dice.below(8);
            }
            _ => {}
        }
        self.receive(&bytes);
    }

    fn receive(&mut self, bytes: &[u8]) {
        let now = self.now();
        let half = self.dice.per_mille(500);
        let zombie = self.zombie.as_mut().filter(|_| half);
        let answers: Vec<Ack> =
            zombie.into_iter().chain([&mut self.owner]).filter_map(|owner| owner.handle_frame(&self.id, bytes, now)).collect();
        self.down.extend(answers);
    }

    fn commit_all(&mut self) {
        let fate = match self.dice.below(11) {
            0 => Fate::Aborted,
            1 => Fate::Unknown { committed: true },
            2 => Fate::Unknown { committed: false },
            _ => Fate::Committed,
        };
        self.commit(fate);
        let now = self.now();
        let Some(mut zombie) = self.zombie.take() else { return };
        if zombie.has_something() && self.dice.per_mille(700) {
            match zombie.commit(&mut self.kafka, Fate::Committed, now) {
                Ok(acks) => self.down.extend(acks),
                // It leaves the group.
                Err(Fenced) => return self.saw("fenced zombies"),
            }
        }
        self.zombie = Some(zombie);
    }

    fn commit(&mut self, fate: Fate) {
        let now = self.now();
        if self.owner.has_something()
            && let Ok(acks) = self.owner.commit(&mut self.kafka, fate, now)
        {
            self.down.extend(acks);
        }
        self.ever.extend(self.kafka.records.iter().chain(&self.kafka.dead));
    }

    fn carry_down(&mut self) {
        let Some(ack) = take(&mut self.dice, &mut self.down) else { return };
        if !self.dice.per_mille(150) {
            // The ack travels as bytes, too.
            let ack = Ack::decode(&ack.encode()).expect("an acknowledgement of ours");
            self.meter.handle_ack(self.ms, &ack);
        }
    }

    fn fault(&mut self) {
        match self.dice.below(if self.restores { 8 } else { 6 }) {
            0 => self.meter.crash(&mut self.dice, self.ms),
            // A rebalance: the owner that was may be alive and not know it.
            1 => self.zombie = Some(std::mem::replace(&mut self.owner, Owner::new(&mut self.kafka, self.bug))),
            2 => self.replace_owner(),
            3 => {
                self.up.clear();
                self.down.clear();
                self.meter.disconnect();
            }
            4 => self.meter.disconnect(),
            // An outage: rows pile up until the journal is full.
            5 => (0..self.dice.below(50)).for_each(|_| self.meter.measure(&mut self.dice, self.ms)),
            6 => self.backup = Some(self.kafka.clone()),
            _ => {
                if let Some(backup) = &self.backup {
                    self.kafka.restore(backup);
                    self.replace_owner();
                }
            }
        }
    }

    fn replace_owner(&mut self) {
        self.owner = Owner::new(&mut self.kafka, self.bug);
        self.zombie = None;
    }

    /// Everything works from here on; the meter must get rid of what it has.
    fn heal(&mut self) -> Result<(), String> {
        self.replace_owner();
        self.meter.learn_utc();
        for _ in 0..ROUNDS_HEALED {
            self.meter.connect();
            self.meter.poll(self.ms, 8);
            let frames = self.meter.commit();
            self.publish(frames);
            std::mem::take(&mut self.up).iter().for_each(|bytes| self.receive(bytes));
            self.commit(Fate::Committed);
            for ack in std::mem::take(&mut self.down) {
                self.meter.handle_ack(self.ms, &ack);
            }
            self.meter.commit();
            if self.meter.is_drained() {
                return Ok(());
            }
            self.ms = self.ms.max(self.meter.poll_timeout().unwrap_or(0)) + 10;
            self.meter.handle_timeout(self.ms);
        }
        Err(format!("stuck: {} rows stay in the journal", self.meter.journal.len()))
    }
}

/// The next thing from a network that mostly keeps the order and sometimes keeps a copy.
fn take<T: Clone>(dice: &mut Dice, queue: &mut Vec<T>) -> Option<T> {
    if queue.is_empty() {
        return None;
    }
    let at = if dice.per_mille(800) { 0 } else { dice.below(queue.len()) };
    Some(if dice.per_mille(100) { queue[at].clone() } else { queue.remove(at) })
}

fn records(bytes: &[u8]) -> Vec<Record> {
    frame::decode(bytes).map(|(_, body)| body.flatten().collect()).unwrap_or_default()
}

/// About one record in a hundred is poison, and stays it in whatever frame it travels.
fn is_poison(record: &Record) -> bool {
    id_of(record).is_some_and(|id| (id * 2_654_435_761) % 997 < 8)
}

/// Gives a frame a body of a version that nobody knows, and the checksum to go with it.
fn spoil(bytes: &mut [u8]) {
    let end = bytes.len() - 4;
    bytes[1] = 0x7f;
    let checksum = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(&bytes[..end]);
    bytes[end..].copy_from_slice(&checksum.to_le_bytes());
}
