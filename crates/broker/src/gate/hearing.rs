//! Which feeds a client's link hears, and from which message on.
//!
//! The router obeys later than it is told: behind an UNSUBSCRIBE there are messages on their way, and they may be overtaken by the next
//! SUBSCRIBE of the same feed. So a feed is heard from the router's confirmation on, and what comes before it was meant for an earlier
//! subscription.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use wire::topic::Shard;

use crate::flow::Flow;
use crate::router::Feed;

/// What a client's link is subscribed to.
pub(super) struct Hearing {
    flow: Arc<Flow>,
    feeds: HashMap<Feed, Subscription>,
    /// Subscriptions that the router was sent, and those that it has confirmed, which it does in order.
    sent: u64,
    confirmed: u64,
}

struct Subscription {
    /// Which of those sent.
    number: u64,
    /// Place of the next message if nothing is forgotten. None until the subscription is confirmed.
    next_place: Option<u64>,
    _reader: Option<Reader>,
}

/// Counts as a reader of a shard while it lives.
struct Reader {
    flow: Arc<Flow>,
    shard: Shard,
}

impl Hearing {
    /// Nothing.
    pub(super) fn new(flow: Arc<Flow>) -> Self {
        Self { flow, feeds: HashMap::new(), sent: 0, confirmed: 0 }
    }

    /// Those of the feeds that are new. Unless there are none they must be subscribed to, all with one packet.
    pub(super) fn begin(&mut self, needed: HashSet<Feed>) -> Vec<Feed> {
        let new: Vec<Feed> = needed.into_iter().filter(|feed| !self.feeds.contains_key(feed)).collect();
        if !new.is_empty() {
            self.sent = self.sent.saturating_add(1);
        }
        for feed in &new {
            let reader = match feed {
                Feed::Up(shard) => Some(Reader::new(self.flow.clone(), *shard)),
                _ => None,
            };
            self.feeds.insert(*feed, Subscription { number: self.sent, next_place: None, _reader: reader });
        }
        new
    }

    /// The oldest subscription that was not is in force: what the router forgets from now on was meant for this client.
    pub(super) fn confirmed(&mut self) {
        self.confirmed = self.confirmed.saturating_add(1);
        for (feed, subscription) in self.feeds.iter_mut().filter(|(_, subscription)| subscription.number == self.confirmed) {
            subscription.next_place = Some(self.flow.next_place(*feed));
        }
    }

    /// Lets feeds end that are not needed any more, and returns them.
    pub(super) fn end(&mut self, needed: &HashSet<Feed>) -> Vec<Feed> {
        self.feeds.extract_if(|feed, _| !needed.contains(feed)).map(|(feed, _)| feed).collect()
    }

    /// A message of a feed came, from this place in its log: how many before it the router forgot. `None` if it is not for this client.
    pub(super) fn heard(&mut self, feed: Feed, place: Option<u64>) -> Option<u64> {
        let next = self.feeds.get_mut(&feed)?.next_place.as_mut()?;
        let Some(place) = place else { return Some(0) };
        let forgotten = place.saturating_sub(*next);
        *next = place.saturating_add(1);
        if let Feed::Up(shard) = feed {
            self.flow.taken(shard, place);
        }
        Some(forgotten)
    }
}

impl Reader {
    fn new(flow: Arc<Flow>, shard: Shard) -> Self {
        flow.join(shard);
        Self { flow, shard }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.flow.leave(self.shard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(feed: Feed) -> HashSet<Feed> {
        HashSet::from([feed])
    }

    /// Hands over a frame, and returns its place.
    fn pass(flow: &Flow, feed: Feed) -> Option<u64> {
        let place = flow.next_place(feed);
        flow.passed(feed);
        Some(place)
    }

    #[test]
    fn what_was_meant_for_an_earlier_subscription_is_not_heard() {
        let (flow, feed) = (Arc::new(Flow::new(4)), Feed::Up(Shard::new(5).unwrap()));
        let mut hearing = Hearing::new(flow.clone());
        assert_eq!(hearing.begin(only(feed)), [feed]);
        hearing.confirmed();
        let first = pass(&flow, feed);
        assert_eq!(hearing.heard(feed, first), Some(0));

        let lost = pass(&flow, feed);
        assert_eq!(hearing.end(&HashSet::new()), [feed]);
        let never_sent = pass(&flow, feed);
        assert_eq!(hearing.begin(only(feed)), [feed]);
        assert_eq!(hearing.heard(feed, lost), None, "on its way since before the end");
        hearing.confirmed();
        let again = pass(&flow, feed);
        assert_eq!(hearing.heard(feed, again), Some(0), "{never_sent:?} was not for this client, so nothing is forgotten");
    }

    #[test]
    fn each_confirmation_is_for_one_subscription() {
        let flow = Arc::new(Flow::new(4));
        let mut hearing = Hearing::new(flow.clone());
        assert_eq!(hearing.begin(only(Feed::State)), [Feed::State]);
        assert_eq!(hearing.begin(only(Feed::State)), []);
        assert_eq!(hearing.end(&HashSet::new()), [Feed::State]);
        assert_eq!(hearing.begin(HashSet::from([Feed::State])), [Feed::State]);
        assert_eq!(hearing.begin(HashSet::from([Feed::State, Feed::Live])), [Feed::Live]);
        // That of the first, which has ended.
        hearing.confirmed();
        assert_eq!(hearing.heard(Feed::State, pass(&flow, Feed::State)), None);
        hearing.confirmed();
        assert_eq!((hearing.heard(Feed::State, pass(&flow, Feed::State)), hearing.heard(Feed::Live, Some(0))), (Some(0), None));
        hearing.confirmed();
        assert_eq!(hearing.heard(Feed::Live, pass(&flow, Feed::Live)), Some(0));
    }

    #[test]
    fn a_jump_is_what_the_router_forgot() {
        let flow = Arc::new(Flow::new(4));
        let mut hearing = Hearing::new(flow.clone());
        pass(&flow, Feed::Alert);
        hearing.begin(only(Feed::Alert));
        hearing.confirmed();
        assert_eq!([1, 5, 6].map(|place| hearing.heard(Feed::Alert, Some(place))), [Some(0), Some(3), Some(0)]);
    }
}
