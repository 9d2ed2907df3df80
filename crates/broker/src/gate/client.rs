//! A service's or an operator's side of a session: its link to the router, what it hears, and what is on its way to it.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use wire::topic::Topic;

use super::acl::Filter;
use super::hearing::Hearing;
use super::machine::Machine;
use super::{Gate, packet};
use crate::reason::Reason;
use crate::router::{Event, Feed, Gone, Link, Message, Parcel, Taken};

/// What a service or operator has in the gate.
pub(super) struct Client {
    gate: Arc<Gate>,
    link: Link,
    hearing: Hearing,
    window: Window,
    /// Subscriptions that the router has not confirmed, oldest first.
    unconfirmed: VecDeque<Answer>,
    batch: Vec<Event>,
}

/// The answer to a SUBSCRIBE, once the router has it in force.
pub(super) struct Answer {
    pub(super) pkid: u16,
    pub(super) codes: Vec<u8>,
    /// Filters whose last values come with it.
    pub(super) granted: Vec<Filter>,
}

impl Client {
    /// Hears nothing yet.
    pub(super) fn new(gate: Arc<Gate>, link: Link) -> Self {
        let window = Window { on_their_way: HashSet::new(), last: 0, max: usize::from(gate.limits.in_flight) };
        let hearing = Hearing::new(gate.flow.clone());
        Self { gate, link, hearing, window, unconfirmed: VecDeque::new(), batch: Vec::new() }
    }

    /// Waits until the router has sent something; for ever while too much is on its way to the client, so that the router holds the
    /// rest back. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Result<(), Gone> {
        if !self.window.is_open() {
            return std::future::pending().await;
        }
        self.link.next(&mut self.batch).await
    }

    /// Writes what has come until `out` holds `len` bytes: a SUBACK before the messages that it brings. Returns the filters whose last
    /// values are due, and whether there is more to be written.
    pub(super) fn write(&mut self, machine: &Machine, out: &mut Vec<u8>, len: usize) -> (Vec<Filter>, bool) {
        let (mut due, mut events) = (Vec::new(), std::mem::take(&mut self.batch).into_iter());
        while out.len() < len {
            match events.next() {
                Some(Event::Message(message)) => self.message(machine, &message, out),
                Some(Event::Subscribed) => {
                    self.hearing.confirmed();
                    if let Some(Answer { pkid, codes, granted }) = self.unconfirmed.pop_front() {
                        packet::suback(out, pkid, &codes);
                        due.extend(granted);
                    }
                }
                None => break,
            }
        }
        self.batch = events.collect();
        (due, !self.batch.is_empty())
    }

    /// All that was written has left: the router may send more.
    pub(super) fn done(&mut self) -> Result<(), Gone> {
        self.link.done()
    }

    fn message(&mut self, machine: &Machine, message: &Message, out: &mut Vec<u8>) {
        let topic = std::str::from_utf8(&message.topic).ok().and_then(|text| text.parse::<Topic>().ok());
        let Some((topic, feed)) = topic.and_then(|topic| Feed::of(&topic).map(|feed| (topic, feed))) else { return };
        let Some(forgotten) = self.hearing.heard(feed, message.place) else { return };
        if forgotten > 0 {
            self.gate.metrics.dropped(Reason::SlowReader, forgotten);
        }
        let Some(qos) = machine.wants(&topic) else { return };
        let pkid = if qos == 0 { None } else { Some(self.window.send()) };
        packet::publish(out, &message.topic, &message.payload, pkid, false);
        self.gate.metrics.delivered.inc();
    }

    /// Subscribes to what the granted filters need. The answer is returned if nothing new is needed, else it becomes due later.
    pub(super) fn subscribe(&mut self, answer: Answer) -> Result<Option<Answer>, Gone> {
        let new = self.hearing.begin(answer.granted.iter().flat_map(Feed::needed).collect());
        if new.is_empty() {
            return Ok(Some(answer));
        }
        self.unconfirmed.push_back(answer);
        // Whose PUBACK has gone out was published before this subscription.
        self.gate.router.release()?;
        self.link.subscribe(new)?;
        Ok(None)
    }

    /// Lets feeds end that no filter in force needs.
    pub(super) fn unsubscribe(&mut self, machine: &Machine) -> Result<(), Gone> {
        let over = self.hearing.end(&machine.filters().flat_map(Feed::needed).collect());
        if over.is_empty() {
            return Ok(());
        }
        self.gate.router.release()?;
        self.link.unsubscribe(over)
    }

    /// Publishes, with the next [`Client::release`] or before.
    pub(super) fn publish(&mut self, parcel: &Parcel) -> Result<Taken, Gone> {
        self.link.publish(parcel)
    }

    /// Hands the router what was published.
    pub(super) fn release(&mut self) -> Result<(), Gone> {
        self.link.release()
    }

    /// The client has acknowledged a message.
    pub(super) fn acknowledged(&mut self, pkid: u16) {
        if !self.window.on_their_way.remove(&pkid) {
            // Left over from an earlier connection, as clients' libraries do: it asks for nothing.
            self.gate.metrics.refused(Reason::PubackUnasked);
        }
    }
}

/// Packet identifiers of messages that the client has not acknowledged.
struct Window {
    on_their_way: HashSet<u16>,
    last: u16,
    max: usize,
}

impl Window {
    fn is_open(&self) -> bool {
        self.on_their_way.len() < self.max
    }

    /// A free packet identifier. The window may be over its bound by one batch, which the identifiers have room for.
    fn send(&mut self) -> u16 {
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if self.on_their_way.insert(self.last) {
                return self.last;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_on_their_way_are_not_used_again() {
        let mut window = Window { on_their_way: HashSet::new(), last: 65_533, max: 4 };
        assert_eq!([window.send(), window.send(), window.send()], [65_534, 65_535, 1]);
        assert!(window.is_open());
        window.last = 65_533;
        assert_eq!(window.send(), 2);
        assert!(!window.is_open());
        assert!(window.on_their_way.remove(&65_534));
        window.last = 65_533;
        assert_eq!(window.send(), 65_534);
    }
}
