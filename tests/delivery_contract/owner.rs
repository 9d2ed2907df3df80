//! A processor that owns the partition, or thinks so.

use measure::{MeterId, UnixMillis};
use stream_processor::shard::{Outcome, Partition};
use wire::ack::Ack;
use wire::frame;

use crate::kafka::{Fate, Kafka};
use crate::world::Bug;

pub struct Owner {
    partition: Option<Partition>,
    epoch: u64,
    bug: Option<Bug>,
}

/// Another producer owns the partition.
pub struct Fenced;

impl Owner {
    /// Takes the partition over.
    pub fn new(kafka: &mut Kafka, bug: Option<Bug>) -> Self {
        kafka.epoch += 1;
        Self { partition: Some(kafka.rebuild()), epoch: kafka.epoch, bug }
    }

    fn partition(&mut self) -> &mut Partition {
        self.partition.as_mut().expect("there is one between calls")
    }

    /// Takes a frame; what it answers at once.
    pub fn handle_frame(&mut self, meter: &MeterId, bytes: &[u8], now: UnixMillis) -> Option<Ack> {
        let header = frame::decode(bytes).ok().map(|(header, _)| header);
        if self.bug == Some(Bug::StopAtPoison) && frame::decode(bytes).is_ok_and(|(_, body)| body.into_iter().any(|record| record.is_err()))
        {
            return None;
        }
        match self.partition().handle_frame(meter, bytes, now) {
            Outcome::Answer(..) if self.bug == Some(Bug::SilentDuplicate) => None,
            Outcome::Answer(ack, _) => Some(ack),
            Outcome::Accepted { through, .. } if self.bug == Some(Bug::AckAccepted) => {
                Some(Ack { stream: header?.stream, through, incarnation: self.partition().incarnation() })
            }
            _ => None,
        }
    }

    pub fn has_something(&mut self) -> bool {
        !self.partition().batch().is_empty()
    }

    /// Commits what it has; what it acknowledges then.
    pub fn commit(&mut self, kafka: &mut Kafka, fate: Fate, now: UnixMillis) -> Result<Vec<Ack>, Fenced> {
        if self.epoch != kafka.epoch && self.bug != Some(Bug::NoFencing) {
            return Err(Fenced);
        }
        if matches!(fate, Fate::Committed | Fate::Unknown { committed: true }) {
            kafka.commit(self.partition().batch(), now);
        }
        let unknown = matches!(fate, Fate::Unknown { .. });
        if fate == Fate::Committed {
            return Ok(self.believe_committed());
        }
        if self.bug == Some(Bug::KeepAcceptedAfterAbort) && !unknown {
            self.believe_committed();
            return Ok(Vec::new());
        }
        let premature = if self.bug == Some(Bug::AckUnknownCommit) && unknown { self.believe_committed() } else { Vec::new() };
        self.partition = self.partition.take().map(|partition| kafka.fill(partition.aborted_or_unknown()));
        Ok(premature)
    }

    fn believe_committed(&mut self) -> Vec<Ack> {
        self.partition().committed().into_iter().map(|(_, ack)| ack).collect()
    }
}
