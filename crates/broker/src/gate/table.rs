//! The identities that are here: at most one session each, the newest, their connections, and how they stand with the limits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use measure::{MeterId, UnixMillis};

use super::identity::{Identity, Role};
use super::inbox::{Cut, Inbox};
use super::rate::Standing;
use crate::sync::lock;

/// The identities.
#[derive(Default)]
pub(crate) struct Table(Mutex<Content>);

#[derive(Default)]
struct Content {
    entries: HashMap<(Role, MeterId), Entry>,
    /// Entries from which on those without a connection are looked through for what may be forgotten.
    sweep_at: usize,
}

/// Least number of entries to look through.
const SWEEP_LEAST: usize = 1024;

struct Entry {
    session: Option<Session>,
    /// Connections whose certificate was verified; for their limit.
    connections: usize,
    /// Outlives connections: to come again is no way around a limit.
    standing: Arc<Mutex<Standing>>,
}

struct Session {
    id: SessionId,
    identity: Identity,
    inbox: Arc<Inbox>,
    since: UnixMillis,
}

/// Tells sessions of one identity apart: the number of their connection, in the order in which the listener took them.
pub(crate) type SessionId = u64;

/// What became of a session that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    /// It is the identity's only one.
    Alone,
    /// It replaced an older one.
    Replaced,
    /// A newer one is there already.
    TooLate,
}

impl Table {
    /// Begins a session. An older one of the same identity is cut; a newer one stays.
    ///
    /// Handshakes overtake each other: a connection that its client gave up long ago may come here after the one that replaced it.
    pub(crate) fn enter(&self, identity: &Identity, id: SessionId, inbox: Arc<Inbox>, since: UnixMillis, now: Instant) -> Entered {
        let mut content = lock(&self.0);
        let entry = content.entry(identity, now);
        if entry.session.as_ref().is_some_and(|there| there.id > id) {
            return Entered::TooLate;
        }
        let older = entry.session.replace(Session { id, identity: identity.clone(), inbox, since });
        drop(content);
        let Some(older) = older else { return Entered::Alone };
        older.inbox.cut(Cut::TakenOver);
        Entered::Replaced
    }

    /// Ends a session. `false` if a newer one has taken its place already.
    pub(crate) fn leave(&self, identity: &Identity, id: SessionId) -> bool {
        let mut content = lock(&self.0);
        let Some(entry) = content.entries.get_mut(&key(identity)) else { return false };
        let current = entry.session.as_ref().is_some_and(|session| session.id == id);
        if current {
            entry.session = None;
        }
        current
    }

    /// The inbox of a meter, if it is here.
    pub(crate) fn meter(&self, meter: &MeterId) -> Option<Arc<Inbox>> {
        self.inbox(Role::Meter, meter)
    }

    /// The inbox of whoever has this role and name, if it is here.
    pub(crate) fn inbox(&self, role: Role, name: &MeterId) -> Option<Arc<Inbox>> {
        let content = lock(&self.0);
        let entry = content.entries.get(&(role, name.clone()))?;
        entry.session.as_ref().map(|session| session.inbox.clone())
    }

    /// Whether an identity has a session older than this connection, and how it stands with the limits.
    pub(crate) fn look_up(&self, identity: &Identity, id: SessionId, now: Instant) -> (bool, Arc<Mutex<Standing>>) {
        let mut content = lock(&self.0);
        let entry = content.entry(identity, now);
        (entry.session.as_ref().is_some_and(|session| session.id < id), entry.standing.clone())
    }

    /// Ends every session that `select` picks; returns how many.
    pub(crate) fn cut(&self, why: Cut, select: impl Fn(&Identity) -> bool) -> usize {
        let content = lock(&self.0);
        let sessions = content.entries.values().filter_map(|entry| entry.session.as_ref());
        sessions.filter(|session| select(&session.identity)).inspect(|session| session.inbox.cut(why)).count()
    }

    /// Ends a meter's session if it began before `since`; whose it was, and how that one stands with the limits.
    pub(crate) fn cut_older(&self, meter: &MeterId, since: UnixMillis) -> Option<(Identity, Arc<Mutex<Standing>>)> {
        let content = lock(&self.0);
        let entry = content.entries.get(&(Role::Meter, meter.clone()))?;
        let session = entry.session.as_ref().filter(|session| session.since < since)?;
        session.inbox.cut(Cut::TakenOver);
        Some((session.identity.clone(), entry.standing.clone()))
    }

    /// Counts a connection of an identity, unless it has `max` already. To be given back with [`Table::disconnected`].
    pub(crate) fn connected(&self, identity: &Identity, max: usize, now: Instant) -> bool {
        let mut content = lock(&self.0);
        let entry = content.entry(identity, now);
        let fits = entry.connections < max;
        if fits {
            entry.connections = entry.connections.saturating_add(1);
        }
        fits
    }

    /// A connection that was counted is gone.
    pub(crate) fn disconnected(&self, identity: &Identity, now: Instant) {
        let mut content = lock(&self.0);
        if let Some(entry) = content.entries.get_mut(&key(identity)) {
            entry.connections = entry.connections.saturating_sub(1);
            if entry.is_forgotten(now) {
                content.entries.remove(&key(identity));
            }
        }
    }
}

impl Content {
    fn entry(&mut self, identity: &Identity, now: Instant) -> &mut Entry {
        if self.entries.len() >= self.sweep_at.max(SWEEP_LEAST) {
            self.entries.retain(|_, entry| !entry.is_forgotten(now));
            // Looked through each time that their number has doubled: that costs each entry a constant.
            self.sweep_at = self.entries.len().saturating_mul(2);
        }
        self.entries.entry(key(identity)).or_insert_with(|| Entry {
            session: None,
            connections: 0,
            standing: Arc::new(Mutex::new(Standing::new(now))),
        })
    }
}

impl Entry {
    fn is_forgotten(&self, now: Instant) -> bool {
        self.connections == 0 && self.session.is_none() && lock(&self.standing).is_forgotten(now)
    }
}

fn key(identity: &Identity) -> (Role, MeterId) {
    (identity.role, identity.name.clone())
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
