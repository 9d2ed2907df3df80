//! The prepaid part of a meter: an account for each channel that has one, and what its relay is to do. Pure.

use alloc::vec::Vec;

use measure::{Channel as Number, EventKind, MeterId, Reading, Verdict, WattHours, Watts};
use wire::command::{Action, Amount};

use crate::code::{Codes, Rejected, Secret};
use crate::credit::{self, Account, Unit};
use crate::relay::{self, Indicator, Instant, News, Standing};

/// What one channel has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Its credit, if it is prepaid.
    pub credit: Option<credit::Config>,
    /// Its relay's policy.
    pub relay: relay::Config,
}

/// What changed in a meter's accounts: notes to be set, and events to be told, before the relay moves.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub account: Option<Vec<u8>>,
    pub codes: Option<Vec<u8>>,
    pub news: Vec<News>,
}

#[derive(Clone, Debug)]
struct Channel {
    config: Config,
    account: Account,
    /// As the journal has it.
    saved: Vec<u8>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Prepaid {
    channels: Vec<Option<Channel>>,
    codes: Codes,
}

impl Prepaid {
    /// Channel 0, 1 …: those without a relay have none.
    pub fn new(configs: Vec<Option<Config>>) -> Self {
        let channel = |config| Channel { config, account: Account::default(), saved: Vec::new() };
        Self { channels: configs.into_iter().map(|config| config.map(channel)).collect(), codes: Codes::default() }
    }

    /// The channels that have an account.
    pub fn numbers(&self) -> Vec<Number> {
        let numbered = (0..=Number::MAX).zip(&self.channels);
        numbered.filter(|(_, channel)| channel.is_some()).map(|(number, _)| number).collect()
    }

    /// Believes a channel's note, as after a start.
    pub fn reload(&mut self, number: Number, note: Option<&[u8]>) {
        if let Some(channel) = self.channel(number) {
            channel.account = note.and_then(Account::from_note).unwrap_or_default();
            channel.saved = note.unwrap_or_default().to_vec();
        }
    }

    /// Believes the note of codes.
    pub fn reload_codes(&mut self, note: Option<&[u8]>) {
        self.codes = note.map(Codes::from_note).unwrap_or_default();
    }

    fn channel(&mut self, number: Number) -> Option<&mut Channel> {
        self.channels.get_mut(usize::from(number))?.as_mut()
    }

    /// A channel was read. `believed` says whether its register may be.
    pub fn handle_reading(&mut self, now: Instant, number: Number, reading: &Reading, believed: bool) -> Changes {
        self.with(number, |channel, news| {
            if believed {
                channel.debit(reading.import.raw);
            }
            channel.settle(now, news);
            if reading.is_measured() {
                channel.account.relay.handle_power(now, &channel.config.relay, reading.active_power, news);
            }
        })
    }

    /// Time passes without a reading.
    pub fn handle_time(&mut self, now: Instant, number: Number) -> Changes {
        self.with(number, |channel, news| channel.settle(now, news))
    }

    /// A command about a channel: what became of it, and what is left of the credit.
    pub fn handle_command(&mut self, now: Instant, number: Number, action: &Action) -> (Verdict, i64, Changes) {
        let mut answer = (Verdict::NotEquipped, 0);
        let changes = self.with(number, |channel, news| answer = channel.obey(now, action, news));
        (answer.0, answer.1, changes)
    }

    /// The consumer switches a channel, which also re-arms the limit.
    pub fn handle_switch(&mut self, number: Number, on: bool) -> Changes {
        self.with(number, |channel, news| channel.account.relay.handle_consumer(on, news))
    }

    /// The consumer sets the channel's limit, or lifts it.
    pub fn handle_limit(&mut self, number: Number, limit: Option<Watts>) -> Changes {
        self.with(number, |channel, news| channel.account.relay.set_limit(limit, news))
    }

    /// Digits of a top-up code were typed for a channel. What is left of the credit.
    pub fn handle_code(
        &mut self,
        now: Instant,
        (number, meter, secret): (Number, &MeterId, &Secret),
        digits: &str,
    ) -> (Result<i64, Rejected>, Changes) {
        let Some(unit) = self.channel(number).and_then(|channel| channel.unit()) else {
            return (Err(Rejected::Wrong), Changes::default());
        };
        let before = self.codes.clone();
        let accepted = self.codes.accept(secret, meter, number, digits, now.monotonic_ms);
        let codes = (self.codes.to_note() != before.to_note()).then(|| self.codes.to_note());
        let mut answer = accepted.map(|_| 0);
        let mut changes = self.with(number, |channel, news| match accepted {
            Ok(tenths) => {
                let left = channel.top_up(now, amount(unit, tenths), news).unwrap_or(channel.account.credit.balance);
                answer = Ok(left);
                news.push((EventKind::CodeAccepted, left));
            }
            Err(why) => news.push((EventKind::CodeRefused, code_of(why))),
        });
        changes.codes = codes;
        (answer, changes)
    }

