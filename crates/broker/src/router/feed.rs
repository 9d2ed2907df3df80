//! What clients subscribe to, told apart no further than the router does. Whatever filters they ask for, it knows only these feeds: its
//! logs are never freed, so their number must not be the clients' choice. What of a feed a client asked for, its session picks out.

use wire::topic::{self, Shard, Topic};

use crate::gate::acl::Filter;

/// A subscription of the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Feed {
    /// Frames of a shard: the only ones that don't go through rumqttd.
    Up(Shard),
    /// Presence of all meters.
    State,
    /// Live values of all meters.
    Live,
    /// All alerts.
    Alert,
}

/// Presence of all meters, as rumqttd knows it.
pub(crate) const STATE: &str = "state";
/// Live values of all meters.
pub(crate) const LIVE: &str = "live";
/// All alerts.
pub(crate) const ALERT: &str = "alert";
/// Acknowledgements to all meters.
pub(crate) const DOWN: &str = "down";
/// Commands to all meters.
pub(crate) const COMMAND: &str = "command";

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

    /// What a filter needs. Nothing for a meter's own topics, which come by the gate's links.
    pub(crate) fn needed(filter: &Filter) -> Vec<Self> {
        match filter {
            Filter::OwnDown | Filter::OwnCommand => Vec::new(),
            Filter::Up { shard: Some(shard), .. } => vec![Self::Up(*shard)],
            Filter::Up { shard: None, .. } => Shard::all().map(Self::Up).collect(),
            Filter::State(_) => vec![Self::State],
            Filter::Live { .. } => vec![Self::Live],
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
