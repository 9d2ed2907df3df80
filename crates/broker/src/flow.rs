//! Back-pressure by shard: how far the processor of a shard is behind, and who waits for it.
//!
//! rumqttd never holds a publisher back for a slow reader; it forgets. So the gate counts, for each shard, the frames it handed over and
//! the place in the shard's log that the fastest processor has reached, and takes nothing more from the shard's meters while the
//! difference is over a bound, not even what was read already. It begins again at half of it. A shard that nobody subscribes to is not held back: its frames reach nobody, and
//! its meters send them again.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use tokio::sync::Notify;
use wire::topic::Shard;

use crate::router::Feed;

/// What was handed over, by feed, and how much of it was taken.
pub(crate) struct Flow {
    lanes: Vec<Lane>,
    lag_max: u64,
}

#[derive(Default)]
struct Lane {
    /// Messages handed to the router, or about to be.
    passed: AtomicU64,
    /// Frames that the fastest processor has taken or will never see.
    taken: AtomicU64,
    /// Processors subscribed.
    readers: AtomicUsize,
    moved: Notify,
}

impl Flow {
    /// All feeds at zero, as the router's logs are. `lag_max` in frames.
    pub(crate) fn new(lag_max: u64) -> Self {
        Self { lanes: Feed::all().map(|_| Lane::default()).collect(), lag_max }
    }

    fn lane(&self, shard: Shard) -> Option<&Lane> {
        self.lanes.get(Feed::Up(shard).index())
    }

    /// A message is handed to the router.
    pub(crate) fn passed(&self, feed: Feed) {
        if let Some(lane) = self.lanes.get(feed.index()) {
            lane.passed.fetch_add(1, Relaxed);
        }
    }

    /// A message that was counted by [`Flow::passed`] was not handed over after all.
    pub(crate) fn withdrawn(&self, feed: Feed) {
        if let Some(lane) = self.lanes.get(feed.index()) {
            lane.passed.fetch_sub(1, Relaxed);
            lane.moved.notify_waiters();
        }
    }

    /// The place in the feed's log that the next message gets, at most.
    pub(crate) fn next_place(&self, feed: Feed) -> u64 {
        self.lanes.get(feed.index()).map_or(0, |lane| lane.passed.load(Relaxed))
    }

    /// A processor subscribes: what was before doesn't concern it.
    pub(crate) fn join(&self, shard: Shard) {
        if let Some(lane) = self.lane(shard) {
            lane.taken.fetch_max(lane.passed.load(Relaxed), Relaxed);
            lane.readers.fetch_add(1, Relaxed);
        }
    }

    /// A processor is gone.
    pub(crate) fn leave(&self, shard: Shard) {
        if let Some(lane) = self.lane(shard) {
            lane.readers.fetch_sub(1, Relaxed);
            lane.moved.notify_waiters();
        }
    }

    /// A processor has taken the frame at `place` of the shard's log.
    pub(crate) fn taken(&self, shard: Shard, place: u64) {
        if let Some(lane) = self.lane(shard) {
            lane.taken.fetch_max(place.saturating_add(1), Relaxed);
            if lane.behind() <= self.lag_max / 2 {
                lane.moved.notify_waiters();
            }
        }
    }

    /// Whether the shard's meters must wait.
    pub(crate) fn is_behind(&self, shard: Shard) -> bool {
        self.lane(shard).is_some_and(|lane| lane.behind() > self.lag_max)
    }

    /// Waits until the shard's processor has caught up to half of the bound.
    pub(crate) async fn caught_up(&self, shard: Shard) {
        let Some(lane) = self.lane(shard) else { return };
        loop {
            let mut moved = std::pin::pin!(lane.moved.notified());
            // Registered before looking, so that a move in between is not missed.
            moved.as_mut().enable();
            if lane.behind() <= self.lag_max / 2 {
                return;
            }
            moved.await;
        }
    }
}

impl Lane {
    fn behind(&self) -> u64 {
        if self.readers.load(Relaxed) == 0 { 0 } else { self.passed.load(Relaxed).saturating_sub(self.taken.load(Relaxed)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard() -> Shard {
        Shard::new(5).unwrap()
    }

    #[tokio::test]
    async fn holds_back_over_the_bound_and_lets_go_at_half() {
        let flow = std::sync::Arc::new(Flow::new(4));
        flow.join(shard());
        for _ in 0..4 {
            flow.passed(Feed::Up(shard()));
        }
        assert!(!flow.is_behind(shard()));
        flow.passed(Feed::Up(shard()));
        assert!(flow.is_behind(shard()));
        assert!(!flow.is_behind(Shard::new(6).unwrap()));

        let waiting = tokio::spawn({
            let flow = flow.clone();
            async move { flow.caught_up(shard()).await }
        });
        flow.taken(shard(), 1);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "3 behind is still more than half");
        flow.taken(shard(), 2);
        waiting.await.unwrap();
    }

    #[test]
    fn nobody_waits_for_nobody_and_the_past_does_not_count() {
        let flow = Flow::new(4);
        for _ in 0..100 {
            flow.passed(Feed::Up(shard()));
        }
        assert!(!flow.is_behind(shard()));
        flow.join(shard());
        assert!(!flow.is_behind(shard()));
        for _ in 0..5 {
            flow.passed(Feed::Up(shard()));
        }
        assert!(flow.is_behind(shard()));
        flow.leave(shard());
        assert!(!flow.is_behind(shard()));
    }

    #[test]
    fn what_was_withdrawn_holds_nobody_back() {
        let flow = Flow::new(4);
        flow.join(shard());
        for _ in 0..100 {
            flow.passed(Feed::Up(shard()));
            flow.withdrawn(Feed::Up(shard()));
        }
        assert!(!flow.is_behind(shard()));
        assert_eq!(flow.next_place(Feed::Up(shard())), 0);
    }

    #[test]
    fn the_fastest_reader_counts() {
        let flow = Flow::new(4);
        flow.join(shard());
        flow.join(shard());
        for place in 0..50 {
            flow.passed(Feed::Up(shard()));
            flow.taken(shard(), place);
        }
        flow.taken(shard(), 3);
        assert!(!flow.is_behind(shard()));
    }
}
