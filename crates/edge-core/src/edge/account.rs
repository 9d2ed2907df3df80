//! Credit and relays in the journal's transaction: what changed is remembered and told before any relay moves.

use measure::{Channel as Number, Flags, Reading, Verdict, Watts};
use wire::command::Action;

use super::Edge;
use crate::clock::Now;
use crate::code::Rejected;
use crate::journal::{Journal, Note};
use crate::prepaid::Changes;
use crate::relay::{Indicator, Instant};

impl Edge {
    /// The relays of this meter: channel, whether it is to be closed, its light. Move them after the commit, and not before: what a relay
    /// does is remembered first.
    pub fn relays(&self) -> impl Iterator<Item = (Number, bool, Indicator)> {
        self.prepaid.relays()
    }

    /// What is left of a channel's credit: 0.001 Wh, or thousandths of the currency.
    pub fn credit(&self, channel: Number) -> Option<i64> {
        self.prepaid.balance(channel)
    }

    /// The consumer switches a channel on or off; on re-arms the limit.
    pub fn handle_switch<J: Journal>(&mut self, now: Now, journal: &mut J, channel: Number, on: bool) -> Result<(), J::Error> {
        self.observe(now, journal)?;
        let changes = self.prepaid.handle_switch(channel, on);
        self.keep(now, journal, channel, changes)
    }

    /// The consumer sets the power above which a channel is cut off, or lifts it.
    pub fn handle_limit<J: Journal>(&mut self, now: Now, journal: &mut J, channel: Number, limit: Option<Watts>) -> Result<(), J::Error> {
        self.observe(now, journal)?;
        let changes = self.prepaid.handle_limit(channel, limit);
        self.keep(now, journal, channel, changes)
    }

    /// Digits of a top-up code were typed for a channel: what is left of its credit, or why they were refused.
    pub fn handle_code<J: Journal>(
        &mut self,
        now: Now,
        journal: &mut J,
        channel: Number,
        digits: &str,
    ) -> Result<Result<i64, Rejected>, J::Error> {
        self.observe(now, journal)?;
        let instant = self.instant(now);
        let Some((meter, secret)) = self.code_secret.as_ref() else { return Ok(Err(Rejected::Wrong)) };
        let (answer, changes) = self.prepaid.handle_code(instant, (channel, meter, secret), digits);
        self.keep(now, journal, channel, changes)?;
        Ok(answer)
    }

    pub(super) fn account_reading<J: Journal>(&mut self, now: Now, journal: &mut J, reading: &Reading) -> Result<(), J::Error> {
        // Registers of a rejected sample are as doubtful as the rest of it; the next good one is debited from where the last one was.
        let believed = !reading.flags.contains(Flags::REJECTED);
        let instant = self.instant(now);
        let changes = self.prepaid.handle_reading(instant, reading.channel, reading, believed);
        self.keep(now, journal, reading.channel, changes)
    }

    pub(super) fn account_time<J: Journal>(&mut self, now: Now, journal: &mut J, channel: Number) -> Result<(), J::Error> {
        let instant = self.instant(now);
        let changes = self.prepaid.handle_time(instant, channel);
        self.keep(now, journal, channel, changes)
    }

    pub(super) fn account_command<J: Journal>(&mut self, now: Now, journal: &mut J, action: &Action) -> Result<(Verdict, i64), J::Error> {
        let instant = self.instant(now);
        let mut answer = (Verdict::NotEquipped, 0);
        let numbers = action.channel().map_or_else(|| self.prepaid.numbers(), |channel| [channel].to_vec());
        for (place, channel) in numbers.into_iter().enumerate() {
            let (verdict, value, changes) = self.prepaid.handle_command(instant, channel, action);
            self.keep(now, journal, channel, changes)?;
            // Of several, the first that was not done is told.
            if place == 0 || answer.0.is_done() {
                answer = (verdict, value);
            }
        }
        Ok(answer)
    }

    fn keep<J: Journal>(&mut self, now: Now, journal: &mut J, channel: Number, changes: Changes) -> Result<(), J::Error> {
        if let Some(account) = changes.account {
            journal.set_note(Note::Account(channel), &account)?;
        }
        if let Some(codes) = changes.codes {
            journal.set_note(Note::Codes, &codes)?;
        }
        for (kind, value) in changes.news {
            self.push_event(now, journal, channel, kind, value)?;
        }
        Ok(())
    }

    fn instant(&self, now: Now) -> Instant {
        let stamp = self.outbox.clock().stamp(now);
        Instant { monotonic_ms: now.monotonic_ms, utc: stamp.unclocked.is_none().then_some(stamp.time) }
    }

    /// Believes what the journal remembers, as after a start.
    pub(super) fn recall_accounts<J: Journal>(&mut self, journal: &J) -> Result<(), J::Error> {
        self.prepaid.reload_codes(journal.note(Note::Codes)?.as_deref());
        for channel in self.prepaid.numbers() {
            self.prepaid.reload(channel, journal.note(Note::Account(channel))?.as_deref());
        }
        Ok(())
    }
}
