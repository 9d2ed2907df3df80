//! Who may publish what, and who may subscribe to what: pure functions of role, name and topic.
//!
//! | | publishes | subscribes |
//! |---|---|---|
//! | meter | its own `f1/{shard}/{meter}/up` | its own `…/dn` and `…/cmd` |
//! | service | `f1/{shard}/{meter}/dn`, `…/cmd`, `f1/{shard}/acks`, `state/{meter}` (of another gate), `live/{meter}` and `live/{meter}/{channel}` (which may be retained), `alert/{severity}/{subject}` | `f1/{shard or +}/{meter or +}/up`, `state/{meter, + or #}` |
//! | operator | nothing | `state/…`, `live/…`, `alert/…` with their wildcards |
//!
//! | canary | the echo topic | the echo topic |
//!
//! Whatever isn't in the table is refused. What is heard on `state/…` the gate says itself: what a service
//! publishes there is for the gate only.

use std::str::FromStr;

use measure::{Account, Channel, MeterId};
use wire::topic::{Severity, Shard, Topic, live_channel};

use super::identity::Role;
use crate::reason::Reason;

/// What the canary publishes and hears. It goes through the router like an acknowledgement to a meter, but is nobody's: what stands in
/// the place of the shard is none.
pub(crate) const ECHO: &str = "f1/canary/canary/dn";

/// What a client may publish to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A meter's own frames.
    Up,
    /// To a meter: acknowledgements.
    Down,
    /// To a meter: commands.
    Command,
    /// To meters of this shard: acknowledgements, together.
    Acks(Shard),
    /// What another gate says of a meter's session.
    State(MeterId),
    /// A channel's last reading.
    Live(Account),
    /// An alert.
    Alert,
    /// Back to the canary.
    Echo,
}

/// What a client may subscribe to. `None` stands for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Acknowledgements to this meter.
    OwnDown,
    /// Commands to this meter.
    OwnCommand,
    /// Frames.
    Up {
        /// Of one shard.
        shard: Option<Shard>,
        /// Of one meter.
        meter: Option<MeterId>,
    },
    /// Presence.
    State(Option<MeterId>),
    /// Live values.
    Live {
        /// Of one meter.
        meter: Option<MeterId>,
        /// Of which of its channels.
        channels: Channels,
    },
    /// Alerts.
    Alert {
        /// Of one severity.
        severity: Option<Severity>,
        /// About one meter or feeder.
        subject: Option<MeterId>,
    },
}

/// The channels that a filter names. The first has no level of its own: its values are on `live/{meter}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// `#`: all, and so does MQTT have it for the level above.
    All,
    /// `+`: all but the first.
    Others,
    /// One; the first where the filter ends with the meter.
    One(Channel),
}

impl Channels {
    const FIRST: Self = Self::One(0);

    const fn has(self, channel: Channel) -> bool {
        match self {
            Self::All => true,
            Self::Others => channel != 0,
            Self::One(one) => channel == one,
        }
    }
}

/// Why something is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No topic or filter of this system.
    Unknown,
    /// The topic of another meter, or the shard of another.
    Foreign,
    /// Not this role's to do.
    Role,
    /// A kept message where none may be kept.
    Retain,
}

impl Refused {
    /// What it is counted as.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Unknown => Reason::TopicUnknown,
            Self::Foreign => Reason::TopicForeign,
            Self::Role => Reason::TopicRole,
            Self::Retain => Reason::Retain,
        }
    }
}

/// Whether `name` in `role` may publish to `topic`.
pub fn publish(role: Role, name: &MeterId, topic: &str, retain: bool) -> Result<Destination, Refused> {
    let destination = match (role, address(topic)) {
        (Role::Meter, Some((shard, meter, leaf))) => {
            own(name, shard, &meter)?;
            if leaf == "up" { Destination::Up } else { return Err(Refused::Role) }
        }
        (Role::Service, Some((shard, meter, leaf))) => {
            own(&meter, shard, &meter)?;
            match leaf {
                "dn" => Destination::Down,
                "cmd" => Destination::Command,
                _ => return Err(Refused::Role),
            }
        }
        (Role::Service, None) => match topic.parse() {
            Ok(Topic::Live { account }) => Destination::Live(account),
            Ok(Topic::Alert { .. }) => Destination::Alert,
            Ok(Topic::State { meter }) => Destination::State(meter),
            Ok(Topic::Acks { shard }) => Destination::Acks(shard),
            Ok(_) => return Err(Refused::Role),
            Err(_) => return Err(Refused::Unknown),
        },
        (Role::Canary, _) if topic == ECHO => Destination::Echo,
        (Role::Meter | Role::Operator | Role::Canary, _) => return Err(Refused::Role),
    };
    match destination {
        Destination::Live(_) => Ok(destination),
        _ if retain => Err(Refused::Retain),
        _ => Ok(destination),
    }
}

