//! The sessions by identity: at most one each, the newest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use measure::MeterId;

use super::identity::{Identity, Role};
use super::inbox::{Cut, Inbox};
use crate::sync::lock;

/// The sessions.
#[derive(Default)]
pub(crate) struct Table(Mutex<Content>);

#[derive(Default)]
struct Content {
    sessions: HashMap<(Role, MeterId), Session>,
    /// Connections whose certificate was verified, by identity; for their limit.
    connections: HashMap<(Role, MeterId), usize>,
}

struct Session {
    id: SessionId,
    identity: Identity,
    inbox: Arc<Inbox>,
}

/// Tells sessions of one identity apart: the number of their connection, in the order in which the listener took them.
pub(crate) type SessionId = u64;

/// A newer session of the same identity is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Older;

impl Table {
    /// Begins a session. An older one of the same identity is cut; a newer one stays.
    ///
    /// Handshakes overtake each other: a connection that its client gave up long ago may come here after the one that replaced it.
    pub(crate) fn enter(&self, identity: &Identity, id: SessionId, inbox: Arc<Inbox>) -> Result<(), Older> {
        let mut content = lock(&self.0);
        let key = key(identity);
        if content.sessions.get(&key).is_some_and(|there| there.id > id) {
            return Err(Older);
        }
        let older = content.sessions.insert(key, Session { id, identity: identity.clone(), inbox });
        drop(content);
        if let Some(older) = older {
            older.inbox.cut(Cut::TakenOver);
        }
        Ok(())
    }

    /// Ends a session. `false` if a newer one has taken its place already.
    pub(crate) fn leave(&self, identity: &Identity, id: SessionId) -> bool {
        let mut content = lock(&self.0);
        let key = key(identity);
        let current = content.sessions.get(&key).is_some_and(|session| session.id == id);
        if current {
            content.sessions.remove(&key);
        }
        current
    }

    /// The inbox of a meter, if it is here.
    pub(crate) fn meter(&self, meter: &MeterId) -> Option<Arc<Inbox>> {
        lock(&self.0).sessions.get(&(Role::Meter, meter.clone())).map(|session| session.inbox.clone())
    }

    /// Ends every session that `select` picks; returns how many.
    pub(crate) fn cut(&self, why: Cut, select: impl Fn(&Identity) -> bool) -> usize {
        let content = lock(&self.0);
        let picked = content.sessions.values().filter(|session| select(&session.identity));
        picked.inspect(|session| session.inbox.cut(why)).count()
    }

    /// Counts a connection of an identity, unless it has `max` already. To be given back with [`Table::disconnected`].
    pub(crate) fn connected(&self, identity: &Identity, max: usize) -> bool {
        let mut content = lock(&self.0);
        let count = content.connections.entry(key(identity)).or_default();
        if *count >= max {
            return false;
        }
        *count = count.saturating_add(1);
        true
    }

    /// A connection that was counted is gone.
    pub(crate) fn disconnected(&self, identity: &Identity) {
        let mut content = lock(&self.0);
        let key = key(identity);
        match content.connections.get_mut(&key) {
            Some(count) if *count > 1 => *count = count.saturating_sub(1),
            _ => {
                content.connections.remove(&key);
            }
        }
    }
}

fn key(identity: &Identity) -> (Role, MeterId) {
    (identity.role, identity.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::identity::CertificateId;
    use measure::UnixMillis;

    fn identity(role: Role, serial: u8) -> Identity {
        let certificate = CertificateId::new(b"ca", &[serial]);
        Identity { name: "x".parse().unwrap(), role, certificate, not_after: UnixMillis(0) }
    }

    #[tokio::test]
    async fn the_newer_session_stays() {
        let table = Table::default();
        let (old, new, other) = (Arc::new(Inbox::new(1)), Arc::new(Inbox::new(1)), Arc::new(Inbox::new(1)));
        let meter = identity(Role::Meter, 1);
        assert_eq!(table.enter(&meter, 1, old.clone()), Ok(()));
        assert_eq!(table.enter(&identity(Role::Operator, 2), 2, other.clone()), Ok(()));
        assert_eq!(table.enter(&meter, 4, new.clone()), Ok(()));
        assert_eq!(old.next().await, Err(Cut::TakenOver));
        assert!(!table.leave(&meter, 1), "the old one must not take the new one's place away");
        assert_eq!(table.enter(&meter, 3, Arc::new(Inbox::new(1))), Err(Older), "one that was overtaken must not either");
        assert!(Arc::ptr_eq(&table.meter(&meter.name).unwrap(), &new));
        assert_eq!(table.cut(Cut::Revoked, |identity| *identity.certificate.serial == [2]), 1);
        assert_eq!(other.next().await, Err(Cut::Revoked));
        assert!(table.leave(&meter, 4));
        assert!(table.meter(&meter.name).is_none());
    }

    #[test]
    fn connections_of_one_identity_are_bounded() {
        let (table, meter) = (Table::default(), identity(Role::Meter, 1));
        assert!(table.connected(&meter, 2) && table.connected(&meter, 2) && !table.connected(&meter, 2));
        table.disconnected(&meter);
        assert!(table.connected(&meter, 2));
        table.disconnected(&meter);
        table.disconnected(&meter);
        assert!(lock(&table.0).connections.is_empty());
    }
}
