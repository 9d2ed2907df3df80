//! The sending side of all connections to brokers. Nothing waits for a broker that is not there: what cannot be sent now is given up and
//! counted, because a late acknowledgement is worth nothing (its meter asks again) and a late value has a successor.

use contracts::alerts::AlertSeverity;
use contracts::{AlertRecord, LiveValue, ReadingRecord};
use measure::{Account, MeterId};
use rumqttc::{AsyncClient, QoS};
use tokio::sync::watch;
use wire::topic::{Severity, Topic};

use crate::acks::{Acks, Message};
use crate::metrics::{BrokerMetrics, Metrics, Unsent};

/// The sending side of one connection.
#[derive(Clone)]
pub struct Sender {
    /// Hands requests to the connection.
    pub client: AsyncClient,
    /// Whether it leads to a gate of ours.
    pub is_gate: bool,
    /// Counts connections; 0 while there is none.
    pub connection: watch::Receiver<u64>,
    /// What is counted for this broker.
    pub metrics: BrokerMetrics,
}

/// The sending side of all links.
#[derive(Clone)]
pub struct Links {
    links: Vec<Sender>,
    /// Counts connections of all gates.
    arrivals: watch::Sender<u64>,
}

impl Links {
    /// In the order of their numbers.
    pub fn new(links: Vec<Sender>) -> Self {
        Self { links, arrivals: watch::Sender::default() }
    }

    /// Sends acknowledgements, each by the link that its frame came by.
    pub fn acknowledge(&self, acks: &mut Acks, metrics: &Metrics) {
        let is_gate = |link: usize| self.links.get(link).is_some_and(|it| it.is_gate);
        acks.drain(is_gate, |Message { link, topic, payload, acks }| {
            match self.links.get(link).filter(|it| it.publish(&topic, false, payload)) {
                Some(link) => drop(link.metrics.acks_sent.inc_by(acks)),
                None => metrics.unsent(Unsent::Ack, acks),
            }
        });
    }

    /// Publishes a live value on every broker; false if one of them did not take it.
    pub fn live(&self, reading: &ReadingRecord) -> bool {
        let Ok(value) = serde_json::to_vec(&LiveValue::from(reading)) else { return false };
        let topic = Topic::Live { account: Account::new(&reading.meter, reading.channel) };
        self.links.iter().filter(|link| !link.publish(&topic, true, value.clone())).count() == 0
    }

    /// Publishes a command on every broker, for nobody knows where its meter is; false if none of them took it.
    pub fn command(&self, meter: &MeterId, bytes: &[u8]) -> bool {
        let topic = Topic::command(meter);
        self.links.iter().filter(|link| link.publish(&topic, false, bytes.to_vec())).count() > 0
    }

    /// Publishes a change in an alert's life on every broker; false if one of them did not take it.
    pub fn alert(&self, record: &AlertRecord) -> bool {
        let subject = record.meter.as_ref().map_or_else(|| record.feeder.as_str(), measure::MeterId::as_str);
        let (Ok(value), Ok(subject)) = (serde_json::to_vec(record), subject.parse()) else { return false };
        let severity = match record.severity {
            AlertSeverity::Info => Severity::Info,
            AlertSeverity::Warning => Severity::Warning,
            AlertSeverity::Critical => Severity::Critical,
        };
        let topic = Topic::Alert { severity, subject };
        self.links.iter().filter(|link| !link.publish(&topic, false, value.clone())).count() == 0
    }

    /// Passes on to the other gates what one of them says of a meter's session, so that an older one ends there. A word that is lost
    /// leaves the older session to its keep-alive.
    pub fn pass_on(&self, from: usize, topic: &Topic, state: &[u8], metrics: &Metrics) {
        for (_, link) in self.links.iter().enumerate().filter(|(number, link)| *number != from && link.is_gate) {
            if !link.publish(topic, false, state.to_vec()) {
                metrics.unsent(Unsent::State, 1);
            }
        }
    }

    /// Whether there is more than one gate, so that there is something to be passed on.
    pub fn has_several_gates(&self) -> bool {
        self.links.iter().filter(|link| link.is_gate).count() > 1
    }

    /// A connection to a gate was made: it has not heard what the others said until now.
    pub fn gate_arrived(&self) {
        self.arrivals.send_modify(|arrivals| *arrivals = arrivals.saturating_add(1));
    }

    /// Connections to gates made so far.
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
    }

    /// Says goodbye to a broker, after everything that was sent before; false if it is not there or takes nothing.
    pub fn disconnect(&self, link: usize) -> bool {
        self.links.get(link).is_some_and(|it| it.is_connected() && it.client.try_disconnect().is_ok())
    }
}

impl Sender {
    fn is_connected(&self) -> bool {
        *self.connection.borrow() > 0
    }

    fn publish(&self, topic: &Topic, retain: bool, payload: Vec<u8>) -> bool {
        self.is_connected() && self.client.try_publish(topic.to_string(), QoS::AtMostOnce, retain, payload).is_ok()
    }
}
