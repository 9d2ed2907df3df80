//! The life of alerts, without I/O: raised, acknowledged, shelved until, cleared (the vocabulary of ISA-18.2).
//!
//! Conditions come with event times, what people do with the time they did it, and [`Alerts::tick`] says how late it is; what comes back are
//! records. The id is a hash of rule, subject and window, so that deriving everything once more gives the same alerts, and not new ones.
//!
//! A condition must hold for a while before it is raised and be gone for a while before it is cleared (delays on and off). While it waits,
//! a storm shows: if many meters of a group (a feeder) wait at once, the group is raised once, and none of them. Who follows while the group
//! is raised joins it.

use std::collections::BTreeMap;

use contracts::AlertId;
use measure::UnixMillis;
use sha2::{Digest, Sha256};

/// Alerts that are open at once; more are counted and not raised.
pub const OPEN_MAX: usize = 100_000;
/// Bytes of a name, a note or a person.
pub const TEXT_MAX: usize = 256;

/// When a condition counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// How long it must hold before it is raised, in ms.
    pub on_ms: i64,
    /// How long it must be gone before it is cleared, in ms.
    pub off_ms: i64,
    /// The same subject within such a window of event time is the same alert, in ms.
    pub window_ms: i64,
    /// So many subjects of a group that wait at once are one alert of the group.
    pub storm: usize,
}

/// The first half of a SHA-256 of rule, subject and window: the same on every machine and version.
pub fn alert_id(rule: &str, subject: &str, window: UnixMillis) -> AlertId {
    let parts = [rule.as_bytes(), &[0], subject.as_bytes(), &[0], &window.0.to_be_bytes()];
    let digest = parts.into_iter().fold(Sha256::new(), |hash, part| hash.chain_update(part)).finalize();
    AlertId(digest.first_chunk().map_or(0, |half| u128::from_be_bytes(*half)))
}

/// Where an alert is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It holds, and nobody has said that they know.
    Raised,
    /// Somebody knows.
    Acknowledged,
    /// Nobody wants to hear of it until then.
    Shelved(UnixMillis),
    /// It is over.
    Cleared,
}

/// What is written when an alert changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its id.
    pub id: AlertId,
    /// The rule's name.
    pub rule: &'static str,
    /// A meter, pole or feeder.
    pub subject: String,
    /// Where it is in its life.
    pub state: State,
    /// Since when the condition holds.
    pub since: UnixMillis,
    /// When this state began.
    pub at: UnixMillis,
    /// Subjects that it stands for: more than one in a storm.
    pub members: usize,
    /// Who brought it here, and what they noted; none if nobody did.
    pub who: Option<(String, String)>,
}

/// What somebody does to an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// They know.
    Acknowledge,
    /// They don't want to hear of it until then.
    Shelve(UnixMillis),
    /// They say that it is over. The condition must end and begin again before it is raised anew.
    Clear,
}

/// Why an action changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such alert is open.
    #[error("no open alert has this id: list them first")]
    Unknown,
    /// It is in that state already, or a shelf's end is past.
    #[error("the alert is acknowledged already, or the time until which it is to be shelved is past")]
    Idle,
    /// Too long.
    #[error("who and note may have {TEXT_MAX} bytes each")]
    Text,
}

#[derive(Clone, Debug)]
enum Watched {
    /// Holds since then, not raised yet.
    Waiting { since: UnixMillis, group: Option<String> },
    /// Raised as this alert; gone since then, if it is.
    Raised { alert: AlertId, gone: Option<UnixMillis> },
}

/// All alerts of one rule.
#[derive(Clone, Debug)]
pub struct Alerts {
    rule: Rule,
    watched: BTreeMap<String, Watched>,
    open: BTreeMap<AlertId, Alert>,
    overflown: u64,
}

impl Alerts {
    /// None yet.
    pub fn new(rule: Rule) -> Self {
        Self { rule, watched: BTreeMap::new(), open: BTreeMap::new(), overflown: 0 }
    }

