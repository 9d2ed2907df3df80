//! The machine: one meter, from samples to frames.
//!
//! # Grammar
//!
//! An [`Edge`] does nothing by itself. Its owner, the shell, has the clock, the journal's file and the sockets, and calls:
//!
//! - [`Edge::start`] once, with fresh randomness;
//! - `handle_*` for whatever happens: samples, failed polls, events, acknowledgements, connections, timeouts;
//! - `poll_*` for what it wants: [`Edge::poll_transmit`] until it has nothing more, [`Edge::poll_timeout`] for when to call
//!   [`Edge::handle_timeout`] if nothing else happens first. Both may have changed after every `handle_*`.
//!
//! In this order, for each round of whatever happened:
//!
//! 1. `handle_*`, as often as needed, and `poll_transmit` until it returns nothing. All of it changes the journal's open transaction;
//!    the same one may hold the rounds of many meters.
//! 2. Commit. Then [`Edge::handle_committed`], and *then* publish the frames. A frame must not leave before the commit: it carries
//!    numbers that a crash would give to other rows.
//! 3. If the commit failed, or any call returned an error: roll back, throw away the frames of this round, and call
//!    [`Edge::handle_commit_failed`], which reads the state of delivery from the journal again, before anything else.
//!
//! `now` never goes back in its monotonic part. A frame that was published may be lost, late or repeated; so may be acknowledgements.

mod account;
mod obey;
mod remember;

use alloc::vec::Vec;

use measure::{Channel as Number, Event, EventKind, Gap, GapReason, MeterId, Reading, Record};
use wire::ack::Ack;

use crate::calibration::Calibration;
use crate::channel::{self, Channel, Registers, Sample};
use crate::clock::{Learnt, Now, Stamp};
use crate::code::Secret;
use crate::command::{self, Commands};
use crate::condition::{self, Condition, Measured};
use crate::counters::Counters;
use crate::journal::Journal;
use crate::outbox::{self, Outbox, Transmit};
use crate::prepaid::{self, Prepaid};
use crate::report;
use crate::settings::Settings;

/// One meter.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// How rows travel.
    pub outbox: outbox::Config,
    /// Which readings are worth sending.
    pub report: report::Config,
    /// When a channel's states change.
    pub channel: channel::Config,
    /// The filters of the meter's channels: channel 0, 1 …
    pub channels: Vec<estimator::Config>,
    /// The calibrations of the same channels; none for those at the end that are left out.
    pub calibrations: Vec<Option<Calibration>>,
    /// Whom to obey.
    pub commands: command::Config,
    /// Credit and relays of the channels: channel 0, 1 …
    pub prepaid: Vec<Option<prepaid::Config>>,
    /// The secret under which this meter's top-up codes are made; without it none is accepted.
    pub code_secret: Option<Secret>,
    /// When the meter is hot, and its battery low.
    pub condition: condition::Config,
    /// Whether the device forgets its registers when its supply fails, so that the journal has to remember them: [`Edge::registers`].
    pub keeps_registers: bool,
}

/// Why a poll brought no sample. Absence is told as such, never as a zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoData {
    /// The device did not answer in time.
    Timeout,
    /// The answer was damaged, or not the answer to the question.
    Damaged,
    /// The device answered with an error.
    Refused,
    /// The device could not be asked: the bus is busy, or the port is not there.
    Unavailable,
}

/// One meter's brain. See the module for the order of calls.
#[derive(Debug)]
pub struct Edge {
    outbox: Outbox,
    channels: Vec<Channel>,
    commands: Commands,
    settings: Settings,
    prepaid: Prepaid,
    code_secret: Option<(MeterId, Secret)>,
    condition: (condition::Config, Condition),
    known: Option<Vec<remember::Known>>,
}

