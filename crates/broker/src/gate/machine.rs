//! One client's conversation as a function: a packet in, what is to be done out. No clock, no socket, no router.
//!
//! ```text
//!   machine.handle(packet) -> Step       to be carried out by the session, in order
//!                          -> Refusal    an answer perhaps, then the end
//! ```
//! The first packet must be CONNECT and no other may be. After a [`Refusal`] or [`Step::Goodbye`] nothing more may be handled.

use std::time::Duration;

use wire::topic::Topic;

use super::acl::{self, Destination, Filter};
use super::identity::{Identity, InvalidSubject, Role};
use super::packet::{Connect, Delivery, Filters, Malformed, Names, Packet, Publish};
use crate::config::Limits;
use crate::reason::Reason;

/// Codes of CONNACK.
pub const ACCEPTED: u8 = 0;
const BAD_PROTOCOL_LEVEL: u8 = 1;
/// MQTT 5's, for who speaks that and would not understand the other one.
const UNSUPPORTED_VERSION: u8 = 0x84;
const BAD_CLIENT_ID: u8 = 2;
/// No room, or no router.
pub const UNAVAILABLE: u8 = 3;
const NOT_AUTHORISED: u8 = 5;

/// In SUBACK, for a filter that isn't granted.
const FAILURE: u8 = 0x80;

/// What the session is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Step<'a> {
    /// Begin: answer CONNECT. Without a packet for one and a half times `keep_alive` the session ends.
    Welcome {
        /// What was agreed.
        keep_alive: Duration,
    },
    /// Hand a message on, then acknowledge it if it has a packet identifier.
    Deliver {
        /// Where to.
        destination: Destination,
        /// The topic as published.
        topic: &'a str,
        /// The message.
        payload: &'a [u8],
        /// Whether it is to be kept.
        retain: bool,
        /// Packet identifier if QoS is 1.
        pkid: Option<u16>,
    },
    /// A message of ours has arrived.
    Acknowledged(u16),
    /// Answer SUBSCRIBE and let the granted filters begin.
    Subscribe {
        /// Its packet identifier.
        pkid: u16,
        /// An answer for each filter.
        codes: Vec<u8>,
        /// Those that were granted.
        granted: Vec<Filter>,
        /// Why the others were not.
        refused: Vec<Reason>,
    },
    /// Let filters end and answer UNSUBSCRIBE.
    Unsubscribe {
        /// Its packet identifier.
        pkid: u16,
        /// Those that were in force.
        ended: Vec<Filter>,
    },
    /// Answer PINGREQ.
    Pong,
    /// End.
    Goodbye,
}

/// The connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What it is counted as.
    pub reason: Reason,
    /// Code of the CONNACK to send first, if the protocol has one for this.
    pub connack: Option<u8>,
}

/// A filter in force.
#[derive(Clone, Debug, PartialEq)]
struct Grant {
    filter: Filter,
    qos: u8,
}

/// One client's conversation.
pub struct Machine {
    who: Result<Identity, InvalidSubject>,
    keep_alive_max_s: u16,
    packet_bytes_max: usize,
    grants: Vec<Grant>,
    grants_max: usize,
    connected: bool,
}

impl Machine {
    /// Before CONNECT. A certificate that names nobody is told so in the answer to CONNECT.
    pub fn new(who: Result<Identity, InvalidSubject>, limits: &Limits) -> Self {
        let packet_bytes_max = match &who {
            Ok(Identity { role: Role::Service | Role::Operator, .. }) => limits.client_packet_bytes,
            _ => limits.meter_packet_bytes,
        };
        Self {
            who,
            keep_alive_max_s: limits.keep_alive_s,
            packet_bytes_max,
            grants: Vec::new(),
            grants_max: limits.subscriptions,
            connected: false,
        }
    }

    /// Who it is, if the certificate says.
    pub fn identity(&self) -> Option<&Identity> {
        self.who.as_ref().ok()
    }

    /// Largest remaining length that this client may send.
    pub fn packet_bytes_max(&self) -> usize {
        self.packet_bytes_max
    }

    /// Bytes that are no packet.
    pub fn malformed(&self, what: Malformed) -> Refusal {
        let connack = match what {
            Malformed::ProtocolLevel(5) if !self.connected => Some(UNSUPPORTED_VERSION),
            Malformed::ProtocolLevel(_) if !self.connected => Some(BAD_PROTOCOL_LEVEL),
            _ => None,
        };
        Refusal { reason: what.reason(), connack }
    }

