//! Topics, and agreement with Kafka's own clients about who belongs where.
#![expect(clippy::unwrap_used, reason = "test code: what cannot be built fails the test")]

use measure::{Account, CHANNELS_MAX, InvalidId, MeterId};
use proptest::prelude::*;
use wire::topic::{InvalidTopic, Severity, Shard, TOPIC_LEN_MAX, Topic, live_filter, up_filter};

/// Meter, partition of 64, of 16, of 4: what Kafka's Java client says.
///
/// Made once with kafka-clients 4.1.1 (Maven Central), OpenJDK 17, by
/// `org.apache.kafka.clients.producer.internals.BuiltInPartitioner.partitionForKey(id.getBytes(UTF_8), partitions)`.
const JAVA: [(&str, u8, i32, i32); 21] = [
    ("0", 4, 4, 0),
    ("a", 60, 12, 0),
    ("Z9", 44, 12, 0),
    ("abc", 27, 11, 3),
    ("M001", 22, 6, 2),
    ("M0001", 7, 7, 3),
    ("M0002", 22, 6, 2),
    ("M0020", 23, 7, 3),
    ("M12345", 55, 7, 3),
    ("meter-1", 0, 0, 0),
    ("meter-42", 17, 1, 1),
    ("meter_7", 1, 1, 1),
    ("PZEM-004T", 6, 6, 2),
    ("house-17-A", 31, 15, 3),
    ("feeder-line-3", 57, 9, 1),
    ("0123456789abcdef", 44, 12, 0),
    ("A1b2C3d4E5f6G7h8", 47, 15, 3),
    ("gateway_3-channel-2", 33, 1, 1),
    ("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", 9, 9, 1),
    ("zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", 3, 3, 3),
    ("x-----------------------------_9", 7, 7, 3),
];

fn meter(id: &str) -> MeterId {
    id.parse().unwrap()
}

fn live(meter: &MeterId, channel: u8) -> Topic {
    Topic::Live { account: Account::new(meter, channel) }
}

#[test]
fn shards_are_the_partitions_of_the_java_client() {
    for (id, of_64, of_16, of_4) in JAVA {
        let shard = Shard::of(&meter(id));
        assert_eq!(shard.number(), of_64, "{id}");
        assert_eq!([64, 16, 4, 1].map(|partitions| shard.partition(partitions)), [of_64.into(), of_16, of_4, 0], "{id}");
    }
}

#[test]
fn all_shards_in_order() {
    let all: Vec<_> = Shard::all().map(|it| it.to_string()).collect();
    assert_eq!(all.len(), 64);
    assert_eq!((&*all[0], &*all[10], &*all[63]), ("00", "0a", "3f"));
    assert_eq!(Shard::new(64), None);
}

#[test]
fn topics_as_drawn() {
    let meter = meter("M0001");
    assert_eq!(Topic::up(&meter).to_string(), "f1/07/M0001/up");
    assert_eq!(Topic::down(&meter).to_text(), "f1/07/M0001/dn");
    assert_eq!(Topic::command(&meter).to_text(), "f1/07/M0001/cmd");
    assert_eq!("f1/07/M0001/cmd".parse(), Ok(Topic::command(&meter)));
    assert_eq!("f1/07/acks".parse(), Ok(Topic::Acks { shard: Shard::of(&meter) }));
    assert_eq!(Topic::Acks { shard: Shard::of(&meter) }.to_text(), "f1/07/acks");
    assert_eq!("live/M0001".parse(), Ok(live(&meter, 0)));
    assert_eq!("live/M0001/5".parse(), Ok(live(&meter, 5)));
    assert_eq!((&*live(&meter, 0).to_text(), &*live(&meter, 15).to_text()), ("live/M0001", "live/M0001/15"));
    assert_eq!(live_filter(&meter), "live/M0001/#");
    assert_eq!("state/M0001".parse(), Ok(Topic::State { meter: meter.clone() }));
    assert_eq!("alert/critical/M0001".parse(), Ok(Topic::Alert { severity: Severity::Critical, subject: meter }));
    assert_eq!(up_filter(Shard::new(0x3f).unwrap()), "f1/3f/+/up");
}

#[test]
fn topics_are_strict() {
    let parse = |text: &str| text.parse::<Topic>();
    for form in [
        "",
        "f1",
        "f1/07/M0001",
        "f1/07/M0001/cmd/",
        "f1/07/M0001/command",
        "f1/07/acks/",
        "f1/07/acks/x",
        "f1/acks",
        "f1/07/M0001/up/",
        "f1/07/M0001/up/x",
        "/f1/07/M0001/up",
        "F1/07/M0001/up",
        "live",
        "live/M0001/5/x",
        "live/M0001/5/",
        "alert/M0001",
        "alert/loud/M0001",
        "$SYS/x",
    ] {
        assert_eq!(parse(form), Err(InvalidTopic::Form), "{form}");
    }
    for shard in ["7", "007", "40", "0A", "+", "", "+7", "zz"] {
        assert_eq!(parse(&format!("f1/{shard}/M0001/up")), Err(InvalidTopic::Shard), "{shard}");
        assert_eq!(parse(&format!("f1/{shard}/acks")), Err(InvalidTopic::Shard), "{shard}");
    }
    // Channel 0 has no level of its own, others have one way to be written, and their number is bounded.
    for channel in ["", "0", "05", "+5", "-1", "16", "255", "256", "five", "#", "+", "5 "] {
        assert_eq!(parse(&format!("live/M0001/{channel}")), Err(InvalidTopic::Channel), "{channel}");
    }
    assert_eq!(parse("f1/08/M0001/up"), Err(InvalidTopic::ForeignShard));
    assert_eq!(parse("f1/07/+/up"), Err(InvalidTopic::Meter(InvalidId::Character)));
    assert_eq!(parse("live/#"), Err(InvalidTopic::Meter(InvalidId::Character)));
    assert_eq!(parse("live/"), Err(InvalidTopic::Meter(InvalidId::Empty)));
}

proptest! {
    #[test]
    fn every_meters_topics_lead_back(id in "[A-Za-z0-9][A-Za-z0-9_-]{0,31}", channel in 0..CHANNELS_MAX) {
        let meter: MeterId = id.parse().unwrap();
        let alert = Topic::Alert { severity: Severity::Critical, subject: meter.clone() };
        for topic in [Topic::up(&meter), Topic::down(&meter), Topic::State { meter: meter.clone() }, live(&meter, channel), alert] {
            let text = topic.to_string();
            prop_assert!(text.len() <= TOPIC_LEN_MAX);
            prop_assert!(topic.to_text() == *text);
            prop_assert_eq!(text.parse(), Ok(topic));
        }
    }

    #[test]
    fn what_parses_prints_the_same(
        text in "(f1/[0-4][0-9a-g]|live|state|alert/(info|warning))?/?[A-Za-z0-9_+-]{0,34}/?(up|dn|0?[0-9]{0,3})?"
    ) {
        if let Ok(topic) = text.parse::<Topic>() {
            prop_assert_eq!(topic.to_string(), text);
        }
    }
}
