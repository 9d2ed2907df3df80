//! Why something was refused, why a session ended, why a message was dropped: every label of the counters, in one list.
//!
//! What a client sees of each is the table in `docs/gate-limits.md`; a test holds the two together.

/// What a reason is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// `ferraris_broker_refused_total`: a connection, a packet or a subscription. What ends a session stands in the next one too.
    Refused,
    /// `ferraris_broker_sessions_ended_total`; before CONNACK, in the one above.
    Ended,
    /// `ferraris_broker_dropped_total`: a message that was accepted.
    Dropped,
}

macro_rules! reasons {
    ($($counted:ident { $($(#[doc = $doc:literal])+ $name:ident = $label:literal,)+ })+) => {
        /// A reason.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($($(#[doc = $doc])+ $name,)+)+
        }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &[Self] = &[$($(Self::$name,)+)+];

            /// Its name in metrics and in `state/{meter}`.
            pub const fn label(self) -> &'static str {
                match self {
                    $($(Self::$name => $label,)+)+
                }
            }

            /// Where it is counted.
            pub const fn counted(self) -> Counted {
                match self {
                    $($(Self::$name => Counted::$counted,)+)+
                }
            }
        }
    };
}

reasons! {
    Refused {
        /// The system gave no socket, for want of descriptors mostly.
        Accept = "accept",
        /// No place for another connection.
        Connections = "connections",
        /// No place for another handshake.
        Handshakes = "handshakes",
        /// No place for another handshake from this address.
        HandshakesPerAddress = "handshakes_per_address",
        /// No place for another connection of this identity.
        ConnectionsPerIdentity = "connections_per_identity",
        /// No place for another service or operator.
        Clients = "clients",

        /// The handshake took too long.
        TlsTimeout = "tls_timeout",
        /// The peer went away during the handshake.
        TlsConnectionLost = "tls_connection_lost",
        /// Bytes that are not TLS.
        TlsNotTls = "tls_not_tls",
        /// No common version or suite, or one that lacks what is required.
        TlsTooOld = "tls_too_old",
        /// Something else went wrong in the handshake.
        TlsHandshake = "tls_handshake",
        /// The client showed no certificate.
        TlsNoCertificate = "tls_no_certificate",
        /// Signed by none of our authorities.
        TlsUnknownIssuer = "tls_unknown_issuer",
        /// The certificate's time is over.
        TlsExpired = "tls_expired",
        /// The certificate's time has not begun.
        TlsNotValidYet = "tls_not_valid_yet",
        /// The certificate was revoked.
        TlsRevoked = "tls_revoked",
        /// No revocation list of the certificate's authority.
        TlsRevocationUnknown = "tls_revocation_unknown",
        /// The revocation list is past its own end.
        TlsCrlExpired = "tls_crl_expired",
        /// The certificate is not for clients.
        TlsPurpose = "tls_purpose",
        /// Something else is wrong with the certificate.
        TlsCertificate = "tls_certificate",
        /// A resumed session's certificate is past its time.
        Expired = "expired",
        /// The revocation list is past its own end, for a session that resumes.
        CrlExpired = "crl_expired",

        /// A WebSocket for someone who is no operator.
        WebsocketRole = "websocket_role",
        /// A WebSocket from a page of an origin that is not configured.
        WebsocketOrigin = "websocket_origin",
        /// No upgrade to WebSocket with the subprotocol `mqtt` at `/mqtt`, or not in time.
        WebsocketUpgrade = "websocket_upgrade",

        /// The first packet was not CONNECT.
        NotConnected = "not_connected",
        /// CONNECT came again.
        SecondConnect = "second_connect",
        /// The certificate names nobody.
        CertificateSubject = "certificate_subject",
        /// The client identifier is not the certificate's name.
        ClientId = "client_id",
        /// A last will.
        Will = "will",
        /// No keep-alive.
        KeepAliveZero = "keep_alive_zero",

        /// A packet type that no client sends here.
        PacketType = "packet_type",
        /// Flags that the packet type does not have.
        PacketFlags = "packet_flags",
        /// A remaining length of more than four bytes.
        LengthEncoding = "length_encoding",
        /// A packet over the limit.
        PacketTooLarge = "packet_too_large",
        /// A field beyond its packet's end.
        PacketTruncated = "packet_truncated",
        /// Bytes behind the last field.
        TrailingBytes = "trailing_bytes",
        /// A text that is not UTF-8 or holds U+0000.
        Text = "text",
        /// Another protocol's name.
        ProtocolName = "protocol_name",
        /// Another version of MQTT.
        ProtocolLevel = "protocol_level",
        /// Connect flags that contradict each other.
        ConnectFlags = "connect_flags",
        /// Packet identifier 0.
        PacketIdZero = "packet_id_zero",
        /// Quality of service 3.
        Qos3 = "qos_3",
        /// Quality of service 2.
        Qos2 = "qos_2",
        /// SUBSCRIBE or UNSUBSCRIBE without a filter.
        NoFilter = "no_filter",
        /// An empty topic or filter.
        TopicEmpty = "topic_empty",
        /// A topic with a character that no topic here has.
        TopicCharacter = "topic_character",

        /// No topic or filter of this system.
        TopicUnknown = "topic_unknown",
        /// Another meter's topic.
        TopicForeign = "topic_foreign",
        /// Another role's topic.
        TopicRole = "topic_role",
        /// A retained message where none may be.
        Retain = "retain",
        /// More filters than a session may hold.
        Subscriptions = "subscriptions",
        /// Too many packets for too long. While it is only slowed down, in `ferraris_broker_slowed_total`.
        RateMessages = "rate_messages",
        /// Too many bytes for too long; likewise.
        RateBytes = "rate_bytes",
        /// A packet that did not end in time.
        PacketStalled = "packet_stalled",
        /// An acknowledgement that nobody waits for.
        PubackUnasked = "puback_unasked",
    }
    Ended {
        /// DISCONNECT.
        Disconnected = "disconnected",
        /// The connection broke or was closed without DISCONNECT.
        ConnectionLost = "connection_lost",
        /// No CONNECT in time.
        NoConnect = "no_connect",
        /// No packet for one and a half times the keep-alive.
        KeepAlive = "keep_alive",
        /// The peer does not read.
        WriteStalled = "write_stalled",
        /// The certificate's time ran out during the session.
        CertificateExpired = "certificate_expired",
        /// A newer session of the same identity.
        TakenOver = "taken_over",
        /// The certificate was revoked.
        Revoked = "revoked",
        /// The certificate's authority is trusted no more.
        AuthorityWithdrawn = "authority_withdrawn",
        /// The broker stops.
        Shutdown = "shutdown",
        /// The router is dead, and the broker with it.
        RouterGone = "router_gone",
    }
    Dropped {
        /// For a meter that has no session.
        MeterOffline = "meter_offline",
        /// For a meter that did not subscribe.
        NotSubscribed = "not_subscribed",
        /// The oldest in a meter's full queue.
        DownQueue = "down_queue",
        /// Larger than a meter's whole queue.
        DownTooLarge = "down_too_large",
        /// No room for what waits for all meters together.
        DownMemory = "down_memory",
        /// A batch of acknowledgements with a wrong length, first byte or checksum.
        AcksDamaged = "acks_damaged",
        /// A batch of acknowledgements of a version that is unknown here.
        AcksVersion = "acks_version",
        /// A batch of acknowledgements whose entries can't be read.
        AcksForm = "acks_form",
        /// A batch of acknowledgements with a meter of another shard.
        AcksForeign = "acks_foreign",
        /// The oldest that a slow service or operator had not taken.
        SlowReader = "slow_reader",
        /// No place for another meter's live value.
        LiveFull = "live_full",
        /// No place for another meter's presence, here or at another gate.
        StateFull = "state_full",
        /// What a service passes on of another gate's `state/` can't be read.
        StateForm = "state_form",
        /// Presence that the router did not take.
        StateRouterBusy = "state_router_busy",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn labels_are_distinct_and_plain() {
        let labels: HashSet<&str> = Reason::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(labels.len(), Reason::ALL.len());
        assert!(labels.iter().all(|label| label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')));
    }
}
