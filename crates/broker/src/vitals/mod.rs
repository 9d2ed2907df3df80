//! The broker's watch over itself. A router whose thread has died leaves ports that are open and through which nothing passes, which
//! is worse than no broker: a supervisor would start that one again.
//!
//! A [`canary`] goes the way of a meter, through the TLS port, the gate, the router and back, every [`Vitals::canary_ms`]. It
//! keeps one session and renews it now and then from the TCP connection on. Two things are told apart: nothing comes back on a session
//! that is open, for which the process must be started anew; and no new connection gets in, which others may cause by coming in
//! masses, and which a new process would not mend.

pub(crate) mod canary;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::config::{Vitals, millis};
use crate::gate::Gate;
use crate::metrics::Metrics;
use canary::Session;

/// How the broker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// Messages pass, and who is new gets in.
    Well,
    /// Messages pass, but a new connection of the canary was not let in.
    Shut,
    /// For half of the time allowed no message came back.
    Late,
    /// For all of it. That is for good.
    Dead,
}

/// What the canary tells.
#[derive(Default)]
pub(crate) struct Pulse {
    echoes: AtomicU64,
    is_shut: AtomicBool,
}

/// Looks in twenty times before it says that the router is dead. It counts looks, not time: a process that was stopped for a minute
/// has missed one.
struct Judge {
    heard: u64,
    silent: u32,
}

const LOOKS: u32 = 20;

impl Judge {
    fn look(&mut self, echoes: u64, is_shut: bool) -> Health {
        self.silent = if echoes == self.heard { self.silent.saturating_add(1) } else { 0 };
        self.heard = echoes;
        match self.silent {
            LOOKS.. => Health::Dead,
            silent if silent > LOOKS / 2 => Health::Late,
            _ if is_shut => Health::Shut,
            _ => Health::Well,
        }
    }
}

/// Watches until the gate stops or the router is dead. Begins in a thread of its own: a router that stands still with a lock in its hand
/// takes the runtime's threads with it, one after the other.
pub(crate) async fn run(gate: Arc<Gate>, settings: Vitals, first: Session, health: watch::Sender<Health>) {
    gate.metrics.router_alive.set(1);
    let pulse = Arc::new(Pulse::default());
    // Dropped when this task ends, which ends the thread.
    let (_end, ended) = mpsc::channel();
    let thread = std::thread::Builder::new().name("vitals".to_owned()).spawn({
        let (metrics, settings, pulse) = (gate.metrics.clone(), settings.clone(), pulse.clone());
        move || watch_over(&metrics, &settings, &pulse, &health, &ended)
    });
    if let Err(error) = thread {
        return tracing::error!(%error, "no thread to watch over the router");
    }
    tokio::select! {
        () = gate.stop.cancelled() => {}
        () = sing(&gate, &settings, first, &pulse) => {}
    }
}

/// Returns when the router is dead, or when this has `ended`.
fn watch_over(metrics: &Metrics, settings: &Vitals, pulse: &Pulse, health: &watch::Sender<Health>, ended: &mpsc::Receiver<()>) {
    let pause = millis(settings.canary_deadline_ms).checked_div(LOOKS).unwrap_or_default().max(Duration::from_millis(1));
    let mut judge = Judge { heard: 0, silent: 0 };
    while ended.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
        let found = judge.look(pulse.echoes.load(Relaxed), pulse.is_shut.load(Relaxed));
        if found == Health::Dead {
            metrics.router_alive.set(0);
            tracing::error!("no message came through the router for {} ms: it is dead", settings.canary_deadline_ms);
            health.send_replace(Health::Dead);
            return;
        }
        if health.send_if_modified(|before| std::mem::replace(before, found) != found) && found != Health::Well {
            tracing::warn!(?found, "vitals");
        }
    }
}

/// Sends messages and waits for them, for ever.
async fn sing(gate: &Gate, settings: &Vitals, first: Session, pulse: &Pulse) {
    let patience = millis(settings.canary_deadline_ms / 2);
    let (mut ticks, mut fresh) = (interval(millis(settings.canary_ms)), interval(millis(settings.canary_connect_ms)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    fresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    fresh.reset();
    let mut session = Some(first);
    loop {
        let is_time_to_connect = tokio::select! {
            _ = ticks.tick() => session.is_none(),
            _ = fresh.tick() => true,
        };
        if is_time_to_connect {
            let opened = timeout(patience, Session::open(gate)).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
            pulse.is_shut.store(opened.is_err(), Relaxed);
            match opened {
                // The gate ends the one before.
                Ok(opened) => session = Some(opened),
                Err(error) => tracing::debug!(%error, "the canary was not let in"),
            }
        }
        let began = Instant::now();
        let echo = async { session.as_mut()?.echo().await.ok() };
        match timeout(patience, echo).await {
            Ok(Some(())) => {
                gate.metrics.canary_seconds.set(began.elapsed().as_secs_f64());
                pulse.echoes.fetch_add(1, Relaxed);
            }
            _ => session = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_first_late_and_then_death() {
        let mut judge = Judge { heard: 0, silent: 0 };
        assert_eq!(judge.look(1, false), Health::Well);
        assert_eq!(judge.look(2, true), Health::Shut);
        let looks: Vec<Health> = (0..LOOKS).map(|_| judge.look(2, true)).collect();
        assert_eq!(looks.iter().position(|it| *it == Health::Late), Some(10));
        assert_eq!(looks.iter().position(|it| *it == Health::Dead), Some(19));
        assert_eq!(judge.look(3, false), Health::Well, "one echo and all is well");
    }
}
