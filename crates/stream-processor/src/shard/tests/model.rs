//! Random frames, commits, aborts and takeovers against a Kafka that keeps whole transactions only.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wire::ack::Ack;

use super::super::{Outcome, Reason, Row};
use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// A frame of `len` records of a stream of a meter, from up to two before the next number to one after it.
    Frame {
        meter: usize,
        stream: u64,
        from: u64,
        len: u64,
        poisoned: bool,
    },
    Damaged {
        meter: usize,
        stream: u64,
    },
    /// The transaction is committed, and whether anybody gets to know.
    Commit {
        known: bool,
    },
    Abort,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (0..3usize, 0..3u64, 0..4u64, 1..6u64, prop::bool::weighted(0.1))
            .prop_map(|(meter, stream, from, len, poisoned)| Step::Frame { meter, stream, from, len, poisoned }),
        1 => (0..3usize, 0..3u64).prop_map(|(meter, stream)| Step::Damaged { meter, stream }),
        4 => prop::bool::weighted(0.8).prop_map(|known| Step::Commit { known }),
        1 => Just(Step::Abort),
    ]
}

type Key = (MeterId, StreamId);

/// What transactions left behind, in the ledger's order.
#[derive(Default)]
struct Kafka {
    /// Numbers written, as record or within a dead letter.
    written: BTreeMap<Key, Vec<u64>>,
    last_record: BTreeMap<Key, u64>,
    ledger: Vec<(Key, Option<u64>)>,
}

impl Kafka {
    fn commit(&mut self, partition: &Partition) {
        let batch = partition.batch();
        for accepted in &batch.records {
            assert_eq!(accepted.record, record(accepted.seq));
            let key = (accepted.meter.clone(), accepted.stream);
            let before = self.last_record.insert(key.clone(), accepted.seq);
            assert!(before < Some(accepted.seq), "records of a stream are in order");
            self.written.entry(key).or_default().push(accepted.seq);
        }
        for letter in &batch.dead_letters {
            if let Reason::Body { stream, from, through, .. } = letter.reason {
                self.written.entry((letter.meter.clone(), stream)).or_default().extend(from..=through);
            }
        }
        self.ledger.extend(batch.ledger.clone());
    }

    fn rebuild(&self, partition: Partition) -> Partition {
        let mut rebuild = partition.aborted_or_unknown();
        for ((meter, stream), through) in self.ledger.clone() {
            rebuild.row(match through {
                Some(through) => Row::Through { meter, stream, through, time: NOW },
                None => Row::Forgotten { meter, stream },
            });
        }
        rebuild.finish()
    }

    fn through(&self, key: &Key) -> u64 {
        self.ledger.iter().rev().find(|(other, _)| other == key).and_then(|(_, through)| *through).unwrap_or(0)
    }

    /// An acknowledgement never promises more than is here.
    fn check_ack(&self, meter: &MeterId, ack: &Ack) {
        assert!(ack.through <= self.through(&(meter.clone(), ack.stream)), "{meter} {ack:?}");
    }
}

fn run(steps: &[Step]) {
    let (mut kafka, mut partition) = (Kafka::default(), empty(Limits::default()));
    let meters = ["M1", "M2", "M3"].map(meter);
    let mut next: BTreeMap<Key, u64> = BTreeMap::new();
    for (at, step) in steps.iter().enumerate() {
        let now = NOW.saturating_add(i64::try_from(at).unwrap() * 400);
        match step {
            Step::Frame { meter, stream, from, len, poisoned } => {
                let key = (meters[*meter].clone(), StreamId(*stream));
                let next = next.entry(key.clone()).or_insert(1);
                let first = (*next + from).saturating_sub(2).max(1);
                let last = first + len - 1;
                let bytes = if *poisoned { poison(key.1, first, last) } else { frame(key.1, first, last) };
                match partition.handle_frame(&key.0, &bytes, now) {
                    Outcome::Accepted { through, .. } | Outcome::Poisoned { through, .. } => {
                        assert_eq!(through, last);
                        *next = through + 1;
                    }
                    Outcome::Answer(ack, _) => {
                        assert_eq!(ack.through, kafka.through(&key), "an answer says what is committed");
                        kafka.check_ack(&key.0, &ack);
                    }
                    Outcome::Silent(_) => {}
                    other => panic!("{other:?}"),
                }
            }
            Step::Damaged { meter, stream } => {
                let mut bytes = frame(StreamId(*stream), 1, 2);
                bytes[12] ^= 0x40;
                assert!(matches!(partition.handle_frame(&meters[*meter], &bytes, now), Outcome::Rejected { .. }));
            }
            Step::Commit { known } => {
                kafka.commit(&partition);
                if *known {
                    for (meter, ack) in partition.committed() {
                        assert_eq!(ack.through, kafka.through(&(meter.clone(), ack.stream)));
                        kafka.check_ack(&meter, &ack);
                    }
                } else {
                    partition = kafka.rebuild(partition);
                }
            }
            Step::Abort => {
                partition = kafka.rebuild(partition);
                next = next.keys().map(|key| (key.clone(), kafka.through(key) + 1)).collect();
            }
        }
    }
    for (key, mut written) in kafka.written.clone() {
        written.sort_unstable();
        let expected: Vec<u64> = (1..=kafka.through(&key)).collect();
        assert_eq!(written, expected, "{key:?}: every number once");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn every_number_is_written_once_and_nothing_is_promised_early(steps in prop::collection::vec(step(), 1..120)) {
        run(&steps);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        empty(Limits::default()).handle_frame(&meter("M1"), &bytes, NOW);
    }
}
