//! Records as the audit knows them, from an agent's journal and from Kafka. Pure.

use contracts::{EventRecord, ReadingRecord};
use measure::{Event, Gap, Hello, MeterId, Outcome, Record};
use serde_json::Value;

use super::{Identity, Number};

/// The identity of a record that a journal accepted.
pub fn accepted(meter: &MeterId, record: &Record) -> Identity {
    // Every field is in the serialised form, and equal records have equal ones.
    let content = match record {
        Record::Hello(hello) => ("hello", serde_json::to_value(hello)),
        Record::Reading(reading) => ("reading", serde_json::to_value(reading)),
        Record::Event(event) => ("event", serde_json::to_value(event)),
        Record::Gap(gap) => ("gap", serde_json::to_value(gap)),
        Record::Outcome(outcome) => ("outcome", serde_json::to_value(outcome)),
    };
    let content = format!("{} {}", content.0, content.1.unwrap_or(Value::Null));
    Identity::of(meter, record.time(), content.as_bytes())
}

/// Number and identity of a reading in Kafka.
pub fn reading(it: &ReadingRecord) -> (Number, Identity) {
    let number = Number { meter: it.meter.clone(), stream: it.stream, seq: it.seq };
    (number, accepted(&it.meter, &Record::Reading(it.reading())))
}

/// Number and identity of an event, gap or hello in Kafka; none of what the head-end derived itself.
pub fn event(it: &EventRecord) -> Option<(Number, Identity)> {
    let (meter, stream, seq) = it.place()?;
    let record = match it {
        EventRecord::Event(it) => {
            Record::Event(Event { time: it.time_ms, clock: it.clock, channel: it.channel, kind: it.kind, value: it.value })
        }
        EventRecord::Gap(it) => Record::Gap(Gap { from: it.from_ms, to: it.to_ms, count: it.count, reason: it.reason }),
        EventRecord::Hello(it) => Record::Hello(Hello {
            time: it.time_ms,
            clock: it.clock,
            device: it.device.clone(),
            software: it.software.clone(),
            configuration: it.configuration.0,
            starts: it.starts,
        }),
        EventRecord::Outcome(it) => Record::Outcome(Outcome {
            time: it.time_ms,
            clock: it.clock,
            channel: it.channel,
            number: it.number,
            action: it.action,
            verdict: it.verdict,
            value: it.value,
        }),
        EventRecord::PowerQuality(_) | EventRecord::VoltageWeek(_) => return None,
    };
    Some((Number { meter: meter.clone(), stream, seq }, accepted(meter, &record)))
}

#[cfg(test)]
mod tests {
    use measure::{ActionKind, ClockQuality, EventKind, GapReason, Reading, StreamId, Text, UnixMillis, Verdict, Volts};

    use super::*;

    fn records() -> [Record; 5] {
        let time = UnixMillis(1_800_000_000_000);
        [
            Record::Reading(Reading { time, voltage: Volts::from_millivolts(229_876), ..Default::default() }),
            Record::Event(Event { time, clock: ClockQuality::Holdover, channel: 2, kind: EventKind::Stuck, value: -5 }),
            Record::Gap(Gap { from: UnixMillis(1), to: time, count: 9, reason: GapReason::JournalFull }),
            Record::Hello(Hello {
                time,
                clock: ClockQuality::Synchronised,
                device: Text::try_from("pzem-004t").unwrap(),
                software: Text::try_from("edge-agent 0.1.0").unwrap(),
                configuration: u64::MAX,
                starts: 3,
            }),
            Record::Outcome(Outcome {
                time,
                clock: ClockQuality::Holdover,
                channel: 4,
                number: 17,
                action: ActionKind::TopUp,
                verdict: Verdict::Done,
                value: 5_000_000,
            }),
        ]
    }

    #[test]
    fn a_record_is_the_same_in_the_journal_and_in_kafka() {
        let meter: MeterId = "M1".parse().unwrap();
        for record in records() {
            let (_, identity) = match &record {
                Record::Reading(it) => reading(&ReadingRecord::new(&meter, StreamId(7), 2, UnixMillis(5), it)),
                other => event(&EventRecord::new(&meter, StreamId(7), 2, UnixMillis(5), other).unwrap()).unwrap(),
            };
            assert_eq!(identity, accepted(&meter, &record));
        }
    }

    #[test]
    fn any_other_content_is_another_record() {
        let (one, other): (MeterId, MeterId) = ("M1".parse().unwrap(), "M2".parse().unwrap());
        let [Record::Reading(mut it), ..] = records() else { panic!("a reading comes first") };
        let before = accepted(&one, &Record::Reading(it));
        assert_ne!(before, accepted(&other, &Record::Reading(it)));
        it.voltage = Volts::from_millivolts(229_877);
        assert_ne!(before, accepted(&one, &Record::Reading(it)));
    }
}
