//! Meters' frames, by shard: what processors read at their own pace, on the threads that publish it.
//!
//! They are nearly all that a broker carries, one at a time, each for one reader. Through rumqttd's thread and back a frame costs two
//! wake-ups and half a dozen moves of a packet, more than all else that is done with it; here it is put into a log under a lock, once.
//! A log forgets its oldest frames when it is full, as rumqttd's do: a reader sees from the places that some are missing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::Notify;
use wire::topic::{self, Shard};

use super::{Event, Message, parcel};
use crate::sync::lock;

/// The logs of all shards.
pub(super) struct Shards {
    logs: Vec<Mutex<Log>>,
    /// Bytes that a log keeps.
    bytes_max: usize,
    /// Shards with frames that nobody was told of: a bit each.
    fresh: AtomicU64,
    readers: Mutex<Vec<Arc<Ear>>>,
}

/// The newest frames of a shard.
#[derive(Default)]
struct Log {
    /// Parcels' contents, oldest first, and their bytes.
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// Place of the oldest: how many were forgotten.
    begin: u64,
}

/// What a reader is told. A bit stands for a shard.
#[derive(Default)]
struct Ear {
    wanted: AtomicU64,
    news: AtomicU64,
    bell: Notify,
}

/// Reads the shards it has joined, each from the place where it joined.
pub(super) struct Reader {
    shards: Arc<Shards>,
    ear: Arc<Ear>,
    /// Place of the next frame.
    next: BTreeMap<Shard, u64>,
    /// Where the next turn begins, so that a busy shard is not always first.
    turn: u8,
}

const fn bit(shard: Shard) -> u64 {
    // There are as many shards as bits.
    1_u64.wrapping_shl(shard.number() as u32)
}

impl Shards {
    /// Empty logs, that keep so many bytes each: the frame that comes last even if it has more.
    pub(super) fn new(bytes_max: usize) -> Self {
        let logs = Shard::all().map(|_| Mutex::default()).collect();
        Self { logs, bytes_max, fresh: AtomicU64::new(0), readers: Mutex::default() }
    }

    /// Puts a frame into its log. Its readers hear of it with the next [`Shards::ring`].
    pub(super) fn push(&self, shard: Shard, content: Bytes) {
        let Some(log) = self.logs.get(usize::from(shard.number())) else { return };
        lock(log).push(content, self.bytes_max);
        // Who sees the bit finds the frame.
        self.fresh.fetch_or(bit(shard), Release);
    }

    /// Tells readers what is new.
    pub(super) fn ring(&self) {
        let fresh = self.fresh.swap(0, Acquire);
        if fresh == 0 {
            return;
        }
        for ear in lock(&self.readers).iter() {
            let news = fresh & ear.wanted.load(Relaxed);
            if news != 0 {
                ear.news.fetch_or(news, Release);
                ear.bell.notify_one();
            }
        }
    }
}

impl Log {
    fn push(&mut self, content: Bytes, bytes_max: usize) {
        self.bytes = self.bytes.saturating_add(content.len());
        self.frames.push_back(content);
        while self.bytes > bytes_max && self.frames.len() > 1 {
            if let Some(oldest) = self.frames.pop_front() {
                self.bytes = self.bytes.saturating_sub(oldest.len());
                self.begin = self.begin.saturating_add(1);
            }
        }
    }

    fn end(&self) -> u64 {
        self.begin.saturating_add(u64::try_from(self.frames.len()).unwrap_or(u64::MAX))
    }

    /// At most `max` frames from `place` on, or from the oldest there is, with their places.
    fn read(&self, place: u64, max: usize) -> impl Iterator<Item = (u64, &Bytes)> {
        let skipped = usize::try_from(place.saturating_sub(self.begin)).unwrap_or(usize::MAX);
        (self.begin.max(place)..).zip(self.frames.iter().skip(skipped)).take(max)
    }
}

impl Reader {
    /// Has joined nothing.
    pub(super) fn new(shards: Arc<Shards>) -> Self {
        let ear = Arc::<Ear>::default();
        lock(&shards.readers).push(ear.clone());
        Self { shards, ear, next: BTreeMap::new(), turn: 0 }
    }

    /// Hears the shard's frames from now on.
    pub(super) fn join(&mut self, shard: Shard) {
        let Some(log) = self.shards.logs.get(usize::from(shard.number())) else { return };
        // Wanted first: a frame that comes in between is in the log behind the place, and told.
        self.ear.wanted.fetch_or(bit(shard), Relaxed);
        let end = lock(log).end();
        self.next.entry(shard).or_insert(end);
    }

    /// Hears no more of it.
    pub(super) fn leave(&mut self, shard: Shard) {
        self.ear.wanted.fetch_and(!bit(shard), Relaxed);
        self.next.remove(&shard);
    }

    /// Waits until [`Reader::read`] may find something.
    pub(super) async fn told(&self) {
        while self.ear.news.load(Relaxed) == 0 {
            self.ear.bell.notified().await;
        }
    }

