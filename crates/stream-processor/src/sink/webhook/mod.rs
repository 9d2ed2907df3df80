//! Alerts to an Alertmanager, each change at least once, in order, and what holds again and again.
//!
//! How far alerts were told is committed in Kafka after the answer. So a change may be told twice (after a death between answer and
//! commit, and by somebody who was replaced and doesn't know it yet), which is the same alert to an Alertmanager; none is left out.

mod notice;
mod post;
mod source;

use std::time::{Duration, Instant};

use contracts::AlertRecord;
use contracts::topics::KafkaTopic;
use rdkafka::Message;
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;

use super::backoff::Backoff;
use super::http::{HttpSetupError, PostError};
use super::metrics::{Health, Sink, SinkMetrics, Skipped};
use crate::clock::unix_now;
use crate::config;
use crate::derive::source::after;
use crate::kafka::{Clients, Group};
use crate::metrics::Metrics;
use crate::ownership::{Lost, Work};
use crate::transaction::{Failed, Stop, Transactor};
use notice::{Open, notice};
use post::Mailbox;
use source::{Next, Source};

/// Longest sleep of a worker with nothing to do; a request to stop is seen as fast.
const IDLE: Duration = Duration::from_millis(100);
/// How far is committed after so many records, or when there are no more.
const UNCOMMITTED_MAX: u32 = 100;
/// Alerts in one POST when they are told again.
const ALERTS_A_POST: usize = 100;

/// The group's work.
pub struct Webhook {
    clients: Clients,
    mailbox: Mailbox,
    repeat: Duration,
    metrics: Metrics,
}

impl Webhook {
    /// The work as `[webhook]` says. Nobody is asked yet.
    pub fn new(config: &config::Webhook, clients: &Clients, metrics: &Metrics) -> Result<Self, HttpSetupError> {
        let (mailbox, repeat) = (Mailbox::new(config)?, Duration::from_millis(config.repeat_ms));
        Ok(Self { clients: clients.clone(), mailbox, repeat, metrics: metrics.clone() })
    }
}

impl Work for Webhook {
    fn group(&self) -> Group {
        Group::WEBHOOK
    }

    fn topic(&self) -> KafkaTopic {
        contracts::topics::ALERTS
    }

    fn clients(&self) -> &Clients {
        &self.clients
    }

    fn work(&self, partition: i32, stop: &Stop) -> Result<(), Lost> {
        let transactor = match Transactor::open(&self.clients, Group::WEBHOOK, partition, stop) {
            Err(_) if stop.requested() => return Ok(()),
            opened => opened?,
        };
        let unreadable = |source| Lost::Source { topic: self.clients.topic(&self.topic()), source };
        let source = Source::open(&self.clients, partition).map_err(unreadable)?;
        let metrics = &self.metrics.sinks;
        let mut worker = Worker {
            webhook: self,
            partition,
            transactor,
            open: Open::default(),
            next: source.start,
            is_at_end: false,
            uncommitted: u32::from(source.is_first),
            repeat_at: Instant::now(),
            backoff: Backoff::default(),
            health: metrics.health(Sink::Webhook),
        };
        while !stop.requested() {
            let is_idle = match source.next(IDLE).map_err(unreadable)? {
                Next::Record(message) => {
                    worker.take(&message, stop);
                    false
                }
                Next::End => {
                    worker.is_at_end = true;
                    true
                }
                Next::Nothing => true,
            };
            if worker.uncommitted > 0 && (is_idle || worker.uncommitted >= UNCOMMITTED_MAX) {
                worker.commit(&source, stop)?;
            }
            worker.repeat(stop);
        }
        if worker.uncommitted > 0 { worker.commit(&source, stop) } else { Ok(()) }
    }

    /// It looks for itself, several times a second.
    fn close(&self, _: i32) {}
}

struct Worker<'a> {
    webhook: &'a Webhook,
    partition: i32,
    transactor: Transactor,
    open: Open,
    /// The first record that was not told.
    next: i64,
    /// Whether what holds is known.
    is_at_end: bool,
    /// Records told and not committed.
    uncommitted: u32,
    repeat_at: Instant,
    backoff: Backoff,
    health: Health,
}