    /// What the relays of a meter are to be, and their lights.
    pub fn relays(&self) -> impl Iterator<Item = (Number, bool, Indicator)> {
        let numbered = (0..=Number::MAX).zip(&self.channels);
        numbered
            .filter_map(|(number, channel)| channel.as_ref().map(|it| (number, it.account.relay.is_closed(), it.account.relay.indicator())))
    }

    /// What is left of a channel's credit, in its unit.
    pub fn balance(&self, number: Number) -> Option<i64> {
        let channel = self.channels.get(usize::from(number))?.as_ref()?;
        channel.config.credit.as_ref().map(|_| channel.account.credit.balance)
    }

    /// The register up to which a channel's credit is debited.
    pub fn paid(&self, number: Number) -> Option<WattHours> {
        self.channels.get(usize::from(number))?.as_ref()?.account.credit.paid()
    }

    fn with(&mut self, number: Number, change: impl FnOnce(&mut Channel, &mut Vec<News>)) -> Changes {
        let mut changes = Changes::default();
        let Some(channel) = self.channel(number) else { return changes };
        change(channel, &mut changes.news);
        let note = channel.account.to_note();
        if note != channel.saved {
            channel.saved.clone_from(&note);
            changes.account = Some(note);
        }
        changes
    }
}

impl Channel {
    fn unit(&self) -> Option<Unit> {
        self.config.credit.as_ref().map(|credit| credit.unit)
    }

    fn debit(&mut self, import: WattHours) {
        if let Some(unit) = self.unit() {
            self.account.credit.debit(unit, import);
        }
    }

    /// The relay follows the credit.
    fn settle(&mut self, now: Instant, news: &mut Vec<News>) {
        let standing = self.config.credit.as_ref().map_or(Standing::Good, |config| self.account.credit.standing(config));
        self.account.relay.handle_credit(now, &self.config.relay, standing, news);
    }

    fn top_up(&mut self, now: Instant, amount: Amount, news: &mut Vec<News>) -> Option<i64> {
        let left = self.account.credit.top_up(self.unit()?, amount).ok()?;
        self.settle(now, news);
        Some(left)
    }

    fn obey(&mut self, now: Instant, action: &Action, news: &mut Vec<News>) -> (Verdict, i64) {
        match *action {
            Action::TopUp { .. } if self.config.credit.is_none() => (Verdict::NotEquipped, 0),
            Action::TopUp { amount, .. } => match self.top_up(now, amount, news) {
                Some(left) => (Verdict::Done, left),
                None => (Verdict::OutOfRange, 0),
            },
            Action::Relay { on, .. } => {
                self.account.relay.handle_supplier(on, news);
                // The supplier's reason is gone; another one may hold.
                (if on && !self.account.relay.is_closed() { Verdict::Interlocked } else { Verdict::Done }, 0)
            }
            Action::Limit { watts, .. } => {
                match watts.map(|watts| i32::try_from(watts.saturating_mul(10)).map(Watts::from_deciwatts)).transpose() {
                    Ok(limit) => {
                        self.account.relay.set_limit(limit, news);
                        (Verdict::Done, 0)
                    }
                    Err(_) => (Verdict::OutOfRange, 0),
                }
            }
            Action::Read | Action::ReportInterval { .. } | Action::Calibration { .. } => (Verdict::NotEquipped, 0),
        }
    }
}

fn amount(unit: Unit, tenths: u32) -> Amount {
    match unit {
        Unit::Energy => Amount::MilliwattHours(i64::from(tenths).saturating_mul(100_000)),
        Unit::Money { .. } => Amount::Thousandths(i64::from(tenths).saturating_mul(100)),
    }
}

const fn code_of(why: Rejected) -> i64 {
    match why {
        Rejected::Form => 1,
        Rejected::Wrong => 2,
        Rejected::Used => 3,
        Rejected::Wait(_) => 4,
    }
}
