//! A service in a runtime of its own, so that it can be torn down in an instant.

use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};

/// How long a service may take to end properly.
const RETIRE_MAX: Duration = Duration::from_secs(120);

/// Something at work in its own runtime. Dropped, it is killed: its tasks are cut off wherever they are, nothing is said goodbye to.
pub struct Stand<T> {
    runtime: Option<Runtime>,
    killable: bool,
    /// Dropped after the runtime is gone, so that its own farewell finds nobody to carry it out.
    value: Option<T>,
}

/// Threads of a runtime.
#[derive(Clone, Copy, Debug)]
pub struct Threads {
    /// Their name.
    pub name: &'static str,
    /// For tasks.
    pub workers: usize,
    /// For what blocks.
    pub blocking: usize,
    /// Whether it may be shut down under its service. One whose blocking threads wait for its timers may not: they would panic. It is
    /// left to the end of the process, if the service does not retire before.
    pub killable: bool,
}

impl<T: Send + 'static> Stand<T> {
    /// Starts it.
    pub async fn start(threads: Threads, service: impl Future<Output = anyhow::Result<T>> + Send + 'static) -> anyhow::Result<Self> {
        let Threads { name, workers, blocking, killable } = threads;
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(workers).max_blocking_threads(blocking).thread_name(name).enable_all();
        let runtime = builder.build().with_context(|| format!("cannot start threads for {name}"))?;
        let started = runtime.spawn(service);
        let mut stand = Self { runtime: Some(runtime), killable, value: None };
        stand.value = Some(started.await.with_context(|| format!("{name} panicked while it started"))??);
        Ok(stand)
    }

    /// The service's handle.
    pub const fn get(&self) -> Option<&T> {
        self.value.as_ref()
    }

    /// Cuts it off.
    pub fn kill(self) {
        drop(self);
    }

    /// Cuts off something that has threads of its own besides the runtime's, and must be told.
    pub fn kill_by(mut self, blow: impl FnOnce(T)) {
        if let Some(value) = self.value.take() {
            blow(value);
        }
    }

    /// Lets it end properly, on its own runtime.
    pub async fn retire<F: Future<Output: Send + 'static> + Send + 'static>(
        mut self,
        end: impl FnOnce(T) -> F,
    ) -> anyhow::Result<F::Output> {
        let (Some(runtime), Some(value)) = (&self.runtime, self.value.take()) else { anyhow::bail!("it never started") };
        let ended = runtime.spawn(end(value));
        let output = tokio::time::timeout(RETIRE_MAX, ended).await;
        let output = output.context("a service of the demo did not end in time")?.context("a service of the demo panicked")?;
        self.killable = true;
        Ok(output)
    }
}

impl<T> Drop for Stand<T> {
    fn drop(&mut self) {
        match self.runtime.take() {
            Some(runtime) if self.killable => runtime.shutdown_background(),
            runtime => std::mem::forget(runtime),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    const THREADS: Threads = Threads { name: "test", workers: 1, blocking: 1, killable: true };

    struct Goodbye(Arc<AtomicBool>);

    impl Drop for Goodbye {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn a_killed_service_does_not_get_to_its_end() {
        let (dropped, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (witness, end) = (Goodbye(dropped.clone()), ended.clone());
        let service = async move {
            tokio::spawn(async move {
                let _witness = witness;
                std::future::pending::<()>().await;
                end.store(true, Ordering::SeqCst);
            });
            Ok(())
        };
        let stand = Stand::start(THREADS, service).await.unwrap();
        assert!(stand.get().is_some());
        stand.kill();
        let deadline = std::time::Instant::now().checked_add(RETIRE_MAX).unwrap();
        while !dropped.load(Ordering::SeqCst) {
            assert!(std::time::Instant::now() < deadline, "the task outlived its runtime");
            tokio::task::yield_now().await;
        }
        assert!(!ended.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_retired_service_says_what_it_has_to_say() {
        let stand = Stand::start(THREADS, async { Ok(20) }).await.unwrap();
        assert_eq!(stand.retire(|value| async move { value + 1 }).await.unwrap(), 21);
    }

    #[tokio::test]
    async fn what_keeps_a_service_from_starting_is_told() {
        let stand = Stand::<()>::start(THREADS, async { anyhow::bail!("port in use") }).await;
        assert_eq!(stand.err().unwrap().to_string(), "port in use");
    }
}
