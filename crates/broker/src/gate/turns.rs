//! Handshakes take turns, so that a crowd at the door delays nobody inside.
//!
//! A step of a handshake is a signature or two: as much processor time as dozens of messages. The runtime deals with tasks in the order in
//! which they became ready, so fifty handshakes that are ready together would be fifty steps in front of a meter's message. In turns there is
//! one step for each thread, and then everyone else who is ready.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::yield_now;

/// Turns for work that comes in long steps.
pub(crate) struct Turns(Semaphore);

impl Turns {
    /// So many may be within a step at a time: as many as there are threads to take them.
    pub(crate) const fn new(threads: usize) -> Self {
        Self(Semaphore::const_new(threads))
    }

    /// Does `work`, each of its steps in its turn. It takes no turn while it waits.
    pub(crate) async fn take<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            let turn: Option<SemaphorePermit<'_>> = self.0.acquire().await.ok();
            // Whoever is given a turn by the one before would be next: behind all who are ready by now.
            yield_now().await;
            let step = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
            drop(turn);
            match step {
                Poll::Ready(done) => return done,
                Poll::Pending => woken().await,
            }
        }
    }
}

/// Waits until what was polled before wakes this task.
async fn woken() {
    let mut waited = false;
    poll_fn(|_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use tokio::sync::Notify;
    use tokio::task::JoinSet;

    use super::*;

    const CROWD: usize = 30;
    const STEPS: usize = 3;

    /// A crowd of long steps beside somebody who has something to do all the time: how many steps come before it is served, at most.
    async fn longest_wait(turns: Option<Arc<Turns>>) -> usize {
        let steps = Arc::new(AtomicUsize::new(0));
        let door = Arc::new(Notify::new());
        let mut crowd = JoinSet::new();
        for _ in 0..CROWD {
            let (turns, steps, door) = (turns.clone(), steps.clone(), door.clone());
            crowd.spawn(async move {
                door.notified().await;
                let work = async {
                    for _ in 0..STEPS {
                        steps.fetch_add(1, Relaxed);
                        yield_now().await;
                    }
                };
                match turns {
                    Some(turns) => turns.take(work).await,
                    None => work.await,
                }
            });
        }
        yield_now().await;
        door.notify_waiters();
        let (mut seen, mut longest) = (0, 0);
        while seen < CROWD * STEPS {
            yield_now().await;
            let now = steps.load(Relaxed);
            longest = longest.max(now.abs_diff(seen));
            seen = now;
        }
        crowd.join_all().await;
        longest
    }

    #[tokio::test]
    async fn one_step_and_then_everyone_else() {
        assert_eq!(longest_wait(Some(Arc::new(Turns::new(1)))).await, 1);
        assert!(longest_wait(None).await >= CROWD, "otherwise this test shows nothing");
    }

    #[tokio::test]
    async fn who_waits_holds_nobody_up() {
        let turns = Turns::new(1);
        let (first, second) = (Notify::new(), Notify::new());
        let slow = turns.take(async {
            first.notify_one();
            second.notified().await;
        });
        let fast = turns.take(async {
            first.notified().await;
            second.notify_one();
        });
        tokio::join!(slow, fast);
    }

    #[tokio::test]
    async fn who_gives_up_gives_back_the_turn() {
        let turns = Turns::new(1);
        for _ in 0..3 {
            tokio::select! {
                biased;
                () = turns.take(std::future::pending()) => {}
                () = yield_now() => {}
            }
        }
        assert_eq!(turns.take(async { 7 }).await, 7);
    }
}
