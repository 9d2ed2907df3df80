//! Who is online, and the last value of each topic that keeps one. Kept here, because rumqttd hands a new subscriber at most a hundred.

use std::collections::BTreeMap;
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
    /// `connected`, or why the session ended: `disconnected`, `connection_lost`, `keep_alive`, `revoked`, …
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

/// The last values of one kind of topic, at most `len_max`.
struct Board {
    values: Mutex<BTreeMap<MeterId, Bytes>>,
    len_max: usize,
}

/// The board is full and the meter is not on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl LastValues {
    /// Empty, for at most `len_max` meters each.
    pub(crate) fn new(len_max: usize) -> Self {
        let board = || Board { values: Mutex::default(), len_max };
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

    /// What a new subscriber to `filter` is told first: topic and value of each meter.
    pub(crate) fn matching(&self, filter: &Filter) -> Vec<(String, Bytes)> {
        match filter {
            Filter::State(meter) => self.state.read(meter.as_ref(), |meter| Topic::State { meter }),
            Filter::Live(meter) => self.live.read(meter.as_ref(), |meter| Topic::Live { meter }),
            _ => Vec::new(),
        }
    }
}

impl Board {
    fn set(&self, meter: &MeterId, value: Bytes) -> Result<(), Full> {
        let mut values = lock(&self.values);
        let full = values.len() >= self.len_max;
        match values.get_mut(meter) {
            Some(old) => *old = value,
            None if full => return Err(Full),
            None => {
                values.insert(meter.clone(), value);
            }
        }
        Ok(())
    }

    fn read(&self, meter: Option<&MeterId>, topic: impl Fn(MeterId) -> Topic) -> Vec<(String, Bytes)> {
        let values = lock(&self.values);
        let entry = |(meter, value): (&MeterId, &Bytes)| (topic(meter.clone()).to_string(), value.clone());
        match meter {
            Some(meter) => values.get_key_value(meter).map(entry).into_iter().collect(),
            None => values.iter().map(entry).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_values_are_kept_and_an_empty_one_is_forgotten() {
        let values = LastValues::new(500);
        let id = |number: usize| format!("m{number}").parse::<MeterId>().unwrap();
        for number in 0..500 {
            assert_eq!(values.set_live(&id(number), Bytes::from(vec![1])), Ok(()));
        }
        assert_eq!(values.set_live(&id(500), Bytes::from(vec![1])), Err(Full));
        assert_eq!(values.set_live(&id(7), Bytes::from(vec![2])), Ok(()));
        assert_eq!(values.matching(&Filter::Live(None)).len(), 500);
        assert_eq!(values.matching(&Filter::Live(Some(id(7)))), [("live/m7".to_owned(), Bytes::from(vec![2]))]);
        assert_eq!(values.set_live(&id(7), Bytes::new()), Ok(()));
        assert!(values.matching(&Filter::Live(Some(id(7)))).is_empty());
        assert!(values.matching(&Filter::State(None)).is_empty());
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