    /// The condition begins or ends to hold for a subject of a group. What follows from it is told by the next [`Alerts::tick`].
    pub fn condition(&mut self, subject: &str, group: Option<&str>, holds: bool, at: UnixMillis) {
        let full = self.watched.len() >= OPEN_MAX || subject.len() > TEXT_MAX;
        match (self.watched.get_mut(subject), holds) {
            (Some(Watched::Waiting { .. }), false) => {
                self.watched.remove(subject);
            }
            (Some(Watched::Raised { gone, .. }), holds) => *gone = if holds { None } else { gone.or(Some(at)) },
            (None, true) if full => self.overflown = self.overflown.saturating_add(1),
            (None, true) => {
                self.watched.insert(subject.to_owned(), Watched::Waiting { since: at, group: group.map(str::to_owned) });
            }
            (Some(Watched::Waiting { .. }), true) | (None, false) => {}
        }
    }

    /// It is so late; what changes.
    pub fn tick(&mut self, now: UnixMillis) -> Vec<Alert> {
        let mut changes = self.raise(now);
        changes.extend(self.clear(now));
        for alert in self.open.values_mut() {
            if let State::Shelved(until) = alert.state
                && until <= now
            {
                (alert.state, alert.at, alert.who) = (State::Raised, until, None);
                changes.push(alert.clone());
            }
        }
        changes
    }

    /// Somebody does something.
    pub fn act(&mut self, id: AlertId, action: Action, who: &str, note: &str, at: UnixMillis) -> Result<Alert, Refused> {
        if who.len() > TEXT_MAX || note.len() > TEXT_MAX {
            return Err(Refused::Text);
        }
        let alert = self.open.get_mut(&id).ok_or(Refused::Unknown)?;
        alert.state = match action {
            Action::Acknowledge if alert.state != State::Acknowledged => State::Acknowledged,
            Action::Shelve(until) if until > at => State::Shelved(until),
            Action::Clear => State::Cleared,
            Action::Acknowledge | Action::Shelve(_) => return Err(Refused::Idle),
        };
        (alert.at, alert.who) = (at, Some((who.to_owned(), note.to_owned())));
        let alert = alert.clone();
        if alert.state == State::Cleared {
            self.open.remove(&id);
        }
        Ok(alert)
    }

    /// An alert of one subject that is open already, as a predecessor left it.
    pub fn restore(&mut self, alert: Alert) {
        self.watched.insert(alert.subject.clone(), Watched::Raised { alert: alert.id, gone: None });
        self.open.insert(alert.id, alert);
    }

    /// An alert that is open already; whoever it stands for is told by [`Self::restore_held`]. One that stands for nobody is over with the next
    /// tick.
    pub fn reopen(&mut self, alert: Alert) {
        self.open.insert(alert.id, alert);
    }

    /// A condition that holds since then, as a predecessor left it: it may be raised already, alone or with its group, or somebody may have
    /// cleared it (`was_cleared` by this id), so that it is not raised again; otherwise it waits.
    pub fn restore_held(&mut self, subject: &str, group: Option<&str>, since: UnixMillis, was_cleared: impl Fn(AlertId) -> bool) {
        let names = || std::iter::once(subject).chain(group);
        let open = names().find_map(|name| self.open.values().find(|it| it.subject == name)).map(|it| it.id);
        let cleared = || {
            let ids = names().map(|name| alert_id(self.rule.name, name, since.interval_start(self.rule.window_ms)));
            ids.into_iter().find(|id| was_cleared(*id))
        };
        let watched = match open.or_else(cleared) {
            Some(alert) => Watched::Raised { alert, gone: None },
            None => Watched::Waiting { since, group: group.map(str::to_owned) },
        };
        self.watched.insert(subject.to_owned(), watched);
    }

