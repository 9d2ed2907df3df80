//! Frames that were recorded earlier and are sent again: theft by someone who has access to the bus.

use std::collections::VecDeque;

use super::{Fault, Reply, Schedule, Wrong};
use crate::sensor::SensedSample;

/// In its window, answers what was answered `delay_s` seconds before. The energy register runs on as it does, or the trick would be seen
/// by anybody.
#[derive(Clone, Debug)]
pub struct Replay {
    schedule: Schedule,
    delay_s: usize,
    history: VecDeque<Option<SensedSample>>,
}

impl Replay {
    /// In the windows of this schedule. Nothing is replayed before `delay_s` seconds have passed.
    pub fn new(schedule: Schedule, delay_s: usize) -> Self {
        Self { schedule, delay_s, history: VecDeque::with_capacity(delay_s.saturating_add(1)) }
    }
}

impl Fault for Replay {
    fn disturb(&mut self, second: u64, reply: &mut Reply) {
        self.history.push_back(reply.sample);
        let earlier = if self.history.len() > self.delay_s { self.history.pop_front().flatten() } else { None };
        if let (Some(earlier), Some(sample), true) = (earlier, &mut reply.sample, self.schedule.is_on(second)) {
            *sample = SensedSample { energy_wh: sample.energy_wh, ..earlier };
            reply.wrong.push(Wrong::Replayed);
        }
    }
}
