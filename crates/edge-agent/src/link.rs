//! One meter's MQTT connection: frames out, acknowledgements and commands in, again and again.
//!
//! rumqttc carries the packets of one connection and nothing beyond it: its queue of what an earlier connection left is not trusted,
//! for it drops it when the broker has forgotten the session, so each attempt gets a client of its own. What was on its way when a
//! connection broke is the brain's business: on each new one it goes back to the first record that was not acknowledged end to end.
//! PUBACK means that the broker heard, and nothing more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;
use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions, Outgoing, Packet, QoS, StateError};
use rumqttc::{SubscribeFilter, SubscribeReasonCode, TlsConfiguration, Transport};
use rustls::ClientConfig;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use wire::ack::{ACK_LEN_MAX, Ack};
use wire::command::COMMAND_LEN_MAX;
use wire::frame::FRAME_LEN_MAX;
use wire::topic::{TOPIC_LEN_MAX, Topic};

use crate::config::Broker;
use crate::input::{Inbox, What};
use crate::metrics::{Ended, LinkMetrics};

/// Frames between the brain and the connection: two windows, for what is sent again may meet what was sent before.
pub const QUEUE_FRAMES: usize = 16;
/// Publications that the broker may owe a PUBACK; never reached, for the brain's window is smaller.
const IN_FLIGHT: u16 = 64;
/// MQTT's own bytes around topic and payload.
const PACKET_OVERHEAD: usize = 16;
/// Longest time to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// What a link has to tell its brain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// A new connection, subscribed to acknowledgements.
    Connected,
    /// It is gone.
    Disconnected,
    /// The head-end acknowledged something.
    Ack(Ack),
    /// Bytes came on the topic of commands; nobody has looked at them.
    Command(Vec<u8>),
}

/// One meter's way to the broker.
pub struct Link {
    /// Certificate's common name and client id.
    pub meter: measure::MeterId,
    /// Where.
    pub broker: Broker,
    /// How.
    pub tls: Arc<ClientConfig>,
    /// Frames to publish, in order.
    pub frames: mpsc::Receiver<Vec<u8>>,
    /// Where events go; it waits while the brain is busy, and the connection with it.
    pub inbox: Inbox,
    /// Whether the meter listens to commands.
    pub obeys: bool,
    /// What is counted.
    pub metrics: LinkMetrics,
}

/// Why a connection ended.
enum End {
    /// We were told to stop.
    Stopped,
    /// Anything else, and what was said of it.
    Failed(Ended, String),
}

impl Link {
    /// Connects and connects again until `stop`; then publishes what waits and says goodbye.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(&self.broker);
        let mut told = None;
        while !stop.is_cancelled() {
            let began = Instant::now();
            let end = self.connection(&stop).await;
            let (reason, error) = match end {
                End::Stopped => return,
                End::Failed(reason, error) => (reason, error),
            };
            self.metrics.ended(reason);
            let wait = backoff.next(began.elapsed());
            tracing::debug!(meter = %self.meter, reason = reason.name(), error, ?wait, "connecting again");
            if told.replace(reason) != Some(reason) {
                // Once for each new reason; whose connection it is, the debug line above tells.
                tracing::warn!(
                    broker = self.broker.host,
                    port = self.broker.port,
                    reason = reason.name(),
                    error,
                    "no connection; rows wait"
                );
            }
            tokio::select! {
                () = sleep(wait) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// One attempt, and the connection if it succeeds.
    async fn connection(&mut self, stop: &CancellationToken) -> End {
        let (client, mut events) = self.client();
        let limit = Duration::from_secs(self.broker.connect_timeout_s);
        let opened = tokio::select! {
            opened = timeout(limit, self.open(&client, &mut events)) => opened,
            () = stop.cancelled() => return End::Stopped,
        };
        match opened {
            Ok(Ok(())) => {}
            Ok(Err(end)) => return end,
            Err(_) => return End::Failed(Ended::Timeout, "no answer in time".into()),
        }
        // What was meant for the connection before: the brain goes back anyway.
        while self.frames.try_recv().is_ok() {}
        self.metrics.connected.inc();
        self.inbox.tell(What::Link(LinkEvent::Connected)).await;
        let end = self.serve(&client, &mut events, stop).await;
        self.metrics.connected.dec();
        self.inbox.tell(What::Link(LinkEvent::Disconnected)).await;
        end
    }

    fn client(&self) -> (AsyncClient, EventLoop) {
        let mut options = MqttOptions::new(self.meter.as_str(), &self.broker.host, self.broker.port);
        options.set_keep_alive(Duration::from_secs(self.broker.keep_alive_s.into()));
        options.set_clean_session(true);
        options.set_inflight(IN_FLIGHT);
        let around = TOPIC_LEN_MAX.saturating_add(PACKET_OVERHEAD);
        options.set_max_packet_size(ACK_LEN_MAX.max(COMMAND_LEN_MAX).saturating_add(around), FRAME_LEN_MAX.saturating_add(around));
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(self.tls.clone())));
        let (client, mut events) = AsyncClient::new(options, QUEUE_FRAMES.saturating_mul(2));
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(self.broker.connect_timeout_s);
        events.set_network_options(network);
        (client, events)
    }

    /// Connects and subscribes. Only then can an acknowledgement come back, so nothing is published before.
    async fn open(&self, client: &AsyncClient, events: &mut EventLoop) -> Result<(), End> {
        loop {
            match events.poll().await.map_err(|error| failed(&error))? {
                Event::Incoming(Packet::ConnAck(_)) => {
                    // The new client's queue is empty, so it has room.
                    client.try_subscribe_many(self.topics()).map_err(|error| End::Failed(Ended::Protocol, error.to_string()))?;
                }
                Event::Incoming(Packet::SubAck(answer)) => {
                    let refused = answer.return_codes.iter().any(|code| matches!(code, SubscribeReasonCode::Failure));
                    let topics = || self.topics().map(|it| it.path).collect::<Vec<_>>().join(" and ");
                    return if refused { Err(End::Failed(Ended::Refused, format!("may not subscribe to {}", topics()))) } else { Ok(()) };
                }
                _ => {}
            }
        }
    }

