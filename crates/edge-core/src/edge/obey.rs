//! Carrying out commands, each in the transaction that answers it.

use measure::{ActionKind, Channel as Number, EventKind, Flags, Outcome, Reading, Record, Verdict};
use wire::command::{Action, Command};

use super::Edge;
use crate::calibration::Gains;
use crate::clock::Now;
use crate::command::Judgement;
use crate::counters::Counters;
use crate::journal::{Journal, Note};
use crate::settings::HEARTBEAT_MS;

impl Edge {
    /// Bytes came on the topic of this meter's commands. What is believed is carried out, and answered in the journal.
    pub fn handle_command<J: Journal>(&mut self, now: Now, journal: &mut J, bytes: &[u8]) -> Result<(), J::Error> {
        self.observe(now, journal)?;
        let stamp = self.outbox.clock().stamp(now);
        match self.commands.judge(now.monotonic_ms, &stamp, bytes) {
            Judgement::CarryOut(command) => self.carry_out(now, journal, &command),
            Judgement::Refuse(command, verdict) => self.answer(now, journal, &command, verdict, 0),
            Judgement::Reject { verdict, tell } => {
                Counters::up(self.outbox.counters_mut().commands(verdict));
                if tell { self.push_event(now, journal, 0, EventKind::CommandRefused, verdict.code().into()) } else { Ok(()) }
            }
        }
    }

    fn carry_out<J: Journal>(&mut self, now: Now, journal: &mut J, command: &Command) -> Result<(), J::Error> {
        let (verdict, value) = match command.action {
            Action::Read if self.channels.is_empty() => (Verdict::NotEquipped, 0),
            Action::Read => {
                // Answered when the channels have been read; until then nothing is remembered, so that a power cut lets it come again.
                if self.commands.want_read(now.monotonic_ms, command.number, self.channels.len()) {
                    self.channels.iter_mut().for_each(crate::channel::Channel::request);
                }
                return Ok(());
            }
            Action::ReportInterval { heartbeat_ms } if HEARTBEAT_MS.contains(&heartbeat_ms) => {
                self.settings.heartbeat_ms = Some(heartbeat_ms);
                (self.apply_settings(journal)?, 0)
            }
            Action::Calibration { channel, .. } if self.channels.get(usize::from(channel)).is_none() => (Verdict::NotEquipped, 0),
            Action::Calibration { channel, voltage_ppm, current_ppm } => match Gains::from_corrections(voltage_ppm, current_ppm) {
                Some(gains) => {
                    self.settings.set_gains(channel, gains);
                    (self.apply_settings(journal)?, 0)
                }
                None => (Verdict::OutOfRange, 0),
            },
            Action::ReportInterval { .. } => (Verdict::OutOfRange, 0),
            Action::TopUp { .. } | Action::Relay { .. } | Action::Limit { .. } => self.account_command(now, journal, &command.action)?,
        };
        self.answer(now, journal, command, verdict, value)
    }

    /// Remembers what commands have set, and acts on it.
    fn apply_settings<J: Journal>(&mut self, journal: &mut J) -> Result<Verdict, J::Error> {
        journal.set_note(Note::Settings, &self.settings.to_note())?;
        self.settings.apply(&mut self.channels);
        Ok(Verdict::Done)
    }

    fn answer<J: Journal>(&mut self, now: Now, journal: &mut J, it: &Command, verdict: Verdict, value: i64) -> Result<(), J::Error> {
        let channel = it.action.channel().unwrap_or(0);
        self.push_outcome(now, journal, (channel, it.number, it.action.kind()), (verdict, value))
    }

    fn push_outcome<J: Journal>(
        &mut self,
        now: Now,
        journal: &mut J,
        (channel, number, action): (Number, u64, ActionKind),
        (verdict, value): (Verdict, i64),
    ) -> Result<(), J::Error> {
        Counters::up(self.outbox.counters_mut().commands(verdict));
        let note = self.commands.answer(number);
        journal.set_note(Note::Commands, &note)?;
        let stamp = self.outbox.clock().stamp(now);
        let outcome = Outcome { time: stamp.time, clock: stamp.clock, channel, number, action, verdict, value };
        self.outbox.push(now, journal, &Record::Outcome(outcome), stamp.unclocked)
    }

    /// A reading was journalled: perhaps the one that a command waits for.
    pub(super) fn note_read<J: Journal>(&mut self, now: Now, journal: &mut J, reading: &Reading) -> Result<(), J::Error> {
        if reading.flags.contains(Flags::REQUESTED) {
            self.commands.note_read(reading.channel);
        }
        self.end_reads(now, journal)
    }

    /// Answers readings that are complete or overdue.
    pub(super) fn end_reads<J: Journal>(&mut self, now: Now, journal: &mut J) -> Result<(), J::Error> {
        for read in self.commands.take_ended(now.monotonic_ms) {
            let verdict = if read.missing == 0 { Verdict::Done } else { Verdict::NoData };
            self.push_outcome(now, journal, (0, read.number, ActionKind::Read), (verdict, 0))?;
        }
        Ok(())
    }

    /// Believes what the journal remembers, as after a start.
    pub(super) fn recall<J: Journal>(&mut self, journal: &J) -> Result<(), J::Error> {
        self.commands.reload(journal.note(Note::Commands)?.as_deref());
        self.settings = crate::settings::Settings::from_note(journal.note(Note::Settings)?.as_deref().unwrap_or_default());
        self.settings.apply(&mut self.channels);
        self.recall_accounts(journal)?;
        self.recall_registers(journal)
    }
}
