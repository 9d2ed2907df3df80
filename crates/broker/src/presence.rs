//! Who is online, and the last value of each topic that keeps one. Kept here, because rumqttd hands a new subscriber at most a hundred.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Mutex;

use bytes::Bytes;
use measure::{Account, Channel, MeterId, UnixMillis};
use serde::{Deserialize, Serialize};
use wire::topic::Topic;

use crate::gate::acl::Filter;
use crate::sync::lock;

/// What `state/{meter}` says, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The meter.
    pub meter: MeterId,
    /// Whether it has a session.
    pub state: Presence,
    /// Start of that session, milliseconds since 1970 UTC. Of two messages the one with the later start is right.
    pub since_ms: UnixMillis,
    /// When this was so, milliseconds since 1970 UTC.
    pub at_ms: UnixMillis,
    /// `connected`; `contested`, when it replaced another one and such takeovers are more frequent than the limit; or why the session
    /// ended: `disconnected`, `connection_lost`, `keep_alive`, `revoked`, …
    pub why: String,
}

/// Whether a meter has a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// It has.
    Online,
    /// It has none.
    Offline,
}

impl State {
    /// From JSON.
    pub(crate) fn decode(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// As JSON.
    pub(crate) fn encode(&self) -> Bytes {
        // A struct of texts and numbers always has a JSON form.
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// The last values of `state/` and `live/`.
pub(crate) struct LastValues {
    state: Board,
    live: Board,
}

/// The last values of one kind of topic.
struct Board {
    values: Mutex<Values>,
    len_max: usize,
    bytes_max: usize,
}

#[derive(Default)]
struct Values {
    /// What is one for the whole meter stands at its first channel.
    by_account: BTreeMap<Account, Bytes>,
    /// Their memory.
    bytes: usize,
}

/// What a value costs besides its bytes: its meter's name and its place in the map.
const OVERHEAD: usize = 128;
/// Values looked at at once.
const PAGE: usize = 256;

/// Some of the last values, in the order of their meters.
pub(crate) struct Page {
    /// Topic and value of those that were asked for: none perhaps.
    pub(crate) values: Vec<(String, Bytes)>,
    /// Behind which the next one begins.
    pub(crate) last: Account,
}

/// There is no room for the value. An older one of the same channel is gone too: better none than an old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl LastValues {
    /// Empty, for at most `len_max` values and `bytes_max` bytes each. How many of them a meter may have is limited by the grammar of
    /// topics: as many as it may have channels.
    pub(crate) fn new(len_max: usize, bytes_max: usize) -> Self {
        let board = || Board { values: Mutex::default(), len_max, bytes_max };
        Self { state: board(), live: board() }
    }

    /// Keeps a meter's presence.
    pub(crate) fn set_state(&self, meter: &MeterId, value: Bytes) -> Result<(), Full> {
        self.state.set(Account::new(meter, 0), value)
    }

    /// Keeps a channel's live value; an empty one is forgotten, as MQTT has it.
    pub(crate) fn set_live(&self, account: Account, value: Bytes) -> Result<(), Full> {
        if value.is_empty() {
            lock(&self.live.values).remove(&account);
            return Ok(());
        }
        self.live.set(account, value)
    }

    /// What a new subscriber to `filter` is told first, behind `after`; `None` at the end.
    pub(crate) fn page(&self, filter: &Filter, after: Option<&Account>) -> Option<Page> {
        match filter {
            Filter::State(meter) => {
                self.state.page(filter, meter.as_ref(), after, |account| Topic::State { meter: account.meter().clone() })
            }
            Filter::Live { meter, .. } => self.live.page(filter, meter.as_ref(), after, |account| Topic::Live { account: account.clone() }),
            _ => None,
        }
    }
}

impl Board {
    fn set(&self, account: Account, value: Bytes) -> Result<(), Full> {
        let mut values = lock(&self.values);
        values.remove(&account);
        let bytes = values.bytes.saturating_add(cost(&value));
        if values.by_account.len() >= self.len_max || bytes > self.bytes_max {
            return Err(Full);
        }
        values.bytes = bytes;
        values.by_account.insert(account, value);
        Ok(())
    }

    fn page(&self, filter: &Filter, only: Option<&MeterId>, after: Option<&Account>, topic: impl Fn(&Account) -> Topic) -> Option<Page> {
        let first = only.map(|meter| Account::new(meter, 0));
        let end = only.map_or(Bound::Unbounded, |meter| Bound::Included(Account::new(meter, Channel::MAX)));
        let begin = after.map_or(first.map_or(Bound::Unbounded, Bound::Included), |after| Bound::Excluded(after.clone()));
        let values = lock(&self.values);
        let mut page = Vec::new();
        let mut last = None;
        for (account, value) in values.by_account.range((begin, end)).take(PAGE) {
            let topic = topic(account);
            if filter.matches(&topic) {
                page.push((topic.to_string(), value.clone()));
            }
            last = Some(account);
        }
        last.map(|last| Page { values: page, last: last.clone() })
    }
}

impl Values {
    fn remove(&mut self, account: &Account) {
        if let Some(old) = self.by_account.remove(account) {
            self.bytes = self.bytes.saturating_sub(cost(&old));
        }
    }
}

fn cost(value: &Bytes) -> usize {
    value.len().saturating_add(OVERHEAD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::acl;
    use crate::gate::identity::Role;

    fn id(number: usize) -> MeterId {
        format!("m{number}").parse().unwrap()
    }

    fn first(number: usize) -> Account {
        Account::new(&id(number), 0)
    }

    /// What an operator gets who subscribes to `filter`.
    fn all(values: &LastValues, filter: &str) -> Vec<(String, Bytes)> {
        let filter = acl::subscribe(Role::Operator, &id(0), filter).unwrap();
        let (mut all, mut last) = (Vec::new(), None);
        while let Some(page) = values.page(&filter, last.as_ref()) {
            assert!(page.values.len() <= PAGE);
            all.extend(page.values);
            last = Some(page.last);
        }
        all
    }

    #[test]
    fn all_values_are_kept_and_an_empty_one_is_forgotten() {
        let values = LastValues::new(600, 1_000_000);
        for number in 0..600 {
            assert_eq!(values.set_live(first(number), Bytes::from(vec![1])), Ok(()));
        }
        assert_eq!(values.set_live(first(600), Bytes::from(vec![1])), Err(Full));
        assert_eq!(values.set_live(first(7), Bytes::from(vec![2])), Ok(()));
        let mut topics: Vec<String> = all(&values, "live/#").into_iter().map(|(topic, _)| topic).collect();
        topics.dedup();
        assert_eq!(topics.len(), 600);
        assert_eq!(all(&values, "live/m7"), [("live/m7".to_owned(), Bytes::from(vec![2]))]);
        assert_eq!(values.set_live(first(7), Bytes::new()), Ok(()));
        assert!(all(&values, "live/m7").is_empty());
        assert!(all(&values, "state/#").is_empty());
    }

    #[test]
    fn channels_are_kept_each_and_found_by_every_filter() {
        let values = LastValues::new(10_000, 10_000_000);
        // Around the meter in question stand more others than a page has, whose names begin as its own does.
        for number in (1..600).chain(700..1300) {
            assert_eq!(values.set_live(first(number), Bytes::from(vec![1])), Ok(()));
        }
        for channel in 0..6 {
            assert_eq!(values.set_live(Account::new(&id(60), channel), Bytes::from(vec![channel])), Ok(()));
        }
        let topics = |filter| all(&values, filter).into_iter().map(|(topic, _)| topic).collect::<Vec<_>>();
        let flats: Vec<String> = (1..6).map(|channel| format!("live/m60/{channel}")).collect();
        assert_eq!((topics("live/#").len(), topics("live/+").len(), topics("live/+/#").len()), (1204, 1199, 1204));
        assert_eq!((topics("live/+/+"), topics("live/m60/+")), (flats.clone(), flats.clone()));
        assert_eq!(topics("live/m60/#"), [&["live/m60".to_owned()], &flats[..]].concat());
        assert_eq!(
            (topics("live/m60"), topics("live/m60/3"), topics("live/+/5")),
            (vec!["live/m60".into()], vec!["live/m60/3".into()], vec!["live/m60/5".into()])
        );
        assert_eq!(all(&values, "live/m60/3"), [("live/m60/3".to_owned(), Bytes::from(vec![3]))]);
        // One is forgotten, the others stay.
        assert_eq!(values.set_live(Account::new(&id(60), 3), Bytes::new()), Ok(()));
        assert_eq!((topics("live/m60/3").len(), topics("live/m60/#").len(), topics("live/m6/+").len()), (0, 5, 0));
    }

    #[test]
    fn a_meter_takes_no_more_places_than_it_may_have_channels() {
        let values = LastValues::new(20, 1_000_000);
        let mut taken = 0;
        for channel in 0..=Channel::MAX {
            let topic = if channel == 0 { "live/m1".to_owned() } else { format!("live/m1/{channel}") };
            let Ok(acl::Destination::Live(account)) = acl::publish(Role::Service, &id(0), &topic, true) else { continue };
            assert_eq!(values.set_live(account, Bytes::from(vec![1])), Ok(()));
            taken += 1;
        }
        assert_eq!(taken, measure::CHANNELS_MAX);
        for honest in 2..6 {
            assert_eq!(values.set_live(first(honest), Bytes::from(vec![1])), Ok(()));
        }
    }

    #[test]
    fn their_bytes_are_bounded() {
        let values = LastValues::new(100, 3 * (1000 + OVERHEAD));
        let value = |len: usize| Bytes::from(vec![b'x'; len]);
        for number in 0..3 {
            assert_eq!(values.set_live(first(number), value(1000)), Ok(()));
        }
        assert_eq!(values.set_live(first(3), value(1)), Err(Full));
        assert_eq!(values.set_live(first(0), value(500)), Ok(()));
        assert_eq!(values.set_live(first(3), value(500 - OVERHEAD)), Ok(()));
        // One that has become too large leaves no old one behind.
        assert_eq!(values.set_live(first(3), value(500)), Err(Full));
        assert!(all(&values, "live/m3").is_empty());
        assert_eq!(values.set_live(first(4), value(500 - OVERHEAD)), Ok(()));
        // The other kind has bytes of its own.
        assert_eq!(values.set_state(&id(0), value(1000)), Ok(()));
    }

    #[test]
    fn state_is_this_json() {
        let state = State {
            meter: "M0001".parse().unwrap(),
            state: Presence::Offline,
            since_ms: UnixMillis(1_000),
            at_ms: UnixMillis(2_000),
            why: "keep_alive".to_owned(),
        };
        let json = r#"{"meter":"M0001","state":"offline","since_ms":1000,"at_ms":2000,"why":"keep_alive"}"#;
        assert_eq!(state.encode(), json);
        assert_eq!(serde_json::from_str::<State>(json).unwrap(), state);
    }
}
