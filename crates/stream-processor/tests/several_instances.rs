//! Several processors share the partitions, take over from each other, and never write anything twice.
#![expect(clippy::unwrap_used, reason = "test code: what is not as expected fails the test")]

mod common;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use common::{S, World, eventually, frame, owns};
use stream_processor::kafka::{Clients, Group};
use stream_processor::metrics::Ended;
use stream_processor::transaction::{Stop, Transactor};
use stream_processor::{Observer, Phase};

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_share_and_one_takes_over() {
    let mut world = World::new().await;
    let first = world.processor("processor-1", 4).await;
    let second = world.processor("processor-2", 2).await;
    owns(&first, 2).await;
    let (owned, others) = (first.owned().borrow().clone(), second.owned().borrow().clone());
    assert!(owned.is_disjoint(&others), "{owned:?} {others:?}");

    // A dozen meters lie on all partitions.
    let mut meters = Vec::new();
    for number in 0..12 {
        meters.push(world.meter(&format!("M{number}")).await);
    }
    for meter in &mut meters {
        meter.deliver(frame(S, 1, 3), S, 3).await;
    }
    assert!(first.metrics().records_committed.get() > 0 && second.metrics().records_committed.get() > 0);
    first.shutdown().await.unwrap();
    owns(&second, 4).await;
    for meter in &mut meters {
        meter.deliver(frame(S, 3, 6), S, 6).await;
    }
    for meter in &meters {
        assert_eq!(world.seqs(meter, S).await, (1..=6).collect::<Vec<_>>(), "{}", meter.id);
    }
    second.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_instance_drops_everything_and_comes_back_by_assignment() {
    let mut world = World::new().await;
    let processor = world.processor("processor-1", 4).await;
    let mut meter = world.meter("M1").await;
    meter.deliver(frame(S, 1, 3), S, 3).await;

    // Somebody else opens the producer of the meter's partition, as an owner does that the group has named.
    let (clients, partition) = (Clients::new(&world.config("processor-2").kafka).unwrap(), meter.partition(4));
    let open = move || Transactor::open(&clients, Group::INGEST, partition, &Stop::default()).map(drop).unwrap();
    tokio::task::spawn_blocking(open).await.unwrap();

    meter.deliver(frame(S, 4, 6), S, 6).await;
    assert_eq!(processor.metrics().ended_count(Ended::Fenced), 1);
    assert_eq!(world.seqs(&meter, S).await, (1..=6).collect::<Vec<_>>());
    processor.shutdown().await.unwrap();
}

/// Holds the worker at one phase, once, until it is let go.
struct Hold {
    phase: Phase,
    armed: AtomicBool,
    reached: SyncSender<()>,
    go: Mutex<Receiver<()>>,
}

impl Observer for Hold {
    fn phase(&self, _: i32, phase: Phase) {
        if phase == self.phase && self.armed.swap(false, Ordering::AcqRel) {
            self.reached.send(()).unwrap();
            self.go.lock().unwrap().recv().unwrap();
        }
    }
}

/// One worker stands still in `phase` while another owner writes the same records; then it goes on.
async fn zombie(phase: Phase) {
    let mut world = World::new().await;
    let ((reached, is_reached), (go, wait)) = (sync_channel(1), sync_channel(1));
    let hold = Arc::new(Hold { phase, armed: AtomicBool::new(false), reached, go: Mutex::new(wait) });
    let processor = world.observed("processor-1", 4, hold.clone()).await;
    let mut meter = world.meter("M1").await;
    meter.deliver(frame(S, 1, 3), S, 3).await;
    hold.armed.store(true, Ordering::Release);
    meter.send(frame(S, 4, 6)).await;
    tokio::task::spawn_blocking(move || is_reached.recv().unwrap()).await.unwrap();

    let (clients, partition) = (Clients::new(&world.config("processor-2").kafka).unwrap(), meter.partition(4));
    let open = move || Transactor::open(&clients, Group::INGEST, partition, &Stop::default()).map(drop).unwrap();
    tokio::task::spawn_blocking(open).await.unwrap();
    go.send(()).unwrap();

    eventually("the zombie is fenced", async || processor.metrics().ended_count(Ended::Fenced) == 1).await;
    assert!(!meter.has_ack_beyond(3), "a fenced instance acknowledges nothing");
    meter.deliver(frame(S, 4, 6), S, 6).await;
    assert_eq!(world.seqs(&meter, S).await, (1..=6).collect::<Vec<_>>());
    processor.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_with_records_in_hand_is_fenced() {
    zombie(Phase::BeforeProduce).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_with_an_open_transaction_is_fenced() {
    zombie(Phase::BeforeCommit).await;
}