    /// What it listens to.
    fn topics(&self) -> impl Iterator<Item = SubscribeFilter> {
        let topics = [Some(Topic::down(&self.meter)), self.obeys.then(|| Topic::command(&self.meter))];
        topics.into_iter().flatten().map(|topic| SubscribeFilter::new(topic.to_string(), QoS::AtLeastOnce))
    }

    /// Until the connection breaks, or `stop`. A `poll` that has begun is always finished: dropping it could cut a packet in two.
    async fn serve(&mut self, client: &AsyncClient, events: &mut EventLoop, stop: &CancellationToken) -> End {
        let up = Topic::up(&self.meter).to_text();
        let mut goodbye: Option<Instant> = None;
        loop {
            let mut poll = std::pin::pin!(events.poll());
            let event = loop {
                tokio::select! {
                    event = &mut poll => break event,
                    frame = self.frames.recv(), if goodbye.is_none() => match frame {
                        Some(frame) => self.publish(client, up.as_str(), frame),
                        None => stop.cancel(),
                    },
                    () = stop.cancelled(), if goodbye.is_none() => {
                        goodbye = Some(Instant::now());
                        while let Ok(frame) = self.frames.try_recv() {
                            self.publish(client, up.as_str(), frame);
                        }
                        let _ = client.try_disconnect();
                    }
                    () = sleep(GOODBYE), if goodbye.is_some() => return End::Stopped,
                }
            };
            match event {
                Ok(Event::Incoming(Packet::Publish(publish))) if publish.topic.ends_with("/cmd") => {
                    self.inbox.tell(What::Link(LinkEvent::Command(publish.payload.to_vec()))).await;
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => self.handle_down(&publish.payload).await,
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return End::Stopped,
                Ok(_) => {}
                Err(_) if goodbye.is_some() => return End::Stopped,
                Err(error) => return failed(&error),
            }
        }
    }

    async fn handle_down(&self, payload: &[u8]) {
        match Ack::decode(payload) {
            Ok(ack) => self.inbox.tell(What::Link(LinkEvent::Ack(ack))).await,
            Err(error) => {
                self.metrics.bad_acks.inc();
                tracing::debug!(meter = %self.meter, %error, "acknowledgement cannot be read");
            }
        }
    }

    fn publish(&self, client: &AsyncClient, topic: &str, frame: Vec<u8>) {
        match client.try_publish(topic, QoS::AtLeastOnce, false, frame) {
            Ok(()) => self.metrics.frames.inc(),
            // The broker does not keep up; the brain sends it again when no acknowledgement comes.
            Err(_) => self.metrics.frames_dropped.inc(),
        };
    }
}

fn failed(error: &ConnectionError) -> End {
    let reason = match error {
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout | ConnectionError::MqttState(StateError::AwaitPingResp) => {
            Ended::Timeout
        }
        ConnectionError::Tls(_) => Ended::Tls,
        ConnectionError::ConnectionRefused(_) => Ended::Refused,
        ConnectionError::Io(_) | ConnectionError::MqttState(StateError::Io(_) | StateError::ConnectionAborted) => Ended::Network,
        _ => Ended::Protocol,
    };
    End::Failed(reason, error.to_string())
}

/// Full jitter: the wait is drawn from zero to a bound that doubles, so that meters that lost their broker together spread out.
struct Backoff {
    first: Duration,
    max: Duration,
    bound: Duration,
}

/// A connection that lasted so many times the first bound was a good one.
const GOOD_TIMES: u32 = 10;

impl Backoff {
    fn new(broker: &Broker) -> Self {
        let first = Duration::from_millis(broker.reconnect_first_ms);
        Self { first, max: Duration::from_millis(broker.reconnect_max_ms), bound: first }
    }

    fn next(&mut self, lasted: Duration) -> Duration {
        if lasted >= self.first.saturating_mul(GOOD_TIMES) {
            self.bound = self.first;
        }
        let wait = self.bound.mul_f64(rand::rng().random::<f64>());
        self.bound = self.bound.saturating_mul(2).min(self.max);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_spread_from_nothing_to_a_bound_that_doubles() {
        let broker = Broker { reconnect_first_ms: 1_000, reconnect_max_ms: 300_000, ..Broker::at("x", 1, "y") };
        let mut longest = [Duration::ZERO; 12];
        for _ in 0..200 {
            let mut backoff = Backoff::new(&broker);
            for (attempt, longest) in longest.iter_mut().enumerate() {
                let bound = Duration::from_secs(1 << attempt).min(Duration::from_secs(300));
                let wait = backoff.next(Duration::ZERO);
                assert!(wait <= bound, "attempt {attempt}: {wait:?}");
                *longest = wait.max(*longest);
            }
        }
        for (attempt, longest) in longest.iter().enumerate() {
            assert!(*longest >= Duration::from_secs(1 << attempt).min(Duration::from_secs(300)) / 2, "attempt {attempt}: {longest:?}");
        }
    }

    #[test]
    fn a_good_connection_starts_over() {
        let broker = Broker { reconnect_first_ms: 10, reconnect_max_ms: 1_000_000, ..Broker::at("x", 1, "y") };
        let mut backoff = Backoff::new(&broker);
        for _ in 0..10 {
            backoff.next(Duration::ZERO);
        }
        assert!(backoff.next(Duration::from_millis(100)) <= Duration::from_millis(10));
    }
}
