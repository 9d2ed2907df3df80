//! The limits of the gate: `[limits]` of the configuration. Each is counted when it is met; `docs/gate-limits.md` has a section for each.

use serde::Deserialize;

use super::{count, range};
use crate::error::ConfigError;

/// Limits; each is counted when it is met.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections of one identity.
    pub connections_per_identity: usize,
    /// Sessions of services and operators together, at most 1,000.
    pub clients: usize,
    /// TLS handshakes at a time.
    pub handshakes: usize,
    /// TLS handshakes at a time from one address.
    pub handshakes_per_address: usize,
    /// Time for a handshake.
    pub handshake_ms: u64,
    /// Time from the handshake to CONNECT.
    pub connect_ms: u64,
    /// Time from a packet's first byte to its last.
    pub packet_ms: u64,
    /// Longest keep-alive, seconds.
    pub keep_alive_s: u16,
    /// Time for a client to read what it is sent.
    pub write_ms: u64,
    /// Largest packet of a meter.
    pub meter_packet_bytes: usize,
    /// Largest packet of a service or an operator.
    pub client_packet_bytes: usize,
    /// Filters a session may hold.
    pub subscriptions: usize,
    /// How often a session may be replaced by a newer one before its identity counts as contested.
    pub takeovers_per_minute: u64,
    /// How long each further one waits then.
    pub takeover_pause_ms: u64,
    /// How long the connection of a client that was refused stays open, unread, before it can come again.
    pub refusal_pause_ms: u64,
    /// How long an identity may stay over its rate before its session is cut, seconds.
    pub over_rate_s: u64,
    /// What a meter may send.
    pub meter: Rate,
    /// What a service may send.
    pub service: Rate,
    /// What an operator may send.
    pub operator: Rate,
    /// Messages waiting for one meter.
    pub down_queue: usize,
    /// Bytes waiting for one meter.
    pub down_queue_bytes: usize,
    /// Bytes waiting for all meters together.
    pub down_bytes: usize,
    /// Messages of QoS 1 on their way to one service or operator, 1 to 30,000.
    pub in_flight: u16,
    /// Last values kept for each of `state/` and `live/`, where a meter may have one for each of its channels.
    pub retained: usize,
    /// Bytes of them, again for each.
    pub retained_bytes: usize,
    /// Frames of one shard that its fastest processor may be behind, at most: see [`super::Config::shard_lag`].
    pub shard_lag: u64,
}

/// What an identity may send, whatever sessions it opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Packets a second for any length of time; acknowledgements of what the broker sent don't count.
    pub messages_per_s: u64,
    /// Packets at once, after a pause.
    pub messages_burst: u64,
    /// Bytes of packets a second.
    pub bytes_per_s: u64,
    /// Bytes at once, after a pause.
    pub bytes_burst: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            connections_per_identity: 4,
            clients: 64,
            handshakes: 1024,
            handshakes_per_address: 512,
            handshake_ms: 5000,
            connect_ms: 5000,
            packet_ms: 30_000,
            keep_alive_s: 1200,
            write_ms: 10_000,
            meter_packet_bytes: 8192,
            client_packet_bytes: 262_144,
            subscriptions: 128,
            takeovers_per_minute: 3,
            takeover_pause_ms: 1000,
            refusal_pause_ms: 1000,
            over_rate_s: 600,
            meter: Rate { messages_per_s: 100, messages_burst: 1000, bytes_per_s: 131_072, bytes_burst: 1_048_576 },
            service: Rate { messages_per_s: 200_000, messages_burst: 400_000, bytes_per_s: 67_108_864, bytes_burst: 67_108_864 },
            operator: Rate { messages_per_s: 20, messages_burst: 200, bytes_per_s: 262_144, bytes_burst: 1_048_576 },
            down_queue: 32,
            down_queue_bytes: 16_384,
            down_bytes: 67_108_864,
            in_flight: 1000,
            retained: 100_000,
            retained_bytes: 67_108_864,
            shard_lag: 96,
        }
    }
}

impl Limits {
    /// Values that would make no sense.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        range("limits.connections", count(self.connections), 1, 1_000_000)?;
        range("limits.connections_per_identity", count(self.connections_per_identity), 1, 1000)?;
        range("limits.clients", count(self.clients), 1, 1000)?;
        range("limits.handshakes", count(self.handshakes), 1, 1_000_000)?;
        range("limits.handshakes_per_address", count(self.handshakes_per_address), 1, 1_000_000)?;
        range("limits.handshake_ms", self.handshake_ms, 1, 3_600_000)?;
        range("limits.connect_ms", self.connect_ms, 1, 3_600_000)?;
        range("limits.packet_ms", self.packet_ms, 1, 3_600_000)?;
        range("limits.write_ms", self.write_ms, 1, 3_600_000)?;
        range("limits.keep_alive_s", self.keep_alive_s.into(), 1, 65_535)?;
        range("limits.meter_packet_bytes", count(self.meter_packet_bytes), 128, 268_435_455)?;
        range("limits.client_packet_bytes", count(self.client_packet_bytes), 128, 268_435_455)?;
        range("limits.subscriptions", count(self.subscriptions), 1, 10_000)?;
        range("limits.takeovers_per_minute", self.takeovers_per_minute, 1, 1_000_000)?;
        range("limits.takeover_pause_ms", self.takeover_pause_ms, 0, 60_000)?;
        range("limits.refusal_pause_ms", self.refusal_pause_ms, 0, 60_000)?;
        range("limits.over_rate_s", self.over_rate_s, 1, 31_536_000)?;
        self.meter.check([
            "limits.meter.messages_per_s",
            "limits.meter.messages_burst",
            "limits.meter.bytes_per_s",
            "limits.meter.bytes_burst",
        ])?;
        self.service.check([
            "limits.service.messages_per_s",
            "limits.service.messages_burst",
            "limits.service.bytes_per_s",
            "limits.service.bytes_burst",
        ])?;
        self.operator.check([
            "limits.operator.messages_per_s",
            "limits.operator.messages_burst",
            "limits.operator.bytes_per_s",
            "limits.operator.bytes_burst",
        ])?;
        range("limits.down_queue", count(self.down_queue), 1, 10_000)?;
        range("limits.down_queue_bytes", count(self.down_queue_bytes), 128, 268_435_455)?;
        range("limits.down_bytes", count(self.down_bytes), 128, 1 << 40)?;
        range("limits.in_flight", self.in_flight.into(), 1, 30_000)?;
        range("limits.retained_bytes", count(self.retained_bytes), 1, 1 << 40)?;
        range("limits.shard_lag", self.shard_lag, 1, u64::MAX)
    }
}

impl Rate {
    fn check(&self, [messages, messages_burst, bytes, bytes_burst]: [&'static str; 4]) -> Result<(), ConfigError> {
        // A burst at the lowest rate takes three centuries to refill: still a number of nanoseconds.
        let most = 10_000_000_000;
        range(messages, self.messages_per_s, 1, most)?;
        range(messages_burst, self.messages_burst, 1, most)?;
        range(bytes, self.bytes_per_s, 1, most)?;
        range(bytes_burst, self.bytes_burst, 1, most)
    }
}
