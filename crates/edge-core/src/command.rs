//! Commands: which are believed, and which were answered. Pure.
//!
//! A command is believed if an authority of the configuration signed it, for this meter; it is carried out if its number is greater than
//! every number answered before and its time is not over. Each that is believed is answered once: by an [`Outcome`](measure::Outcome)
//! in the journal, in the transaction that carries it out and remembers its number. So a power cut leaves either nothing of the
//! three or all, and a copy that comes later, as the head-end sends until it has the outcome, changes nothing.
//!
//! A command that cannot be believed has no number to be answered by. It is counted, and told as an event no oftener than once a minute
//! for each reason, for anyone may send such bytes who got as far as the topic.

use alloc::vec::Vec;

use measure::{MeterId, Verdict};
use wire::command::{AuthorityKey, Command, Signed};

use crate::clock::Stamp;

/// Numbers of answered commands that are remembered. One that is older than all of them is not answered a second time.
const REMEMBERED: usize = 32;
/// Readings that commands may have asked for at once.
const READS_MAX: usize = 8;
/// Least time between two events of refusals with the same reason, in ms.
const REFUSAL_SPACING_MS: u64 = 60_000;
/// First byte of the note.
const NOTE_VERSION: u8 = 1;

/// Whom to obey.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// This meter. Without it, or without keys, no command is carried out.
    pub meter: Option<MeterId>,
    /// Authorities; any of them may sign.
    pub keys: Vec<AuthorityKey>,
    /// How long a reading that was asked for may take, in ms.
    pub read_patience_ms: u64,
}

/// What is to be done about some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Carry it out, answer it and remember its number.
    CarryOut(Command),
    /// Answer it with this, and remember its number.
    Refuse(Command, Verdict),
    /// It cannot be answered by its number; tell an event if `tell` is set.
    Reject { verdict: Verdict, tell: bool },
}

/// What a meter knows of commands.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    config: Config,
    answered: Answered,
    reads: Vec<PendingRead>,
    told_ms: [Option<u64>; Verdict::ALL.len()],
}

/// A reading that a command asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PendingRead {
    pub number: u64,
    pub deadline_ms: u64,
    /// Bit n stands for channel n, which has not been read since.
    pub missing: u32,
}

impl Commands {
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// Believes the note again, as after a start.
    pub fn reload(&mut self, note: Option<&[u8]>) {
        self.answered = note.map(Answered::from_note).unwrap_or_default();
    }

    /// The note with this number in it; from now on it counts as answered.
    pub fn answer(&mut self, number: u64) -> Vec<u8> {
        self.answered.add(number);
        self.answered.to_note()
    }

    /// Looks at bytes that came at this instant.
    pub fn judge(&mut self, now_ms: u64, stamp: &Stamp, bytes: &[u8]) -> Judgement {
        match self.believe(bytes) {
            Err(verdict) => self.reject(now_ms, verdict),
            Ok(command) if self.is_pending(command.number) => Judgement::Reject { verdict: Verdict::Replayed, tell: false },
            Ok(command) => match self.answered.standing(command.number) {
                // Most likely the head-end, which has not seen the outcome yet: nothing to make a noise about.
                Some(Verdict::Replayed) => Judgement::Reject { verdict: Verdict::Replayed, tell: false },
                Some(verdict) => Judgement::Refuse(command, verdict),
                // The number is not used up: the command comes again, and by then the time may be known.
                None if stamp.unclocked.is_some() => self.reject(now_ms, Verdict::ClockUnknown),
                None if stamp.time > command.expires => Judgement::Refuse(command, Verdict::Expired),
                None => Judgement::CarryOut(command),
            },
        }
    }

    fn believe(&self, bytes: &[u8]) -> Result<Command, Verdict> {
        let signed = Signed::decode(bytes).map_err(|_| Verdict::Malformed)?;
        let command = signed.verify(&self.config.keys).ok_or(Verdict::BadSignature)?;
        if self.config.meter.as_ref() == Some(&command.meter) { Ok(command) } else { Err(Verdict::Foreign) }
    }

