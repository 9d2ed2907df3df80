//! The condition of the machine that meters' service runs on: files of the kernel, read now and then.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use edge_core::condition::Measured;
use prometheus_client::metrics::counter::Counter;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::input::{Inbox, What};

/// Reads until `stop`, and tells every meter what has changed.
pub(crate) async fn watch(config: config::Condition, inboxes: Vec<Inbox>, unreadable: Counter, stop: CancellationToken) {
    let mut clock = interval(Duration::from_millis(config.every_ms));
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Measured::default();
    loop {
        tokio::select! {
            _ = clock.tick() => {}
            () = stop.cancelled() => return,
        }
        let measured = measure(&config, &unreadable).await;
        if measured != told {
            told = measured;
            for inbox in &inboxes {
                inbox.tell(What::Condition(measured)).await;
            }
        }
    }
}

async fn measure(config: &config::Condition, unreadable: &Counter) -> Measured {
    // The kernel writes thousandths of a degree, percent, and 0 or 1.
    let temperature = read::<i32>(config.temperature_file.as_ref(), unreadable).await;
    let supply = read::<u8>(config.supply_file.as_ref(), unreadable).await;
    Measured {
        temperature: temperature.map(|thousandths| thousandths.div_euclid(100)),
        battery: read(config.battery_file.as_ref(), unreadable).await,
        supply: supply.map(|online| online != 0),
    }
}

async fn read<T: FromStr>(path: Option<&PathBuf>, unreadable: &Counter) -> Option<T> {
    let path: &Path = path?;
    let value = tokio::fs::read_to_string(path).await.ok().and_then(|text| text.trim().parse().ok());
    if value.is_none() {
        unreadable.inc();
        tracing::debug!(path = %path.display(), "the meter's condition can't be read there");
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_of_the_kernel_are_read_and_missing_ones_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("writes");
            Some(path)
        };
        let config = config::Condition {
            temperature_file: file("temp", "85123\n"),
            battery_file: file("capacity", "full\n"),
            supply_file: file("online", "0\n"),
            ..config::Condition::default()
        };
        let unreadable = Counter::default();
        let measured = measure(&config, &unreadable).await;
        assert_eq!(measured, Measured { temperature: Some(851), battery: None, supply: Some(false) });
        assert_eq!(unreadable.get(), 1);
        assert_eq!(measure(&config::Condition::default(), &unreadable).await, Measured::default());
        assert_eq!(unreadable.get(), 1, "what is not configured is not missed");
    }
}
