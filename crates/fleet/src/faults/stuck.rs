//! A meter whose registers stand still, or a driver that answers from its memory.

use super::{Fault, Reply, Schedule, Wrong};
use crate::sensor::SensedSample;

/// Repeats the last reply before the window as long as it lasts, the energy register included.
#[derive(Clone, Debug)]
pub struct Stuck {
    schedule: Schedule,
    last: Option<SensedSample>,
}

impl Stuck {
    /// In the windows of this schedule.
    pub fn new(schedule: Schedule) -> Self {
        Self { schedule, last: None }
    }
}

impl Fault for Stuck {
    fn disturb(&mut self, second: u64, reply: &mut Reply) {
        let Some(sample) = &mut reply.sample else { return };
        match self.last {
            Some(last) if self.schedule.is_on(second) => {
                *sample = last;
                reply.wrong.push(Wrong::Stuck);
            }
            _ => self.last = Some(*sample),
        }
    }
}