    /// Adds what its shards have to `batch`, until that holds `max` events.
    pub(super) fn read(&mut self, batch: &mut Vec<Event>, max: usize) {
        let mut news = self.ear.news.swap(0, Acquire);
        let begin = self.turn;
        for number in (0..topic::SHARDS).map(|step| begin.wrapping_add(step) % topic::SHARDS) {
            let Some(shard) = Shard::new(number).filter(|shard| news & bit(*shard) != 0) else { continue };
            let room = max.saturating_sub(batch.len());
            if room == 0 {
                break;
            }
            if self.read_shard(shard, batch, room) {
                news &= !bit(shard);
            }
            self.turn = number.wrapping_add(1);
        }
        // What there was no room for is still news.
        self.ear.news.fetch_or(news, Relaxed);
    }

    /// Whether the log has nothing more.
    fn read_shard(&mut self, shard: Shard, batch: &mut Vec<Event>, max: usize) -> bool {
        let (Some(next), Some(log)) = (self.next.get_mut(&shard), self.shards.logs.get(usize::from(shard.number()))) else { return true };
        let log = lock(log);
        for (place, content) in log.read(*next, max) {
            *next = place.saturating_add(1);
            batch.extend(parcel::open(content).map(|(topic, payload)| Event::Message(Message { topic, payload, place: Some(place) })));
        }
        *next >= log.end()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        lock(&self.shards.readers).retain(|ear| !Arc::ptr_eq(ear, &self.ear));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn shard(number: u8) -> Shard {
        Shard::new(number).unwrap()
    }

    /// A frame that says its number.
    fn frame(number: u64) -> Bytes {
        parcel::pack("f1/05/m/up", &number.to_be_bytes())
    }

    fn places(batch: &mut Vec<Event>) -> Vec<(u64, u64)> {
        let place = |event| match event {
            Event::Message(Message { payload, place, .. }) => (place.unwrap(), u64::from_be_bytes(payload.as_ref().try_into().unwrap())),
            Event::Subscribed => panic!("no shard says that"),
        };
        batch.drain(..).map(place).collect()
    }

    #[test]
    fn a_reader_hears_from_where_it_joined_until_it_leaves() {
        let shards = Arc::new(Shards::new(1000));
        let (mut reader, mut batch) = (Reader::new(shards.clone()), Vec::new());
        let mut next = |reader: &mut Reader| {
            shards.ring();
            reader.read(&mut batch, 100);
            places(&mut batch)
        };
        shards.push(shard(5), frame(0));
        reader.join(shard(5));
        assert_eq!(next(&mut reader), []);
        shards.push(shard(5), frame(1));
        shards.push(shard(6), frame(0));
        assert_eq!(next(&mut reader), [(1, 1)]);
        assert_eq!(next(&mut reader), []);
        shards.push(shard(5), frame(2));
        reader.leave(shard(5));
        assert_eq!(next(&mut reader), []);
        reader.join(shard(5));
        shards.push(shard(5), frame(3));
        assert_eq!(next(&mut reader), [(3, 3)]);
    }

    #[test]
    fn a_full_log_forgets_its_oldest_and_keeps_the_last_whatever_its_size() {
        let shards = Arc::new(Shards::new(frame(0).len() * 3));
        let (mut reader, mut batch) = (Reader::new(shards.clone()), Vec::new());
        reader.join(shard(63));
        (0..10).for_each(|number| shards.push(shard(63), frame(number)));
        shards.ring();
        reader.read(&mut batch, 100);
        assert_eq!(places(&mut batch), [(7, 7), (8, 8), (9, 9)]);
        shards.push(shard(63), parcel::pack("", &[0; 1000]));
        assert_eq!(lock(&shards.logs[63]).frames.len(), 1);
    }

    #[test]
    fn a_busy_shard_is_not_always_first() {
        let shards = Arc::new(Shards::new(1_000_000));
        let (mut reader, mut batch) = (Reader::new(shards.clone()), Vec::new());
        [1, 2, 9].into_iter().for_each(|number| reader.join(shard(number)));
        (0..100).for_each(|number| shards.push(shard(1), frame(number)));
        shards.push(shard(9), frame(0));
        shards.ring();
        reader.read(&mut batch, 10);
        assert_eq!(places(&mut batch).len(), 10, "all of shard 1");
        reader.read(&mut batch, 10);
        assert_eq!(places(&mut batch).iter().filter(|it| **it == (0, 0)).count(), 1, "and then the other has its turn");
        reader.read(&mut batch, 1000);
        assert_eq!(places(&mut batch).last(), Some(&(99, 99)));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn between_threads_nothing_is_lost_and_nobody_sleeps_over_it() {
        const FRAMES: u64 = 20_000;
        let shards = Arc::new(Shards::new(usize::MAX));
        let mut reader = Reader::new(shards.clone());
        let numbers = [0, 31, 63];
        numbers.into_iter().for_each(|number| reader.join(shard(number)));
        for number in numbers {
            let shards = shards.clone();
            tokio::spawn(async move {
                for count in 0..FRAMES {
                    shards.push(shard(number), frame(count));
                    shards.ring();
                    if count % 64 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            });
        }
        let (mut batch, mut heard) = (Vec::new(), 0);
        while heard < 3 * FRAMES {
            timeout(Duration::from_secs(20), reader.told()).await.expect("news that nobody was told of");
            reader.read(&mut batch, 50);
            heard += places(&mut batch).iter().map(|(place, number)| u64::from(place == number)).sum::<u64>();
        }
    }
}
