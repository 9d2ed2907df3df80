//! The router's own subscriptions. Whatever filters clients ask for, the router knows only these: its logs are never freed, so their
//! number must not be the clients' choice. What of a feed a client asked for, its session picks out.

use std::sync::LazyLock;

use bytes::Bytes;
use wire::topic::{self, Shard, Topic};

use crate::gate::acl::Filter;

/// A subscription of the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Feed {
    /// Frames of a shard.
    Up(Shard),
    /// Presence of all meters.
    State,
    /// Live values of all meters.
    Live,
    /// All alerts.
    Alert,
}

/// Acknowledgements to all meters.
pub(crate) const DOWN: &str = "down";
/// Commands to all meters.
pub(crate) const COMMAND: &str = "command";

/// Names of all feeds. Made once and never freed, so that handing one out counts no references between threads.
static NAMES: LazyLock<Vec<Bytes>> =
    LazyLock::new(|| Feed::all().map(|feed| Bytes::from_static(String::leak(feed.filter()).as_bytes())).collect());

impl Feed {
    /// Every feed there is.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Shard::all().map(Self::Up).chain([Self::State, Self::Live, Self::Alert])
    }

    /// Its place in [`Feed::all`].
    pub(crate) fn index(self) -> usize {
        let behind_shards = usize::from(topic::SHARDS);
        match self {
            Self::Up(shard) => usize::from(shard.number()),
            Self::State => behind_shards,
            Self::Live => behind_shards.saturating_add(1),
            Self::Alert => behind_shards.saturating_add(2),
        }
    }

    /// What its messages are published and subscribed to in the router: its name.
    pub(crate) fn filter(self) -> String {
        match self {
            Self::Up(shard) => format!("up-{shard}"),
            Self::State => "state".to_owned(),
            Self::Live => "live".to_owned(),
            Self::Alert => "alert".to_owned(),
        }
    }

    /// The same as bytes.
    pub(crate) fn name(self) -> Bytes {
        NAMES.get(self.index()).cloned().unwrap_or_default()
    }

    /// What a filter needs. Nothing for a meter's own topics, which come by the gate's links.
    pub(crate) fn needed(filter: &Filter) -> Vec<Self> {
        match filter {
            Filter::OwnDown | Filter::OwnCommand => Vec::new(),
            Filter::Up { shard: Some(shard), .. } => vec![Self::Up(*shard)],
            Filter::Up { shard: None, .. } => Shard::all().map(Self::Up).collect(),
            Filter::State(_) => vec![Self::State],
            Filter::Live(_) => vec![Self::Live],
            Filter::Alert { .. } => vec![Self::Alert],
        }
    }

    /// Where a message came from.
    pub(crate) fn of(topic: &Topic) -> Option<Self> {
        match topic {
            Topic::Up { shard, .. } => Some(Self::Up(*shard)),
            Topic::Down { .. } | Topic::Command { .. } | Topic::Acks { .. } => None,
            Topic::State { .. } => Some(Self::State),
            Topic::Live { .. } => Some(Self::Live),
            Topic::Alert { .. } => Some(Self::Alert),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feed_has_its_place() {
        let places: Vec<usize> = Feed::all().map(Feed::index).collect();
        assert_eq!(places, (0..67).collect::<Vec<_>>());
    }
}