impl Edge {
    /// A new start of this meter's service. Counts it in the journal and tells of it. `seed` is fresh randomness, never used before.
    pub fn start<J: Journal>(config: Config, seed: [u8; 32], now: Now, journal: &mut J) -> Result<Self, J::Error> {
        let Config { outbox, report, channel, channels, calibrations, commands, prepaid, code_secret, condition, keeps_registers } = config;
        let known = keeps_registers.then(|| alloc::vec![remember::Known::default(); channels.len()]);
        let calibrations = calibrations.into_iter().chain(core::iter::repeat(None));
        let channels = (0..=Number::MAX).zip(channels).zip(calibrations);
        let channels = channels.map(|((number, filter), calibration)| Channel::new(number, channel, calibration, filter, report)).collect();
        let outbox = Outbox::start(outbox, seed, now, journal)?;
        let mut edge = Self {
            outbox,
            channels,
            code_secret: commands.meter.clone().zip(code_secret),
            commands: Commands::new(commands),
            settings: Settings::default(),
            prepaid: Prepaid::new(prepaid),
            condition: (condition, Condition::default()),
            known,
        };
        edge.recall(journal)?;
        let starts = i64::try_from(edge.outbox.clock().start()).unwrap_or(i64::MAX);
        edge.handle_event(now, journal, 0, EventKind::Started, starts)?;
        if !edge.knows_utc() {
            edge.handle_event(now, journal, 0, EventKind::ClockUnknown, 0)?;
        }
        let told: Vec<_> = edge.channels.iter().filter_map(|channel| Some((channel.number(), channel.calibration()?.events()))).collect();
        for (channel, events) in told {
            for (kind, value) in events {
                edge.push_event(now, journal, channel, kind, value)?;
            }
        }
        Ok(edge)
    }

    /// A channel was measured: runs its filter, and journals a reading if it is worth sending, and what else the sample tells.
    pub fn handle_sample<J: Journal>(&mut self, now: Now, journal: &mut J, channel: Number, sample: &Sample) -> Result<(), J::Error> {
        self.handle_measured(now, journal, channel, |state, stamp| state.handle_sample(now.monotonic_ms, stamp, sample))
    }

    /// The registers of a channel were read whose meter shows nothing else: journals a reading if it is worth sending.
    pub fn handle_registers<J: Journal>(&mut self, now: Now, journal: &mut J, channel: Number, it: &Registers) -> Result<(), J::Error> {
        self.handle_measured(now, journal, channel, |state, stamp| state.handle_registers(now.monotonic_ms, stamp, it))
    }

    fn handle_measured<J: Journal>(
        &mut self,
        now: Now,
        journal: &mut J,
        channel: Number,
        handle: impl FnOnce(&mut Channel, &Stamp) -> channel::Outcome,
    ) -> Result<(), J::Error> {
        self.observe(now, journal)?;
        let stamp = self.outbox.clock().stamp(now);
        let Some(state) = self.channels.get_mut(usize::from(channel)) else {
            Counters::up(&mut self.outbox.counters_mut().samples_of_unknown_channel);
            return Ok(());
        };
        let outcome = handle(state, &stamp);
        self.count(&outcome);
        for (kind, value) in outcome.news {
            self.push_event(now, journal, channel, kind, value)?;
        }
        match &outcome.reading {
            Some((reading, due)) => {
                self.account_reading(now, journal, reading)?;
                self.remember(journal, reading, *due)?;
            }
            None => self.account_time(now, journal, channel)?,
        }
        match outcome.reading {
            Some((reading, true)) => {
                self.push_reading(now, journal, reading, stamp.unclocked)?;
                self.note_read(now, journal, &reading)
            }
            _ => Ok(()),
        }
    }

    /// A channel was polled in vain.
    pub fn handle_no_data<J: Journal>(&mut self, now: Now, journal: &mut J, channel: Number, cause: NoData) -> Result<(), J::Error> {
        self.observe(now, journal)?;
        let counters = self.outbox.counters_mut();
        Counters::up(match cause {
            NoData::Timeout => &mut counters.no_data_timeout,
            NoData::Damaged => &mut counters.no_data_damaged,
            NoData::Refused => &mut counters.no_data_refused,
            NoData::Unavailable => &mut counters.no_data_unavailable,
        });
        let news = self.channels.get_mut(usize::from(channel)).and_then(|state| state.handle_no_data(now.monotonic_ms));
        if let Some((kind, value)) = news {
            self.push_event(now, journal, channel, kind, value)?;
        }
        self.account_time(now, journal, channel)
    }

    /// The meter's own condition was measured: tells what has changed of it.
    pub fn handle_condition<J: Journal>(&mut self, now: Now, journal: &mut J, measured: &Measured) -> Result<(), J::Error> {
        self.observe(now, journal)?;
        let (config, condition) = &mut self.condition;
        for (kind, value) in condition.handle(config, measured) {
            self.push_event(now, journal, 0, kind, value)?;
        }
        Ok(())
    }

    /// Something happened that only the shell can know, for example that the supply is failing.
    pub fn handle_event<J: Journal>(
        &mut self,
        now: Now,
        journal: &mut J,
        channel: Number,
        kind: EventKind,
        value: i64,
    ) -> Result<(), J::Error> {
        self.observe(now, journal)?;
        self.push_event(now, journal, channel, kind, value)
    }

