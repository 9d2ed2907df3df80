//! Who is online, and the last value of each topic that keeps one. Kept here, because rumqttd hands a new subscriber at most a hundred.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Mutex;

use bytes::Bytes;
use measure::{MeterId, UnixMillis};
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
    by_meter: BTreeMap<MeterId, Bytes>,
    /// Their memory.
    bytes: usize,
}

/// What a value costs besides its bytes: its meter's name and its place in the map.
const OVERHEAD: usize = 128;
/// Values read at once.
const PAGE: usize = 256;

/// Some of the last values, in the order of their meters.
pub(crate) struct Page {
    /// Topic and value.
    pub(crate) values: Vec<(String, Bytes)>,
    /// Where the next one begins.
    pub(crate) last: MeterId,
}

/// There is no room for the value. An older one of the same meter is gone too: better none than an old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl LastValues {
    /// Empty, for at most `len_max` meters and `bytes_max` bytes each.
    pub(crate) fn new(len_max: usize, bytes_max: usize) -> Self {
        let board = || Board { values: Mutex::default(), len_max, bytes_max };
        Self { state: board(), live: board() }
    }

    /// Keeps a meter's presence.
    pub(crate) fn set_state(&self, meter: &MeterId, value: Bytes) -> Result<(), Full> {
        self.state.set(meter, value)
    }

    /// Keeps a meter's live value; an empty one is forgotten, as MQTT has it.
    pub(crate) fn set_live(&self, meter: &MeterId, value: Bytes) -> Result<(), Full> {
        if value.is_empty() {
            lock(&self.live.values).remove(meter);
            return Ok(());
        }
        self.live.set(meter, value)
    }

    /// What a new subscriber to `filter` is told first, behind `after`; `None` at the end.
    pub(crate) fn page(&self, filter: &Filter, after: Option<&MeterId>) -> Option<Page> {
        match filter {
            Filter::State(meter) => self.state.page(meter.as_ref(), after, |meter| Topic::State { meter }),
            Filter::Live(meter) => self.live.page(meter.as_ref(), after, |meter| Topic::Live { meter }),
            _ => None,
        }
    }
}

impl Board {
    fn set(&self, meter: &MeterId, value: Bytes) -> Result<(), Full> {
        let mut values = lock(&self.values);
        values.remove(meter);
        let bytes = values.bytes.saturating_add(cost(&value));
        if values.by_meter.len() >= self.len_max || bytes > self.bytes_max {
            return Err(Full);
        }
        values.bytes = bytes;
        values.by_meter.insert(meter.clone(), value);
        Ok(())
    }

    fn page(&self, only: Option<&MeterId>, after: Option<&MeterId>, topic: impl Fn(MeterId) -> Topic) -> Option<Page> {
        let values = lock(&self.values);
        let entry = |(meter, value): (&MeterId, &Bytes)| (topic(meter.clone()).to_string(), value.clone());
        if let Some(meter) = only {
            let found = values.by_meter.get_key_value(meter).filter(|_| after.is_none())?;
            return Some(Page { values: vec![entry(found)], last: meter.clone() });
        }
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page = || values.by_meter.range((begin, Bound::Unbounded)).take(PAGE);
        let last = page().last()?.0.clone();
        Some(Page { values: page().map(entry).collect(), last })
    }
}

impl Values {
    fn remove(&mut self, meter: &MeterId) {
        if let Some(old) = self.by_meter.remove(meter) {
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

    fn id(number: usize) -> MeterId {
        format!("m{number}").parse().unwrap()
    }

    fn all(values: &LastValues, filter: &Filter) -> Vec<(String, Bytes)> {
        let (mut all, mut last) = (Vec::new(), None);
        while let Some(page) = values.page(filter, last.as_ref()) {
            assert!((1..=PAGE).contains(&page.values.len()));
            all.extend(page.values);
            last = Some(page.last);
        }
        all
    }

    #[test]
    fn all_values_are_kept_and_an_empty_one_is_forgotten() {
        let values = LastValues::new(600, 1_000_000);
        for number in 0..600 {
            assert_eq!(values.set_live(&id(number), Bytes::from(vec![1])), Ok(()));
        }
        assert_eq!(values.set_live(&id(600), Bytes::from(vec![1])), Err(Full));
        assert_eq!(values.set_live(&id(7), Bytes::from(vec![2])), Ok(()));
        let mut topics: Vec<String> = all(&values, &Filter::Live(None)).into_iter().map(|(topic, _)| topic).collect();
        topics.dedup();
        assert_eq!(topics.len(), 600);
        assert_eq!(all(&values, &Filter::Live(Some(id(7)))), [("live/m7".to_owned(), Bytes::from(vec![2]))]);
        assert_eq!(values.set_live(&id(7), Bytes::new()), Ok(()));
        assert!(all(&values, &Filter::Live(Some(id(7)))).is_empty());
        assert!(all(&values, &Filter::State(None)).is_empty());
    }

    #[test]
    fn their_bytes_are_bounded() {
        let values = LastValues::new(100, 3 * (1000 + OVERHEAD));
        let value = |len: usize| Bytes::from(vec![b'x'; len]);
        for number in 0..3 {
            assert_eq!(values.set_live(&id(number), value(1000)), Ok(()));
        }
        assert_eq!(values.set_live(&id(3), value(1)), Err(Full));
        assert_eq!(values.set_live(&id(0), value(500)), Ok(()));
        assert_eq!(values.set_live(&id(3), value(500 - OVERHEAD)), Ok(()));
        // One that has become too large leaves no old one behind.
        assert_eq!(values.set_live(&id(3), value(500)), Err(Full));
        assert!(all(&values, &Filter::Live(Some(id(3)))).is_empty());
        assert_eq!(values.set_live(&id(4), value(500 - OVERHEAD)), Ok(()));
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
