//! What a caller may add to a configuration.

use std::collections::BTreeMap;
use std::io;
use std::time::Instant;

use edge_core::Sample;
use edge_core::edge::NoData;
use measure::{Channel, MeterId};
use tokio::sync::mpsc;

use crate::ade7816::{Open, Wire};
use crate::agent::Observer;
use crate::clock::WallClock;
use crate::journal_sqlite::Accepted;

/// One poll of a channel by whoever supplies a meter's samples.
#[derive(Clone, Debug)]
pub struct Observation {
    /// When it was taken.
    pub at: Instant,
    /// Channel of the meter.
    pub channel: Channel,
    /// The sample, or why there is none.
    pub result: Result<Sample, NoData>,
}

impl Observation {
    /// A sample of channel 0, taken now.
    pub fn now(sample: Sample) -> Self {
        Self { at: Instant::now(), channel: 0, result: Ok(sample) }
    }
}

/// See the module.
#[derive(Default)]
pub struct Options {
    pub(crate) sources: BTreeMap<MeterId, mpsc::Receiver<Observation>>,
    pub(crate) chips: BTreeMap<MeterId, Open>,
    pub(crate) observer: Option<Observer>,
    pub(crate) wall: Option<WallClock>,
}

impl Options {
    /// Supplies the samples of a meter whose device is [`Device::Supplied`](crate::config::Device::Supplied). When the sender is dropped the
    /// meter just measures no more.
    #[must_use]
    pub fn source(mut self, meter: MeterId, samples: mpsc::Receiver<Observation>) -> Self {
        self.sources.insert(meter, samples);
        self
    }

    /// Supplies the port of a meter whose device is [`Device::Ade7816`](crate::config::Device::Ade7816), in place of the one that its
    /// configuration names. It is opened again whenever the chip has to be started.
    #[must_use]
    pub fn chip(mut self, meter: MeterId, open: impl FnMut() -> io::Result<Wire> + Send + 'static) -> Self {
        self.chips.insert(meter, Box::new(open));
        self
    }

    /// Is told of rows when their commit has returned, on the thread that commits: hand them on and return.
    #[must_use]
    pub fn accepted(mut self, observer: impl FnMut(Vec<Accepted>) + Send + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Replaces the system's clock.
    #[must_use]
    pub fn wall_clock(mut self, wall: WallClock) -> Self {
        self.wall = Some(wall);
        self
    }
}
