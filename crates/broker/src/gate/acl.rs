//! Who may publish what, and who may subscribe to what: pure functions of role, name and topic.
//!
//! | | publishes | subscribes |
//! |---|---|---|
//! | meter | its own `f1/{shard}/{meter}/up` | its own `…/dn` and `…/cmd` |
//! | service | `f1/{shard}/{meter}/dn`, `…/cmd`, `f1/{shard}/acks`, `state/{meter}` (of another gate), `live/{meter}` (which may be retained), `alert/{severity}/{subject}` | `f1/{shard or +}/{meter or +}/up`, `state/{meter, + or #}` |
//! | operator | nothing | `state/…`, `live/…`, `alert/…` with their wildcards |
//!
//! | canary | the echo topic | the echo topic |
//!
//! Whatever isn't in the table is refused. What is heard on `state/…` the gate says itself: what a service
//! publishes there is for the gate only.

use std::str::FromStr;

use measure::MeterId;
use wire::topic::{Severity, Shard, Topic};

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
    /// A meter's last reading.
    Live(MeterId),
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
    Live(Option<MeterId>),
    /// Alerts.
    Alert {
        /// Of one severity.
        severity: Option<Severity>,
        /// About one meter or feeder.
        subject: Option<MeterId>,
    },
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
            Ok(Topic::Live { meter }) => Destination::Live(meter),
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
        (Role::Operator, Filter::State(_) | Filter::Live(_) | Filter::Alert { .. }) => Ok(parsed),
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
        ["live", "#"] => Ok(Filter::Live(None)),
        ["live", meter] => Ok(Filter::Live(level(meter)?)),
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
            (Self::State(meter), Topic::State { meter: of }) | (Self::Live(meter), Topic::Live { meter: of }) => is(meter.as_ref(), of),
            (Self::Alert { severity, subject }, Topic::Alert { severity: of, subject: about }) => {
                is(severity.as_ref(), of) && is(subject.as_ref(), about)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(text: &str) -> MeterId {
        text.parse().unwrap()
    }

    fn topic(meter: &str, leaf: &str) -> String {
        format!("f1/{}/{meter}/{leaf}", Shard::of(&id(meter)))
    }

    #[test]
    fn a_meter_speaks_only_as_itself() {
        let (me, allowed) = (id("m12"), |topic: &str| publish(Role::Meter, &id("m12"), topic, false));
        assert_eq!(allowed(&topic("m12", "up")), Ok(Destination::Up));
        assert_eq!(publish(Role::Meter, &me, &topic("m12", "up"), true), Err(Refused::Retain));
        for other in ["m1", "m123", "M12", "m13"] {
            assert_eq!(allowed(&topic(other, "up")), Err(Refused::Foreign), "{other}");
        }
        let wrong = Shard::all().find(|shard| *shard != Shard::of(&me)).unwrap();
        assert_eq!(allowed(&format!("f1/{wrong}/m12/up")), Err(Refused::Foreign));
        for bad in [&topic("m12", "dn"), &topic("m12", "cmd"), "state/m12", "live/m12", "alert/info/m12", "f1/07/acks", "x", "/", "$SYS/x"]
        {
            assert_eq!(allowed(bad), Err(Refused::Role), "{bad}");
        }
    }

    #[test]
    fn a_meter_hears_only_itself() {
        let allowed = |filter: &str| subscribe(Role::Meter, &id("m12"), filter);
        assert_eq!(allowed(&topic("m12", "dn")), Ok(Filter::OwnDown));
        assert_eq!(allowed(&topic("m12", "cmd")), Ok(Filter::OwnCommand));
        assert_eq!(allowed(&topic("m123", "dn")), Err(Refused::Foreign));
        for bad in ["#", "+/#", "f1/+/m12/dn", "f1/#", "$share/g/#", "$SYS/#", "state/m12", &topic("m12", "up"), "live/+", "a/#/b"] {
            assert!(allowed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn services_and_operators_have_their_own_topics() {
        let me = id("someone");
        let service = |topic: &str, retain| publish(Role::Service, &me, topic, retain);
        assert_eq!(service(&topic("m12", "dn"), false), Ok(Destination::Down));
        assert_eq!(service(&topic("m12", "cmd"), false), Ok(Destination::Command));
        assert_eq!(service("f1/3f/acks", false), Ok(Destination::Acks(Shard::new(63).unwrap())));
        assert_eq!(service("f1/3f/acks", true), Err(Refused::Retain));
        assert_eq!(service("f1/40/acks", false), Err(Refused::Unknown));
        assert_eq!(service("live/m12", true), Ok(Destination::Live(id("m12"))));
        assert_eq!(service("alert/critical/f7", false), Ok(Destination::Alert));
        assert_eq!(service("alert/critical/f7", true), Err(Refused::Retain));
        assert_eq!(service(&topic("m12", "up"), false), Err(Refused::Role));
        assert_eq!(service("state/m12", false), Ok(Destination::State(id("m12"))));
        assert_eq!(service("state/m12", true), Err(Refused::Retain));
        assert_eq!(service("other/m12", false), Err(Refused::Unknown));
        for topic in [&topic("m12", "dn"), "f1/07/acks", "live/m12", "alert/info/x", "state/x"] {
            assert_eq!(publish(Role::Operator, &me, topic, false), Err(Refused::Role), "{topic}");
        }

        for role in [Role::Meter, Role::Service, Role::Operator] {
            assert!(publish(role, &me, ECHO, false).is_err() && subscribe(role, &me, ECHO).is_err(), "{role:?}");
        }
        assert_eq!(publish(Role::Canary, &me, ECHO, false), Ok(Destination::Echo));
        assert_eq!(subscribe(Role::Canary, &me, ECHO), Ok(Filter::OwnDown));
        for topic in [&topic("canary", "up"), &topic("canary", "dn"), "state/canary", "f1/canary/canary/up", "#"] {
            assert!(publish(Role::Canary, &id("canary"), topic, false).is_err() && subscribe(Role::Canary, &me, topic).is_err(), "{topic}");
        }

        for filter in ["f1/+/+/up", "f1/3f/+/up", "state/+", "state/#", "state/m12", &topic("m12", "up")] {
            assert!(subscribe(Role::Service, &me, filter).is_ok(), "{filter}");
        }
        for filter in
            ["#", "f1/#", "f1/40/+/up", "f1/+/+/dn", "f1/+/+/+", "f1/+/acks", "f1/07/acks", "live/#", "alert/#", "$share/g/f1/+/+/up"]
        {
            assert!(subscribe(Role::Service, &me, filter).is_err(), "{filter}");
        }
        for filter in ["live/#", "live/+", "live/m12", "state/#", "alert/#", "alert/+/+", "alert/critical/#", "alert/+/f7"] {
            assert!(subscribe(Role::Operator, &me, filter).is_ok(), "{filter}");
        }
        for filter in ["#", "+/#", "f1/+/+/up", "live", "live/#/x", "live/m+", "alert/loud/+", "alert/+", "state/+/+"] {
            assert!(subscribe(Role::Operator, &me, filter).is_err(), "{filter}");
        }
    }

    proptest! {
        /// A meter never publishes to, nor hears from, a topic that doesn't have its own name as third level.
        #[test]
        fn nothing_foreign_is_granted_to_a_meter(levels in prop::collection::vec("(f1|[0-3][0-9a-f]|m1|m12|up|dn|cmd|\\+|#|\\$share|[ -~]{0,4})", 0..6)) {
            let (me, text) = (id("m12"), levels.join("/"));
            if publish(Role::Meter, &me, &text, false).is_ok() {
                prop_assert_eq!(&text, &topic("m12", "up"));
            }
            if subscribe(Role::Meter, &me, &text).is_ok() {
                prop_assert!(text == topic("m12", "dn") || text == topic("m12", "cmd"));
            }
        }

        /// Whatever text comes, nobody is granted everything, and no call panics.
        #[test]
        fn any_text_is_answered(text in ".{0,40}") {
            let me = id("m12");
            for role in [Role::Meter, Role::Service, Role::Operator] {
                let _ = publish(role, &me, &text, false);
                if let Ok(Filter::Up { .. }) = subscribe(role, &me, &text) {
                    prop_assert!(text.starts_with("f1/") && role == Role::Service);
                }
            }
        }
    }
}
