//! Registers of a device that forgets them when its supply fails: the journal remembers them, in the transaction of the reading that tells of
//! them, so that none goes back below what the head-end was told.
//!
//! Rejected: noting every sample. A flash card would be written each second for a few mWh that a power cut would save.

use measure::{Channel as Number, Reading, WattHours};

use super::Edge;
use crate::channel::Registers;
use crate::journal::{Journal, Note};

/// First byte of the note.
const NOTE_VERSION: u8 = 1;
/// A register is noted without a reading, too, when it has moved so far: 10 Wh. It bounds what a power cut takes, whatever is reported.
const NOTED_EVERY_CENTIWATTHOURS: u64 = 1_000;

/// What is known of a channel's registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// As they were last read.
    last: Option<Registers>,
    /// As the journal has them.
    noted: Option<Registers>,
}

impl Edge {
    /// The registers that a device of this channel is to go on from, which forgets them itself: as they were last noted, and not below what
    /// its credit is debited for.
    pub fn registers(&self, channel: Number) -> Option<Registers> {
        let noted = self.known.as_ref()?.get(usize::from(channel))?.noted;
        let paid = self.prepaid.paid(channel).map(|import| Registers { import, ..Registers::default() });
        match (noted, paid) {
            (Some(noted), Some(paid)) => Some(Registers { import: noted.import.max(paid.import), ..noted }),
            (noted, paid) => noted.or(paid),
        }
    }

    /// Notes registers that have moved at all: before a stop, after which the device may forget them.
    pub fn handle_stop<J: Journal>(&mut self, journal: &mut J) -> Result<(), J::Error> {
        for (channel, known) in (0..=Number::MAX).zip(self.known.iter_mut().flatten()) {
            known.note(journal, channel)?;
        }
        Ok(())
    }

    /// A channel was read; `told` says whether the reading is journalled.
    pub(super) fn remember<J: Journal>(&mut self, journal: &mut J, reading: &Reading, told: bool) -> Result<(), J::Error> {
        let all = self.known.as_mut();
        let Some(known) = all.and_then(|all| all.get_mut(usize::from(reading.channel))) else { return Ok(()) };
        let last = Registers { import: reading.import.raw, export: reading.export.raw };
        known.last = Some(last);
        if told || known.noted.is_none_or(|noted| is_far(noted.import, last.import) || is_far(noted.export, last.export)) {
            known.note(journal, reading.channel)?;
        }
        Ok(())
    }

    /// Believes what the journal remembers, as after a start.
    pub(super) fn recall_registers<J: Journal>(&mut self, journal: &J) -> Result<(), J::Error> {
        for (channel, known) in (0..=Number::MAX).zip(self.known.iter_mut().flatten()) {
            known.noted = journal.note(Note::Registers(channel))?.as_deref().and_then(from_note);
        }
        Ok(())
    }
}

impl Known {
    fn note<J: Journal>(&mut self, journal: &mut J, channel: Number) -> Result<(), J::Error> {
        let Some(last) = self.last.filter(|_| self.last != self.noted) else { return Ok(()) };
        journal.set_note(Note::Registers(channel), &to_note(last))?;
        self.noted = Some(last);
        Ok(())
    }
}

const fn is_far(from: WattHours, to: WattHours) -> bool {
    from.centiwatthours().abs_diff(to.centiwatthours()) >= NOTED_EVERY_CENTIWATTHOURS
}

fn to_note(registers: Registers) -> [u8; 17] {
    let mut note = [NOTE_VERSION; 17];
    let bytes = [registers.import, registers.export].map(|it| it.centiwatthours().to_le_bytes());
    note.iter_mut().skip(1).zip(bytes.as_flattened()).for_each(|(to, byte)| *to = *byte);
    note
}

/// Nothing for what is no such note.
fn from_note(note: &[u8]) -> Option<Registers> {
    let ([NOTE_VERSION], rest) = note.split_first_chunk::<1>()? else { return None };
    let (import, rest) = rest.split_first_chunk::<8>()?;
    let energy = |bytes: [u8; 8]| WattHours::from_centiwatthours(i64::from_le_bytes(bytes));
    Some(Registers { import: energy(*import), export: energy(rest.try_into().ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_leads_back_and_nonsense_is_none() {
        let energy = WattHours::from_centiwatthours;
        let registers = Registers { import: energy(123_456_789_012), export: energy(7) };
        assert_eq!(from_note(&to_note(registers)), Some(registers));
        for nonsense in [&[][..], &[1], &[2; 17], &[1; 16], &[1; 18]] {
            assert_eq!(from_note(nonsense), None, "{nonsense:?}");
        }
    }
}
