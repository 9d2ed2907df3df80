//! Acknowledgements on their way out: collected while frames are handled or a batch is committed, then sent together.
//!
//! A gate takes them by shard, as [`AckBatch`]es, and hands them out to its meters. To any other broker each goes to its meter by itself.

use measure::MeterId;
use wire::AckBatch;
use wire::ack::Ack;
use wire::topic::{Shard, Topic};

/// Acknowledgements that wait to be sent.
#[derive(Debug, Default)]
pub struct Acks(Vec<Waiting>);

#[derive(Debug)]
struct Waiting {
    link: usize,
    shard: Shard,
    meter: MeterId,
    ack: Ack,
}

/// A message that holds acknowledgements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// By which link it goes.
    pub link: usize,
    /// Where to.
    pub topic: Topic,
    /// The bytes.
    pub payload: Vec<u8>,
    /// How many acknowledgements it holds.
    pub acks: u64,
}

impl Acks {
    /// Adds an acknowledgement that goes back by `link`.
    pub fn add(&mut self, link: usize, meter: MeterId, ack: Ack) {
        self.0.push(Waiting { link, shard: Shard::of(&meter), meter, ack });
    }

    /// Whether none waits.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Hands all of them to `send`: together where `is_gate` says that the link leads to a gate, in the order in which they were added.
    pub fn drain(&mut self, is_gate: impl Fn(usize) -> bool, mut send: impl FnMut(Message)) {
        self.0.sort_by_key(|it| (it.link, it.shard));
        for way in self.0.chunk_by(|one, other| (one.link, one.shard) == (other.link, other.shard)) {
            if way.first().is_some_and(|first| is_gate(first.link)) {
                together(way, &mut send);
            } else {
                way.iter().for_each(|it| send(it.alone()));
            }
        }
        self.0.clear();
    }
}

impl Waiting {
    fn alone(&self) -> Message {
        Message { link: self.link, topic: Topic::down(&self.meter), payload: self.ack.encode().to_vec(), acks: 1 }
    }
}

/// Acknowledgements of one link and shard, in as few batches as they fit into.
fn together(way: &[Waiting], send: &mut impl FnMut(Message)) {
    let mut rest = way;
    while let Some(first) = rest.first() {
        let mut batch = AckBatch::new(first.ack.incarnation);
        let taken = rest.iter().take_while(|it| batch.push(&it.meter, &it.ack).is_ok()).count();
        // The first one fits into an empty batch of its incarnation; were that not so, this would have to end all the same.
        let (now, later) = rest.split_at_checked(taken.max(1)).unwrap_or((rest, &[]));
        let acks = u64::try_from(now.len()).unwrap_or(u64::MAX);
        send(Message { link: first.link, topic: Topic::Acks { shard: first.shard }, payload: batch.finish().to_vec(), acks });
        rest = later;
    }
}

#[cfg(test)]
mod tests {
    use measure::StreamId;
    use proptest::prelude::*;

    use super::*;

    fn meter(number: u16) -> MeterId {
        format!("a-name-of-thirty-two-letters{number:04}").parse().unwrap()
    }

    const fn ack(through: u64, incarnation: u64) -> Ack {
        Ack { stream: StreamId(7), through, incarnation }
    }

    fn drained(acks: &mut Acks, is_gate: impl Fn(usize) -> bool) -> Vec<Message> {
        let mut messages = Vec::new();
        acks.drain(is_gate, |message| messages.push(message));
        assert!(acks.is_empty());
        messages
    }

    #[test]
    fn a_foreign_broker_gets_each_for_its_meter() {
        let mut acks = Acks::default();
        acks.add(1, meter(1), ack(5, 1));
        let expected = Message { link: 1, topic: Topic::down(&meter(1)), payload: ack(5, 1).encode().to_vec(), acks: 1 };
        assert_eq!(drained(&mut acks, |link| link == 0), [expected]);
        assert_eq!(drained(&mut acks, |_| true), []);
    }

    #[test]
    fn another_incarnation_is_another_batch() {
        let mut acks = Acks::default();
        [1, 1, 2].into_iter().for_each(|incarnation| acks.add(0, meter(1), ack(5, incarnation)));
        let of: Vec<_> =
            drained(&mut acks, |_| true).iter().map(|it| (it.acks, AckBatch::decode(&it.payload).unwrap().incarnation())).collect();
        assert_eq!(of, [(2, 1), (1, 2)]);
    }

    proptest! {
        /// Whatever is added arrives: once, by its link, in a batch of its meter's shard, and of one meter in the order added.
        #[test]
        fn each_goes_its_way_in_order(added in prop::collection::vec((0..3usize, 0..300u16), 0..1500)) {
            let mut acks = Acks::default();
            for ((link, number), through) in added.iter().zip(1..) {
                acks.add(*link, meter(*number), ack(through, 1));
            }
            let mut arrived = Vec::new();
            for message in drained(&mut acks, |link| link < 2) {
                let entries: Vec<(MeterId, Ack)> = match &message.topic {
                    Topic::Acks { shard } => {
                        prop_assert!(message.link < 2);
                        let entries: Vec<_> = AckBatch::decode(&message.payload).unwrap().collect();
                        prop_assert!(entries.iter().all(|(meter, _)| Shard::of(meter) == *shard));
                        entries
                    }
                    Topic::Down { meter, .. } => vec![(meter.clone(), Ack::decode(&message.payload).unwrap())],
                    other => panic!("{other}"),
                };
                prop_assert_eq!(entries.len() as u64, message.acks);
                arrived.extend(entries.into_iter().map(|(meter, ack)| (message.link, meter, ack.through)));
            }
            let mut expected: Vec<_> = added.iter().zip(1..).map(|((link, number), through)| (*link, meter(*number), through)).collect();
            prop_assert_eq!(arrived.len(), expected.len());
            let by_meter = |it: &(usize, MeterId, u64)| (it.0, it.1.clone());
            arrived.sort_by_key(by_meter);
            expected.sort_by_key(by_meter);
            prop_assert_eq!(arrived, expected);
        }
    }
}