    /// An alert is over, and so is what is known of those it stands for: they are not what they were.
    pub fn forget(&mut self, id: AlertId, at: UnixMillis) -> Option<Alert> {
        self.watched.retain(|_, it| !matches!(it, Watched::Raised { alert, .. } if *alert == id));
        self.open.remove(&id).map(|alert| Alert { state: State::Cleared, at, who: None, ..alert })
    }

    /// Whether time alone may change something.
    pub fn is_waiting(&self) -> bool {
        let waits = |it: &Watched| matches!(it, Watched::Waiting { .. } | Watched::Raised { gone: Some(_), .. });
        self.watched.values().any(waits) || self.open.values().any(|it| matches!(it.state, State::Shelved(_)))
    }

    /// What is open.
    pub fn open(&self) -> impl Iterator<Item = &Alert> {
        self.open.values()
    }

    /// Conditions that were not watched, for there were too many.
    pub fn overflown(&self) -> u64 {
        self.overflown
    }

    fn raise(&mut self, now: UnixMillis) -> Vec<Alert> {
        let mut waiting: BTreeMap<Option<&str>, Vec<(&str, UnixMillis)>> = BTreeMap::new();
        for (subject, watched) in &self.watched {
            if let Watched::Waiting { since, group } = watched {
                waiting.entry(group.as_deref()).or_default().push((subject, *since));
            }
        }
        let due = |since: UnixMillis| now.millis_since(since) >= self.rule.on_ms;
        let open: BTreeMap<&str, UnixMillis> = self.open.values().map(|alert| (alert.subject.as_str(), alert.since)).collect();
        let mut raised: Vec<(String, UnixMillis, Vec<String>)> = Vec::new();
        for (group, members) in waiting {
            let first = members.iter().map(|(_, since)| *since).min().unwrap_or(now);
            let late = members.iter().filter(|(_, since)| due(*since));
            match group.map(|group| (group, open.get(group))) {
                Some((group, Some(since))) => {
                    raised.push((group.to_owned(), *since, late.map(|(subject, _)| (*subject).to_owned()).collect()));
                }
                Some((group, None)) if members.len() >= self.rule.storm && due(first) => {
                    raised.push((group.to_owned(), first, members.iter().map(|(subject, _)| (*subject).to_owned()).collect()));
                }
                _ => raised.extend(late.map(|(subject, since)| ((*subject).to_owned(), *since, vec![(*subject).to_owned()]))),
            }
        }
        raised.into_iter().filter_map(|(subject, since, members)| self.raise_one(subject, since, &members, now)).collect()
    }

    fn raise_one(&mut self, subject: String, since: UnixMillis, members: &[String], now: UnixMillis) -> Option<Alert> {
        let id = alert_id(self.rule.name, &subject, since.interval_start(self.rule.window_ms));
        for member in members {
            self.watched.insert(member.clone(), Watched::Raised { alert: id, gone: None });
        }
        if let Some(open) = self.open.get_mut(&id) {
            // Latecomers of the same storm.
            open.members = open.members.saturating_add(members.len());
            return None;
        }
        let alert = Alert { id, rule: self.rule.name, subject, state: State::Raised, since, at: now, members: members.len(), who: None };
        self.open.insert(id, alert.clone());
        Some(alert)
    }

    /// An alert is cleared when the condition is gone for all that it stands for.
    fn clear(&mut self, now: UnixMillis) -> Vec<Alert> {
        let off_ms = self.rule.off_ms;
        self.watched.retain(|_, it| !matches!(it, Watched::Raised { gone: Some(gone), .. } if now.millis_since(*gone) >= off_ms));
        let held: std::collections::BTreeSet<AlertId> =
            self.watched.values().filter_map(|it| if let Watched::Raised { alert, .. } = it { Some(*alert) } else { None }).collect();
        let over: Vec<AlertId> = self.open.keys().filter(|id| !held.contains(id)).copied().collect();
        let cleared = over.iter().filter_map(|id| self.open.remove(id));
        cleared.map(|alert| Alert { state: State::Cleared, at: now, who: None, ..alert }).collect()
    }
}

#[cfg(test)]
mod tests;
