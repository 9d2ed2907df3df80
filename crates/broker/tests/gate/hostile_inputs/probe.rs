//! The honest one beside the others: a meter that publishes, and a processor that gets it, again and again.

use std::sync::Arc;
use std::time::Duration;

use pki::Role;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

use crate::support::{Client, House, PATIENCE, Raw, up};

/// Between two frames.
const PERIOD: Duration = Duration::from_millis(20);
/// Between two new connections, in frames.
const ANEW: usize = 25;

/// Runs until it is stopped.
pub(super) struct Probe {
    stop: oneshot::Sender<()>,
    task: JoinHandle<usize>,
}

impl Probe {
    pub(super) async fn start(house: &Arc<House>) -> Self {
        let mut processor = house.processor("probe-processor").await;
        let (config, address) = (house.credentials("probe", Role::Meter), house.broker.mqtts_addr());
        let (stop, mut stopped) = oneshot::channel();
        let mut meter = Client::tls(address, config.clone()).await.unwrap();
        meter.connect("probe").await;
        let task = tokio::spawn(async move {
            let mut ticks = interval(PERIOD);
            for number in 0.. {
                tokio::select! {
                    _ = &mut stopped => return number,
                    _ = ticks.tick() => {}
                }
                let served = async {
                    if number % ANEW == 0 {
                        meter.send(&[0xe0, 0]).await;
                        meter.is_closed().await;
                        meter = Client::tls(address, config.clone()).await.unwrap();
                        meter.connect("probe").await;
                    }
                    meter.publish(&up("probe"), &number.to_be_bytes(), Some(1), false).await;
                    assert_eq!(meter.next().await, Raw::new(0x40, &[0, 1]));
                    // What others may publish comes here too.
                    while processor.message().await.1 != number.to_be_bytes() {}
                };
                timeout(PATIENCE, served).await.unwrap_or_else(|_| panic!("the probe's frame {number} was not served"));
            }
            unreachable!("the probe counts for ever")
        });
        Self { stop, task }
    }

    /// Fails if it was not served at any time.
    pub(super) async fn stop(self) {
        let _ = self.stop.send(());
        assert!(self.task.await.expect("the probe was not served") > 0);
    }
}
