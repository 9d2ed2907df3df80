//! What counters are told apart by: reasons above all.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};

/// Why a frame left nothing in Kafka, or left it in the dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Dropped {
    /// On a topic that holds no frames, or of another meter's shard.
    BadTopic,
    /// Its partition is not, or not yet, this instance's.
    NotOwned,
    /// Its partition's queue was full.
    QueueFull,
    /// It waited for a transaction that failed.
    TransactionFailed,
    /// All of it was there already.
    Repeated,
    /// Something before it is missing.
    Hole,
    /// Checksum or header is bad.
    BadFrame,
    /// Its body can't be read; it is in the dead letters.
    BadBody,
    /// Too many streams.
    StreamsFull,
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Ended {
    /// In Kafka.
    Committed,
    /// Certainly not in Kafka.
    Aborted,
    /// Another instance had opened the partition's producer.
    Fenced,
    /// Nobody knows before the ledger is read.
    Unknown,
}

/// What could not be sent, and is not missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Unsent {
    /// An acknowledgement; the meter asks again.
    Ack,
    /// A live value on MQTT; the next one follows.
    Live,
    /// A record of `meter.latest.v1`; the next one follows.
    Latest,
    /// An alert on MQTT; it stands in Kafka.
    Alert,
    /// What one gate says of a meter's session, to another; the keep-alive ends an older one there.
    State,
}

/// Why a feeder's interval told nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Unused {
    /// No topology knows its feeder.
    Feeder,
    /// Its meter is not on the feeder.
    Meter,
    /// It is of a further channel: feeders are watched by the first.
    Channel,
    /// Its quarter of an hour has been judged already.
    Late,
    /// Its meter stands between the line and a house, and is no part of the balance.
    LineSide,
}

/// Why a quarter of an hour of a feeder taught or told nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum LeftOut {
    /// The line's meter says nothing, or something impossible.
    Line,
    /// A house's energy is missing or impossible: no balance.
    Energy,
    /// A voltage is missing or impossible: no drops.
    Voltage,
}

/// Why what somebody did to an alert changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ActionRefused {
    /// It can't be read.
    Unreadable,
    /// No such alert is open.
    Unknown,
    /// It was in that state already, or the shelf's end was past.
    Idle,
    /// Nobody's name, or too long a text.
    Text,
}

/// Why a command was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Undelivered {
    /// It can't be read, or is not what its record says.
    Malformed,
    /// Its time was over.
    Expired,
    /// It had been answered.
    Answered,
    /// Too many wait.
    Full,
    /// No broker took it; it is sent again.
    NoBroker,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct UndeliveredBy {
    pub(super) reason: Undelivered,
}

/// Why a reading was not judged by its power quality.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Unjudged {
    /// Its time is an upper bound, impossible, or ahead.
    Clock,
    /// It is older than one that was judged.
    Late,
    /// The edge filter rejected it.
    Rejected,
    /// Too many meters, or channels of one.
    Full,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct UnjudgedBy {
    pub(super) reason: Unjudged,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct UnusedBy {
    pub(super) reason: Unused,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct LeftOutBy {
    pub(super) reason: LeftOut,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RefusedBy {
    pub(super) reason: ActionRefused,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Reason {
    pub(super) reason: Dropped,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Outcome {
    pub(super) outcome: Ended,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct What {
    pub(super) what: Unsent,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfBroker {
    pub(super) broker: String,
}