    /// The shell knows of records that are gone: damaged rows that it had to drop, for example.
    pub fn handle_gap<J: Journal>(&mut self, now: Now, journal: &mut J, gap: Gap) -> Result<(), J::Error> {
        self.observe(now, journal)?;
        self.outbox.push(now, journal, &Record::Gap(gap), None)
    }

    /// The head-end acknowledged something.
    pub fn handle_ack<J: Journal>(&mut self, now: Now, journal: &mut J, ack: &Ack) -> Result<(), J::Error> {
        self.observe(now, journal)?;
        self.outbox.handle_ack(now, journal, ack)
    }

    /// There is a connection to the head-end, a new one.
    pub fn handle_connected(&mut self) {
        self.outbox.handle_connected();
    }

    /// There is none any more; nothing is sent until the next.
    pub fn handle_disconnected(&mut self) {
        self.outbox.handle_disconnected();
    }

    /// The time that [`Self::poll_timeout`] named has come. Harmless if it has not.
    pub fn handle_timeout(&mut self, now: Now) {
        self.outbox.handle_timeout(now);
    }

    /// The journal's transaction is committed; frames handed out since the last one may leave.
    pub fn handle_committed(&mut self) {
        self.outbox.handle_committed();
    }

    /// The journal's transaction failed and was rolled back; frames handed out since the last one must not leave. The rows it held
    /// are gone, and become a gap with this reason as soon as the journal can be written.
    pub fn handle_commit_failed<J: Journal>(&mut self, journal: &mut J, reason: GapReason) -> Result<(), J::Error> {
        self.outbox.handle_commit_failed(journal, reason)?;
        self.recall(journal)
    }

    /// The next frame to publish after the commit, if there is a connection, something waits and the window has room.
    pub fn poll_transmit<J: Journal>(&mut self, now: Now, journal: &mut J) -> Result<Option<Transmit>, J::Error> {
        self.observe(now, journal)?;
        self.end_reads(now, journal)?;
        self.outbox.poll_transmit(now, journal)
    }

    /// When to call [`Self::handle_timeout`], in ms of the monotonic clock.
    pub fn poll_timeout(&self) -> Option<u64> {
        self.outbox.poll_timeout().into_iter().chain(self.commands.deadline_ms()).min()
    }

    /// Whether everything journalled was acknowledged.
    pub fn is_drained<J: Journal>(&self, journal: &J) -> Result<bool, J::Error> {
        self.outbox.is_drained(journal)
    }

    /// Whether UTC is known; nothing new is numbered before.
    pub const fn knows_utc(&self) -> bool {
        self.outbox.clock().offset_ms().is_some()
    }

    /// What was dropped and ignored.
    pub const fn counters(&self) -> &Counters {
        self.outbox.counters()
    }

    fn observe<J: Journal>(&mut self, now: Now, journal: &mut J) -> Result<(), J::Error> {
        match self.outbox.observe(now, journal)? {
            Learnt::Jump(millis) => self.push_event(now, journal, 0, EventKind::ClockSet, millis),
            Learnt::Nothing | Learnt::Utc => Ok(()),
        }
    }

    fn push_event<J: Journal>(&mut self, now: Now, journal: &mut J, channel: Number, kind: EventKind, value: i64) -> Result<(), J::Error> {
        let stamp = self.outbox.clock().stamp(now);
        let event = Event { time: stamp.time, clock: stamp.clock, channel, kind, value };
        self.outbox.push(now, journal, &Record::Event(event), stamp.unclocked)
    }

    fn push_reading<J: Journal>(&mut self, now: Now, journal: &mut J, reading: Reading, unclocked: Option<u64>) -> Result<(), J::Error> {
        self.outbox.push(now, journal, &Record::Reading(reading), unclocked)
    }

    fn count(&mut self, outcome: &channel::Outcome) {
        let counters = self.outbox.counters_mut();
        Counters::up(&mut counters.samples);
        counters.events_repeated = counters.events_repeated.saturating_add(outcome.held_back);
        match outcome.reading {
            Some((_, true)) => {}
            Some((_, false)) => Counters::up(&mut counters.samples_unsent),
            None if outcome.out_of_range => Counters::up(&mut counters.samples_out_of_range),
            None => Counters::up(&mut counters.samples_implausible),
        }
    }
}