    /// A packet.
    pub fn handle<'a>(&mut self, packet: Packet<'a>) -> Result<Step<'a>, Refusal> {
        if let Packet::Connect(connect) = packet {
            return self.connect(&connect);
        }
        let Some(who) = self.who.as_ref().ok().filter(|_| self.connected) else { return Err(cut(Reason::NotConnected)) };
        match packet {
            Packet::Connect(_) => Err(cut(Reason::SecondConnect)),
            Packet::Publish(publish) => deliver(who, publish),
            Packet::PubAck(pkid) => Ok(Step::Acknowledged(pkid)),
            Packet::Subscribe { pkid, filters } => Ok(self.subscribe(pkid, filters)),
            Packet::Unsubscribe { pkid, filters } => Ok(self.unsubscribe(pkid, filters)),
            Packet::PingReq => Ok(Step::Pong),
            Packet::Disconnect => Ok(Step::Goodbye),
        }
    }

    fn connect<'a>(&mut self, connect: &Connect<'_>) -> Result<Step<'a>, Refusal> {
        if std::mem::replace(&mut self.connected, true) {
            return Err(cut(Reason::SecondConnect));
        }
        let refuse = |reason, code| Err(Refusal { reason, connack: Some(code) });
        let Ok(who) = &self.who else { return refuse(Reason::CertificateSubject, NOT_AUTHORISED) };
        if connect.client_id != who.name.as_str() {
            return refuse(Reason::ClientId, BAD_CLIENT_ID);
        }
        if connect.has_will {
            return refuse(Reason::Will, NOT_AUTHORISED);
        }
        if connect.keep_alive_s == 0 {
            return refuse(Reason::KeepAliveZero, NOT_AUTHORISED);
        }
        // Whatever the client wants kept from an earlier session, there is nothing: the answer always says so.
        let seconds = connect.keep_alive_s.min(self.keep_alive_max_s);
        Ok(Step::Welcome { keep_alive: Duration::from_secs(seconds.into()) })
    }

    fn subscribe<'a>(&mut self, pkid: u16, filters: Filters<'_>) -> Step<'a> {
        let (mut codes, mut granted, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for (text, qos) in filters {
            match self.grant(text, qos) {
                Ok((filter, qos)) => {
                    codes.push(qos);
                    granted.push(filter);
                }
                Err(reason) => {
                    codes.push(FAILURE);
                    refused.push(reason);
                }
            }
        }
        Step::Subscribe { pkid, codes, granted, refused }
    }

    fn grant(&mut self, text: &str, qos: u8) -> Result<(Filter, u8), Reason> {
        let Ok(who) = &self.who else { return Err(Reason::CertificateSubject) };
        let filter = acl::subscribe(who.role, &who.name, text).map_err(acl::Refused::reason)?;
        let qos = match filter {
            // May be lost, late or repeated, so an acknowledgement of them would be in vain.
            Filter::OwnDown | Filter::OwnCommand => 0,
            _ => qos.min(1),
        };
        let full = self.grants.len() >= self.grants_max;
        match self.grants.iter_mut().find(|grant| grant.filter == filter) {
            Some(grant) => grant.qos = qos,
            None if full => return Err(Reason::Subscriptions),
            None => self.grants.push(Grant { filter: filter.clone(), qos }),
        }
        Ok((filter, qos))
    }

    fn unsubscribe<'a>(&mut self, pkid: u16, filters: Names<'_>) -> Step<'a> {
        let mut ended = Vec::new();
        if let Ok(who) = &self.who {
            for filter in filters.filter_map(|text| acl::subscribe(who.role, &who.name, text).ok()) {
                if let Some(index) = self.grants.iter().position(|grant| grant.filter == filter) {
                    ended.push(self.grants.swap_remove(index).filter);
                }
            }
        }
        Step::Unsubscribe { pkid, ended }
    }

    /// The highest QoS at which a message to `topic` was asked for; `None` if it wasn't.
    pub fn wants(&self, topic: &Topic) -> Option<u8> {
        self.grants.iter().filter(|grant| grant.filter.matches(topic)).map(|grant| grant.qos).max()
    }

    /// Whether a filter is in force.
    pub fn has(&self, filter: &Filter) -> bool {
        self.grants.iter().any(|grant| grant.filter == *filter)
    }

    /// The filters in force.
    pub fn filters(&self) -> impl Iterator<Item = &Filter> {
        self.grants.iter().map(|grant| &grant.filter)
    }
}

/// The end without an answer, as MQTT 3.1.1 has it everywhere but for CONNECT and SUBSCRIBE.
const fn cut(reason: Reason) -> Refusal {
    Refusal { reason, connack: None }
}

fn deliver<'a>(who: &Identity, publish: Publish<'a>) -> Result<Step<'a>, Refusal> {
    let Publish { topic, payload, delivery, retain, .. } = publish;
    let pkid = match delivery {
        Delivery::AtMostOnce => None,
        Delivery::AtLeastOnce(pkid) => Some(pkid),
        Delivery::ExactlyOnce(_) => return Err(cut(Reason::Qos2)),
    };
    let destination = acl::publish(who.role, &who.name, topic, retain).map_err(|refused| cut(refused.reason()))?;
    Ok(Step::Deliver { destination, topic, payload, retain, pkid })
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
