//! Stands before every step of the processor's transactions, and stops it at the one where it is to die.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use stream_processor::{Observer, Phase};

/// How long to wait for the processor to come to where it is to be stopped.
const WAIT_MAX: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// The gate of one processor. Partitions that come to the phase where it is closed wait there.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    opened: Condvar,
}

#[derive(Debug, Default)]
struct State {
    closed_at: Option<Phase>,
    /// Partitions that wait at the gate.
    waiting: BTreeSet<i32>,
    /// Partitions with an open transaction.
    open: BTreeSet<i32>,
}

impl Gate {
    /// Stops every partition before its next transaction; whether none is open any more, after a bounded wait.
    pub async fn close_between_transactions(&self) -> bool {
        self.lock().closed_at = Some(Phase::BeforeProduce);
        self.wait_for(|state| state.open.is_empty()).await
    }

    /// Stops every partition that comes to `phase`; how many have, after a bounded wait for the first.
    pub async fn close_at(&self, phase: Phase) -> usize {
        self.lock().closed_at = Some(phase);
        self.wait_for(|state| !state.waiting.is_empty()).await;
        self.lock().waiting.len()
    }

    /// Lets everybody go on.
    pub fn open(&self) {
        self.lock().closed_at = None;
        self.opened.notify_all();
    }

    async fn wait_for(&self, reached: impl Fn(&State) -> bool) -> bool {
        let began = Instant::now();
        loop {
            if reached(&self.lock()) {
                return true;
            }
            if began.elapsed() > WAIT_MAX {
                return false;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Gate {
    fn phase(&self, partition: i32, phase: Phase) {
        let mut state = self.lock();
        if phase == Phase::AfterCommitBeforeAck {
            state.open.remove(&partition);
        }
        while state.closed_at == Some(phase) {
            state.waiting.insert(partition);
            state = self.opened.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting.remove(&partition);
        if phase == Phase::BeforeProduce {
            state.open.insert(partition);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn arrive(gate: &Arc<Gate>, partition: i32, phase: Phase) -> std::thread::JoinHandle<()> {
        let gate = gate.clone();
        std::thread::spawn(move || gate.phase(partition, phase))
    }

    #[tokio::test]
    async fn between_transactions_means_that_the_open_one_ends_and_no_other_begins() {
        let gate = Arc::new(Gate::default());
        gate.phase(0, Phase::BeforeProduce);
        let closing = tokio::spawn({
            let gate = gate.clone();
            async move { gate.close_between_transactions().await }
        });
        while gate.lock().closed_at.is_none() {
            tokio::task::yield_now().await;
        }
        let next = arrive(&gate, 1, Phase::BeforeProduce);
        assert!(!closing.is_finished());
        gate.phase(0, Phase::BeforeCommit);
        gate.phase(0, Phase::AfterCommitBeforeAck);
        assert!(closing.await.unwrap());
        assert!(!next.is_finished());
        gate.open();
        next.join().unwrap();
        assert_eq!(gate.lock().open, BTreeSet::from([1]));
    }

    #[tokio::test]
    async fn a_partition_is_stopped_within_its_transaction() {
        let gate = Arc::new(Gate::default());
        gate.phase(3, Phase::BeforeProduce);
        let stopped = arrive(&gate, 3, Phase::BeforeCommit);
        stopped.join().unwrap();
        let closing = tokio::spawn({
            let gate = gate.clone();
            async move { gate.close_at(Phase::BeforeCommit).await }
        });
        while gate.lock().closed_at.is_none() {
            tokio::task::yield_now().await;
        }
        let stopped = arrive(&gate, 3, Phase::BeforeCommit);
        assert_eq!(closing.await.unwrap(), 1);
        assert_eq!(gate.lock().open, BTreeSet::from([3]));
        gate.open();
        stopped.join().unwrap();
    }
}