    fn reject(&mut self, now_ms: u64, verdict: Verdict) -> Judgement {
        let told = self.told_ms.get_mut(usize::from(verdict.code()));
        let tell = told.is_some_and(|told| {
            let due = told.is_none_or(|told| now_ms.saturating_sub(told) >= REFUSAL_SPACING_MS);
            if due {
                *told = Some(now_ms);
            }
            due
        });
        Judgement::Reject { verdict, tell }
    }

    fn is_pending(&self, number: u64) -> bool {
        self.reads.iter().any(|read| read.number == number)
    }

    /// A reading of these channels is wanted. False if too many are: the command will come again.
    pub fn want_read(&mut self, now_ms: u64, number: u64, channels: usize) -> bool {
        if self.reads.len() >= READS_MAX {
            return false;
        }
        let bits = u32::try_from(channels).unwrap_or(u32::MAX).min(32);
        let missing = u32::MAX.checked_shr(32_u32.saturating_sub(bits)).unwrap_or(0);
        self.reads.push(PendingRead { number, deadline_ms: now_ms.saturating_add(self.config.read_patience_ms), missing });
        true
    }

    /// A channel was read because commands wanted it.
    pub fn note_read(&mut self, channel: u8) {
        let bit = 1_u32.checked_shl(channel.into()).unwrap_or(0);
        for read in &mut self.reads {
            read.missing &= !bit;
        }
    }

    /// Readings that are complete, or overdue.
    pub fn take_ended(&mut self, now_ms: u64) -> Vec<PendingRead> {
        self.reads.extract_if(.., |read| read.missing == 0 || read.deadline_ms <= now_ms).collect()
    }

    /// When the first reading is overdue.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.reads.iter().map(|read| read.deadline_ms).min()
    }
}

/// Numbers of answered commands, the greatest last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Answered(Vec<u64>);

impl Answered {
    /// Why a command with this number must not be carried out.
    fn standing(&self, number: u64) -> Option<Verdict> {
        let forgotten = self.0.len() >= REMEMBERED && self.0.first().is_some_and(|first| number < *first);
        if forgotten || self.0.contains(&number) {
            Some(Verdict::Replayed)
        } else {
            self.0.last().filter(|last| number < **last).map(|_| Verdict::Reordered)
        }
    }

    fn add(&mut self, number: u64) {
        if let Err(place) = self.0.binary_search(&number) {
            self.0.insert(place, number);
        }
        if self.0.len() > REMEMBERED {
            self.0.remove(0);
        }
    }

    fn to_note(&self) -> Vec<u8> {
        core::iter::once(NOTE_VERSION).chain(self.0.iter().flat_map(|number| number.to_le_bytes())).collect()
    }

    /// What makes no sense is no number; a note that was damaged does not get this far.
    fn from_note(note: &[u8]) -> Self {
        let Some((&NOTE_VERSION, numbers)) = note.split_first() else { return Self::default() };
        let mut answered = Self::default();
        for number in numbers.as_chunks::<8>().0 {
            answered.add(u64::from_le_bytes(*number));
        }
        answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_new_once() {
        let mut answered = Answered::default();
        assert_eq!(answered.standing(0), None);
        answered.add(10);
        assert_eq!([9, 10, 11].map(|number| answered.standing(number)), [Some(Verdict::Reordered), Some(Verdict::Replayed), None]);
        answered.add(9);
        assert_eq!(answered.standing(9), Some(Verdict::Replayed), "its refusal was told");
        assert_eq!(Answered::from_note(&answered.to_note()), answered);
        assert_eq!(Answered::from_note(&[9, 1, 2]), Answered::default());
    }

    #[test]
    fn what_is_forgotten_is_not_answered_again() {
        let mut answered = Answered::default();
        (100..100 + 2 * REMEMBERED as u64).for_each(|number| answered.add(number));
        assert_eq!(answered.0.len(), REMEMBERED);
        assert_eq!(answered.standing(100), Some(Verdict::Replayed));
        assert!(answered.to_note().len() <= crate::journal::NOTE_LEN_MAX);
    }
}
