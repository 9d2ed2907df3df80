//! `dead-letter.v1`: what could not be read, byte for byte; the headers say why.

use measure::{MeterId, Seq, StreamId, UnixMillis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Headers of a dead letter. The value of the Kafka record is the payload as it came; the key is the meter, if it is known.
///
/// On Kafka each field is a header of its name, absent if it is null, with its value as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetter {
    /// Which kind of trouble.
    pub reason: DeadLetterReason,
    /// What exactly, for people.
    pub detail: String,
    /// The MQTT topic that it came on.
    pub topic: String,
    /// When the head-end received it: milliseconds since 1970-01-01 UTC.
    #[schemars(with = "i64")]
    pub received_ms: UnixMillis,
    /// The meter that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub meter: Option<MeterId>,
    /// The stream, if the header could be read: 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub stream: Option<StreamId>,
    /// First number that was passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_seq: Option<Seq>,
    /// Last number that was passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through_seq: Option<Seq>,
}

/// Which kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterReason {
    /// Checksum or header is bad: nobody can tell which records it held, nothing was passed over, the meter sends them again.
    BadFrame,
    /// Header and checksum are good, the records are not: they were passed over.
    BadBody,
    /// It came on a topic that holds no frames.
    BadTopic,
}

impl DeadLetterReason {
    /// As in the header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadFrame => "bad_frame",
            Self::BadBody => "bad_body",
            Self::BadTopic => "bad_topic",
        }
    }
}

impl DeadLetter {
    /// The Kafka headers, by name and text.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let always = [
            ("reason", self.reason.name().to_owned()),
            ("detail", self.detail.clone()),
            ("topic", self.topic.clone()),
            ("received_ms", self.received_ms.0.to_string()),
        ];
        let known = [
            ("meter", self.meter.as_ref().map(ToString::to_string)),
            ("stream", self.stream.map(|it| it.to_string())),
            ("from_seq", self.from_seq.map(|it| it.to_string())),
            ("through_seq", self.through_seq.map(|it| it.to_string())),
        ];
        always.into_iter().chain(known.into_iter().filter_map(|(name, text)| Some((name, text?)))).collect()
    }
}