impl Worker<'_> {
    fn metrics(&self) -> &SinkMetrics {
        &self.webhook.metrics.sinks
    }

    fn repeat_ms(&self) -> i64 {
        i64::try_from(self.webhook.repeat.as_millis()).unwrap_or(i64::MAX)
    }

    /// Takes a record, and tells of it if no predecessor has.
    fn take(&mut self, message: &BorrowedMessage<'_>, stop: &Stop) {
        let is_new = message.offset() >= self.next;
        let Some(value) = message.payload() else {
            let key = message.key().and_then(|key| std::str::from_utf8(key).ok()).and_then(|key| key.parse().ok());
            key.into_iter().for_each(|alert| self.open.forget(alert));
            return self.taken(message, is_new);
        };
        let record = match serde_json::from_slice::<AlertRecord>(value) {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(offset = message.offset(), %error, "no alert: passed over");
                if is_new {
                    self.metrics().skipped(Sink::Webhook, Skipped::Unreadable, 1);
                }
                return self.taken(message, is_new);
            }
        };
        if !self.open.take(&record) {
            tracing::warn!(alert = %record.alert, "more alerts than are told again: this one is told once");
        }
        if !is_new {
            return;
        }
        let begin = Instant::now();
        match self.tell(&record, stop) {
            Told::Yes => {
                self.metrics().delivered(Sink::Webhook, 1, begin.elapsed().as_secs_f64());
                let written = message.timestamp().to_millis().unwrap_or_default();
                self.metrics().delay(Sink::Webhook, self.partition, unix_now().0.saturating_sub(written).max(0));
                self.taken(message, true);
            }
            Told::Never => {
                self.metrics().skipped(Sink::Webhook, Skipped::Unstorable, 1);
                self.taken(message, true);
            }
            // It is told by whoever comes next.
            Told::Stopped => {}
        }
    }

    fn taken(&mut self, message: &BorrowedMessage<'_>, is_new: bool) {
        if is_new {
            self.next = after(message);
            self.uncommitted = self.uncommitted.saturating_add(1);
        }
    }

    /// Tells of a change, as often as it takes.
    fn tell(&mut self, record: &AlertRecord, stop: &Stop) -> Told {
        loop {
            let Some(notice) = notice(record, unix_now(), self.repeat_ms()) else {
                tracing::error!(alert = %record.alert, "an alert outside the calendar can't be told");
                return Told::Never;
            };
            match self.webhook.mailbox.post(&[notice]) {
                Ok(()) => {
                    self.went_through();
                    return Told::Yes;
                }
                Err(error) if error.is_for_ever() => {
                    tracing::error!(alert = %record.alert, %error, "the webhook refuses an alert: passed over");
                    self.metrics().failed(Sink::Webhook, error.failure());
                    return Told::Never;
                }
                Err(error) => self.failed(&error),
            }
            self.backoff.wait(stop);
            if stop.requested() {
                return Told::Stopped;
            }
        }
    }

    /// Tells again of what holds, when it is time.
    fn repeat(&mut self, stop: &Stop) {
        let now = Instant::now();
        if !self.is_at_end || now < self.repeat_at {
            return;
        }
        self.repeat_at = now.checked_add(self.webhook.repeat).unwrap_or(now);
        for alerts in self.open.notices(unix_now(), self.repeat_ms()).chunks(ALERTS_A_POST) {
            match self.webhook.mailbox.post(alerts) {
                Ok(()) => self.went_through(),
                Err(error) => {
                    self.failed(&error);
                    self.backoff.wait(stop);
                    self.repeat_at = now;
                    return;
                }
            }
        }
    }

    fn went_through(&mut self) {
        self.backoff.reset();
        if self.health.delivered() {
            tracing::info!(partition = self.partition, "the webhook takes alerts again");
        }
    }

    fn failed(&mut self, error: &PostError) {
        self.metrics().failed(Sink::Webhook, error.failure());
        // Once an outage, not with every attempt.
        if self.health.failed(error.failure()) {
            tracing::warn!(partition = self.partition, %error, "the webhook takes no alerts; they are told again");
        }
    }

    /// Keeps how far alerts were told, in a transaction of nothing else: its fence keeps out whoever was replaced.
    fn commit(&mut self, source: &Source, stop: &Stop) -> Result<(), Lost> {
        let unknown = |error: KafkaError| Lost::from(Failed::Unknown(error));
        self.transactor.write(std::iter::empty(), stop)?;
        let (offsets, group) = source.offsets(self.next).map_err(unknown)?;
        self.transactor.send_offsets(&offsets, group, stop)?;
        self.transactor.commit(stop)?;
        self.uncommitted = 0;
        Ok(())
    }
}

/// What became of telling.
enum Told {
    Yes,
    Never,
    Stopped,
}