/// Whether `name` in `role` may subscribe to `filter`.
pub fn subscribe(role: Role, name: &MeterId, filter: &str) -> Result<Filter, Refused> {
    let parsed = match role {
        Role::Meter => return subscribe_own(name, filter),
        Role::Canary if filter == ECHO => return Ok(Filter::OwnDown),
        Role::Canary => return Err(Refused::Role),
        Role::Service | Role::Operator => parse(filter)?,
    };
    match (role, &parsed) {
        (Role::Service, Filter::Up { .. } | Filter::State(_)) => Ok(parsed),
        (Role::Operator, Filter::State(_) | Filter::Live { .. } | Filter::Alert { .. }) => Ok(parsed),
        _ => Err(Refused::Role),
    }
}

fn subscribe_own(name: &MeterId, filter: &str) -> Result<Filter, Refused> {
    let (shard, meter, leaf) = address(filter).ok_or(Refused::Role)?;
    own(name, shard, &meter)?;
    match leaf {
        "dn" => Ok(Filter::OwnDown),
        "cmd" => Ok(Filter::OwnCommand),
        _ => Err(Refused::Role),
    }
}

/// `f1/{shard}/{meter}/{leaf}` without wildcards.
fn address(text: &str) -> Option<(Shard, MeterId, &str)> {
    let mut levels = text.split('/');
    let ("f1", shard, meter, leaf, None) = (levels.next()?, levels.next()?, levels.next()?, levels.next()?, levels.next()) else {
        return None;
    };
    Some((shard.parse().ok()?, meter.parse().ok()?, leaf))
}

/// The meter that a topic of the form `f1/{shard}/{meter}/{leaf}` belongs to.
pub(crate) fn meter_of(topic: &str) -> Option<MeterId> {
    address(topic).map(|(_, meter, _)| meter)
}

/// The topic names `meter` with its own shard, and that is `name`.
fn own(name: &MeterId, shard: Shard, meter: &MeterId) -> Result<(), Refused> {
    if meter == name && shard == Shard::of(meter) { Ok(()) } else { Err(Refused::Foreign) }
}

fn parse(filter: &str) -> Result<Filter, Refused> {
    let levels: Vec<&str> = filter.split('/').take(5).collect();
    match *levels.as_slice() {
        ["f1", shard, meter, "up"] => up(level(shard)?, level(meter)?),
        ["state", "#"] => Ok(Filter::State(None)),
        ["state", meter] => Ok(Filter::State(level(meter)?)),
        ["live", "#"] => Ok(Filter::Live { meter: None, channels: Channels::All }),
        ["live", meter] => Ok(Filter::Live { meter: level(meter)?, channels: Channels::FIRST }),
        ["live", meter, channel] => Ok(Filter::Live { meter: level(meter)?, channels: channels(channel)? }),
        ["alert", "#"] => Ok(Filter::Alert { severity: None, subject: None }),
        ["alert", severity, "#"] => Ok(Filter::Alert { severity: severity_level(severity)?, subject: None }),
        ["alert", severity, subject] => Ok(Filter::Alert { severity: severity_level(severity)?, subject: level(subject)? }),
        _ => Err(Refused::Unknown),
    }
}

fn up(shard: Option<Shard>, meter: Option<MeterId>) -> Result<Filter, Refused> {
    match (shard, meter) {
        (Some(shard), Some(meter)) if shard != Shard::of(&meter) => Err(Refused::Foreign),
        (_, Some(meter)) => Ok(Filter::Up { shard: Some(Shard::of(&meter)), meter: Some(meter) }),
        (shard, None) => Ok(Filter::Up { shard, meter: None }),
    }
}

/// One level of a filter: `+` or a value.
fn level<T: FromStr>(text: &str) -> Result<Option<T>, Refused> {
    if text == "+" { Ok(None) } else { text.parse().map(Some).map_err(|_| Refused::Unknown) }
}

/// The level behind the meter of a filter of live values.
fn channels(text: &str) -> Result<Channels, Refused> {
    match text {
        "#" => Ok(Channels::All),
        "+" => Ok(Channels::Others),
        one => live_channel(one).map(Channels::One).map_err(|_| Refused::Unknown),
    }
}

fn severity_level(text: &str) -> Result<Option<Severity>, Refused> {
    if text == "+" {
        return Ok(None);
    }
    let known = [Severity::Info, Severity::Warning, Severity::Critical].into_iter().find(|severity| severity.name() == text);
    known.map(Some).ok_or(Refused::Unknown)
}

impl Filter {
    /// Whether a message to `topic` is one of these. Never for what is a meter's own, which comes by another way.
    pub fn matches(&self, topic: &Topic) -> bool {
        fn is<T: PartialEq>(wanted: Option<&T>, have: &T) -> bool {
            wanted.is_none_or(|wanted| wanted == have)
        }
        match (self, topic) {
            (Self::Up { shard, meter }, Topic::Up { shard: in_shard, meter: of }) => is(shard.as_ref(), in_shard) && is(meter.as_ref(), of),
            (Self::State(meter), Topic::State { meter: of }) => is(meter.as_ref(), of),
            (Self::Live { meter, channels }, Topic::Live { account }) => {
                is(meter.as_ref(), account.meter()) && channels.has(account.channel())
            }
            (Self::Alert { severity, subject }, Topic::Alert { severity: of, subject: about }) => {
                is(severity.as_ref(), of) && is(subject.as_ref(), about)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
#[path = "acl_tests.rs"]
mod tests;
