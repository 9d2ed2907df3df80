//! What goes wrong with meters: seeded, composable, and told beside the data, so that verdicts can be judged.
//!
//! A fault acts in one of two places. It changes the [`Condition`] of the sensor before it measures (a shunted current transformer, growing
//! noise), or it disturbs the [`Reply`] afterwards (spikes, frozen or replayed frames, polls without an answer). A
//! [`Meter`](crate::meter::Meter) runs as many of them as it is given, in their order.

pub mod condition;
pub mod polls;
pub mod replay;
pub mod schedule;
pub mod spike;
pub mod stuck;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::sensor::{Condition, SensedSample};

pub use condition::{Noisier, Shunt};
pub use polls::{Gap, LostPolls};
pub use replay::Replay;
pub use schedule::Schedule;
pub use spike::{Checksum, Register, Spike};
pub use stuck::Stuck;

/// A fault of a meter or of the way to it.
pub trait Fault: Send {
    /// Changes how the sensor is in this second.
    fn condition(&mut self, _second: u64, _condition: &mut Condition) {}

    /// Changes what it answers after this second.
    fn disturb(&mut self, _second: u64, _reply: &mut Reply) {}
}

/// What a poll brings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// The answer; none if the poll was lost.
    pub sample: Option<SensedSample>,
    /// What is wrong with it, in the order it happened.
    pub wrong: Vec<Wrong>,
}

/// What is wrong with a reply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wrong {
    /// A register was off by this share of its value.
    Spike(Register, f64),
    /// The reply is that of an earlier second.
    Stuck,
    /// The reply is that of an earlier second, and others came in between.
    Replayed,
    /// No answer came.
    Lost,
}

/// The random numbers of one fault: seeded like its household and sensor, it must not draw their numbers again.
fn random(seed: u64, stream: Stream) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream as u64);
    random
}

/// Streams of a seed; 0 is the household's and 1 the sensor's.
#[derive(Clone, Copy)]
enum Stream {
    Schedule = 2,
    Spike,
    LostPolls,
}
