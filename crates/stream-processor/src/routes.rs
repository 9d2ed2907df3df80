//! Which partitions take frames now: written by their workers, read by the links.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock};

use measure::MeterId;
use tokio::sync::watch;
use wire::topic::Shard;

/// A frame on its way from a link to a worker.
#[derive(Debug)]
pub struct Frame {
    /// Whose, as the topic says.
    pub meter: MeterId,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// The link that it came by; its acknowledgement goes back there.
    pub link: usize,
}

/// The queues of the partitions that take frames.
#[derive(Debug)]
pub struct Routes {
    partitions: u16,
    queues: RwLock<BTreeMap<i32, flume::Sender<Frame>>>,
    owned: watch::Sender<BTreeSet<i32>>,
}

impl Routes {
    /// No partition takes frames.
    pub fn new(partitions: u16) -> Self {
        Self { partitions, queues: RwLock::default(), owned: watch::Sender::default() }
    }

    /// From now on frames of the partition go to `queue`.
    pub fn open(&self, partition: i32, queue: flume::Sender<Frame>) {
        self.queues.write().unwrap_or_else(PoisonError::into_inner).insert(partition, queue);
        self.owned.send_modify(|owned| {
            owned.insert(partition);
        });
    }

    /// No more frames of the partition are taken; its worker sees the end of its queue.
    pub fn close(&self, partition: i32) {
        self.queues.write().unwrap_or_else(PoisonError::into_inner).remove(&partition);
        self.owned.send_if_modified(|owned| owned.remove(&partition));
    }

    /// The queue for a meter's frames, if its partition takes any.
    pub fn queue(&self, meter: &MeterId) -> Option<(i32, flume::Sender<Frame>)> {
        let partition = Shard::of(meter).partition(self.partitions);
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        queues.get(&partition).map(|queue| (partition, queue.clone()))
    }

    /// The partitions that take frames, now and as they change.
    pub fn owned(&self) -> watch::Receiver<BTreeSet<i32>> {
        self.owned.subscribe()
    }

    /// The shards of some partitions.
    pub fn shards(&self, partitions: &BTreeSet<i32>) -> BTreeSet<Shard> {
        Shard::all().filter(|shard| partitions.contains(&shard.partition(self.partitions))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_goes_to_its_partition_and_shards_are_complete() {
        let routes = Routes::new(4);
        let meter: MeterId = "M1".parse().unwrap();
        let partition = Shard::of(&meter).partition(4);
        let (sender, receiver) = flume::bounded(1);
        routes.open(partition, sender);
        assert_eq!(routes.queue(&meter).unwrap().0, partition);
        let shards = routes.shards(&routes.owned().borrow());
        assert_eq!(shards.len(), 16);
        assert!(shards.contains(&Shard::of(&meter)));
        routes.close(partition);
        assert!(routes.queue(&meter).is_none());
        assert!(receiver.recv().is_err(), "the worker sees the end");
    }
}
