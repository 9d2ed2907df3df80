//! Handshakes are done on threads of their own, behind everything else, so that a crowd at the door delays nobody inside.
//!
//! A step of a handshake is a signature or two: as much processor time as dozens of messages. Where sessions run it would stand in front of
//! those messages, also of a meter that has been inside for weeks; and who may come in is known only after it was done. So the threads here
//! have a low priority: the system takes the processor from them the moment a session has something to do.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::{io, thread};

use tokio::sync::{Notify, oneshot};

use crate::sync::lock;

/// Added to the threads' nice value: beside a session that is busy all the time they get a tenth of a processor, and whatever is left over.
const NICENESS: i32 = 10;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One step of some work: polled once, it comes back if there is more of it.
struct Step {
    work: Work,
    waker: Waker,
    back: oneshot::Sender<Option<Work>>,
}

/// Where work is done that comes in long steps. Its threads end with it.
pub(crate) struct Doorstep(Sender<Step>);

impl Doorstep {
    /// With so many threads.
    pub(crate) fn open(threads: usize) -> io::Result<Self> {
        let (steps, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads.max(1) {
            let queue = queue.clone();
            thread::Builder::new().name("handshake".into()).spawn(move || serve(&queue))?;
        }
        Ok(Self(steps))
    }

    /// Does `work` on the threads here, and waits for it between its steps where it is called. `None` if a step panicked.
    pub(crate) async fn work<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (done, mut result) = oneshot::channel();
        let mut work: Work = Box::pin(async move {
            // Nobody waits any more for work that was given up.
            let _ = done.send(work.await);
        });
        let woken = Arc::new(Woken(Notify::new()));
        loop {
            let (back, rest) = oneshot::channel();
            self.0.send(Step { work, waker: woken.clone().into(), back }).ok()?;
            match rest.await.ok()? {
                None => return result.try_recv().ok(),
                Some(more) => work = more,
            }
            woken.0.notified().await;
        }
    }
}

/// Remembers that work was woken, be it during its step.
struct Woken(Notify);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

fn serve(queue: &Mutex<Receiver<Step>>) {
    #[cfg(target_os = "linux")] // Elsewhere it is the whole process that is nice.
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!(%error, "handshakes have the same priority as sessions");
    }
    loop {
        let step = lock(queue).recv();
        let Ok(Step { mut work, waker, back }) = step else { return };
        let more = work.as_mut().poll(&mut Context::from_waker(&waker)).is_pending();
        // Whoever gave up takes nothing back.
        let _ = back.send(more.then_some(work));
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::sync::mpsc;
    use std::task::Poll;
    use std::time::Duration;

    use tokio::task::yield_now;
    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn doorstep() -> Doorstep {
        Doorstep::open(1).unwrap()
    }

    #[tokio::test]
    async fn a_step_holds_up_nobody_inside() {
        let (door, (inside, told)) = (doorstep(), mpsc::channel());
        // A step that lasts until somebody inside has done something: for ever, were it done in front of that.
        let step = door.work(async move { told.recv_timeout(DEADLINE) });
        let (step, ()) = tokio::join!(step, async {
            yield_now().await;
            inside.send("served").unwrap();
        });
        assert_eq!(step, Some(Ok("served")));
    }

    #[tokio::test]
    async fn who_waits_holds_up_no_other_at_the_door() {
        let (door, first, second) = (doorstep(), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = door.work({
            let (first, second) = (first.clone(), second.clone());
            async move {
                first.notify_one();
                second.notified().await;
            }
        });
        let fast = door.work(async move {
            first.notified().await;
            second.notify_one();
        });
        assert_eq!(timeout(DEADLINE, async { tokio::join!(slow, fast) }).await, Ok((Some(()), Some(()))));
    }

    #[tokio::test]
    async fn what_wakes_it_during_its_step_is_not_forgotten() {
        let door = doorstep();
        let mut steps = 0;
        let work = poll_fn(move |context| {
            steps += 1;
            context.waker().wake_by_ref();
            if steps < 100 { Poll::Pending } else { Poll::Ready(steps) }
        });
        assert_eq!(timeout(DEADLINE, door.work(work)).await, Ok(Some(100)));
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_door_free() {
        let door = doorstep();
        for _ in 0..3 {
            tokio::select! {
                biased;
                _ = door.work(pending::<()>()) => {}
                () = yield_now() => {}
            }
        }
        assert_eq!(timeout(DEADLINE, door.work(async { 7 })).await, Ok(Some(7)));
    }
}
