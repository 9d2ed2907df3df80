//! Polls without an answer.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Fault, Reply, Schedule, Stream, Wrong, random};

/// Single polls get lost: a disturbed bus.
#[derive(Clone, Debug)]
pub struct LostPolls {
    share: f64,
    random: ChaCha8Rng,
}

impl LostPolls {
    /// This share of the polls, 0 to 1.
    pub fn new(seed: u64, share: f64) -> Self {
        Self { share, random: random(seed, Stream::LostPolls) }
    }
}

impl Fault for LostPolls {
    fn disturb(&mut self, _second: u64, reply: &mut Reply) {
        if self.random.random::<f64>() < self.share {
            lose(reply);
        }
    }
}

/// No answer for a while: the agent was restarted, a cable was out. The meter itself counts on.
#[derive(Clone, Debug)]
pub struct Gap(pub Schedule);

impl Fault for Gap {
    fn disturb(&mut self, second: u64, reply: &mut Reply) {
        if self.0.is_on(second) {
            lose(reply);
        }
    }
}

fn lose(reply: &mut Reply) {
    reply.sample = None;
    reply.wrong.push(Wrong::Lost);
}
