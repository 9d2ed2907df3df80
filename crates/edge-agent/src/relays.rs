//! Moving relays: a task per meter that makes the hardware what the brain wants, and tries again until it is.
//!
//! The brain decides and remembers; what is wanted comes here after the commit. A relay that cannot be moved is an error in the log and a
//! counter, and is tried again every few seconds: a channel must not stay on because a program was busy once.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use edge_core::relay::Indicator;
use measure::{Channel as Number, MeterId};
use prometheus_client::metrics::counter::Counter;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::config;

/// Before a relay that did not move is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// Longest time for a program to move a relay.
const PROGRAM_MAX: Duration = Duration::from_secs(10);

/// What a channel's relay and light are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The channel.
    pub channel: Number,
    /// Whether the relay is closed.
    pub closed: bool,
    /// Its light.
    pub light: Indicator,
}

/// How a channel's relay is moved.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Driver {
    /// Nothing is there: who supplies the samples watches [`crate::Running::relays`].
    Watched,
    File(PathBuf),
    Program(Vec<String>),
}

/// One meter's relays.
pub(crate) struct Relays {
    meter: MeterId,
    wanted: watch::Receiver<Vec<State>>,
    drivers: BTreeMap<Number, (Driver, Option<PathBuf>)>,
    done: BTreeMap<Number, State>,
    failed: Counter,
}

impl Relays {
    pub fn new(meter: MeterId, channels: &[config::Channel], wanted: watch::Receiver<Vec<State>>, failed: Counter) -> Self {
        let driver = |it: &config::Channel| match (&it.relay_file, it.relay_command.is_empty()) {
            (Some(file), _) => Driver::File(file.clone()),
            (None, false) => Driver::Program(it.relay_command.clone()),
            (None, true) => Driver::Watched,
        };
        let drivers = channels.iter().map(|it| (it.number, (driver(it), it.light_file.clone()))).collect();
        Self { meter, wanted, drivers, done: BTreeMap::new(), failed }
    }

    /// Until `stop`, or the brain is gone. Relays stay as they are.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let wanted = self.wanted.borrow_and_update().clone();
            let failed = self.follow(&wanted).await;
            tokio::select! {
                changed = self.wanted.changed() => if changed.is_err() { return },
                () = sleep(RETRY), if failed => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Whether something could not be moved.
    async fn follow(&mut self, wanted: &[State]) -> bool {
        let mut failed = false;
        for state in wanted {
            if self.done.get(&state.channel) == Some(state) {
                continue;
            }
            let Some((driver, light)) = self.drivers.get(&state.channel) else { continue };
            let moved = match self.done.get(&state.channel) {
                Some(done) if done.closed == state.closed => Ok(()),
                _ => driver.set(state).await,
            };
            let moved = match (moved, light) {
                (Ok(()), Some(light)) => write(light, digit(state.light)).await,
                (moved, _) => moved,
            };
            match moved {
                Ok(()) => _ = self.done.insert(state.channel, *state),
                Err(error) => {
                    failed = true;
                    self.failed.inc();
                    tracing::error!(channel = state.channel, closed = state.closed, %error, "relay or light not moved; trying again");
                    tracing::debug!(meter = %self.meter, "meter of the relay that was not moved");
                }
            }
        }
        failed
    }
}

impl Driver {
    async fn set(&self, state: &State) -> io::Result<()> {
        match self {
            Self::Watched => Ok(()),
            Self::File(path) => write(path, if state.closed { "1" } else { "0" }).await,
            Self::Program(words) => {
                let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
                let mut command = Command::new(program);
                command.args(arguments).arg(state.channel.to_string()).arg(if state.closed { "on" } else { "off" });
                command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
                let ended = timeout(PROGRAM_MAX, command.status()).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
                if ended.success() { Ok(()) } else { Err(io::Error::other(format!("{program} ended with {ended}"))) }
            }
        }
    }
}

const fn digit(light: Indicator) -> &'static str {
    match light {
        Indicator::Dark => "0",
        Indicator::Lit => "1",
        Indicator::Blinking => "2",
    }
}

/// In place: files of the kernel are not to be replaced.
async fn write(path: &Path, text: &str) -> io::Result<()> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    tokio::fs::write(path, text).await.map_err(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relays(channel: config::Channel) -> Relays {
        let (_, wanted) = watch::channel(Vec::new());
        Relays::new("M1".parse().expect("a name"), &[channel], wanted, Counter::default())
    }

    const fn state(closed: bool, light: Indicator) -> State {
        State { channel: 0, closed, light }
    }

    #[tokio::test]
    async fn files_take_digits_and_a_missing_one_is_tried_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (relay, light) = (folder.path().join("there/value"), folder.path().join("light"));
        let mut it =
            relays(config::Channel { relay_file: Some(relay.clone()), light_file: Some(light.clone()), ..config::Channel::new(0) });
        assert!(it.follow(&[state(false, Indicator::Dark)]).await, "there is no such folder");
        assert_eq!(it.failed.get(), 1);
        std::fs::create_dir(folder.path().join("there")).expect("a folder");
        assert!(!it.follow(&[state(false, Indicator::Dark)]).await);
        let read = |path| std::fs::read_to_string(path).expect("written");
        assert_eq!((read(&relay), read(&light)), ("0".to_owned(), "0".to_owned()));
        assert!(!it.follow(&[state(true, Indicator::Blinking)]).await);
        assert_eq!((read(&relay), read(&light)), ("1".to_owned(), "2".to_owned()));
    }

    #[tokio::test]
    async fn a_program_is_told_channel_and_state_and_its_failure_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let told = folder.path().join("told");
        let script = |text: &str| vec!["sh".to_owned(), "-c".to_owned(), text.to_owned(), "relay".to_owned()];
        let mut it =
            relays(config::Channel { relay_command: script(&format!("echo \"$@\" >> {}", told.display())), ..config::Channel::new(0) });
        for (closed, light) in [(true, Indicator::Lit), (true, Indicator::Blinking), (false, Indicator::Dark)] {
            assert!(!it.follow(&[state(closed, light)]).await);
        }
        assert_eq!(std::fs::read_to_string(told).expect("written"), "0 on\n0 off\n", "a light moves no relay");
        let mut it = relays(config::Channel { relay_command: script("exit 3"), ..config::Channel::new(0) });
        assert!(it.follow(&[state(true, Indicator::Lit)]).await);
    }
}
