//! The connections to the MQTT brokers: frames in. What goes out is in [`links`](crate::links).
//!
//! Each broker has a connection and a task of its own, so that none waits for another that is slow or away. What MQTT itself acknowledges
//! means nothing here: a frame that is lost between broker and worker comes again, because only the commit answers it. So sessions are
//! clean, and publishing is QoS 0. A link subscribes to the shards of the partitions that take frames. It also hears `state/` of each gate:
//! for commands that wait for their meters, and with several gates to pass it on to the others, where a meter that moved has its older
//! session closed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use contracts::StateValue;
use contracts::state::Presence;
use measure::MeterId;
use rumqttc::{
    AsyncClient, Event, EventLoop, MqttOptions, Packet, Publish, QoS, SubscribeFilter, SubscribeReasonCode, TlsConfiguration, Transport,
};
use tokio::sync::watch;
use wire::frame::FRAME_LEN_MAX;
use wire::topic::{STATE_ALL, Shard, Topic, up_filter};

use crate::commands::Heralds;
use crate::config::{Mqtt, Scheme, Server};
use crate::links::{Links, Sender};
use crate::metrics::{BrokerMetrics, Dropped, Metrics};
use crate::routes::{Frame, Routes};
use crate::tls::{self, TlsError};

/// Requests that wait for a connection; more are given up.
const REQUESTS_MAX: usize = 4_096;
/// Longest packet accepted: a frame with its topic, with room to tell that something longer is no frame.
const PACKET_LEN_MAX: usize = 4 * FRAME_LEN_MAX;
/// How long a frame waits for room in a partition's queue before the link goes on with other partitions.
const QUEUE_WAIT: Duration = Duration::from_millis(50);

/// The receiving side of one link.
pub struct Link {
    number: usize,
    server: Server,
    client: AsyncClient,
    eventloop: EventLoop,
    backoff: Backoff,
    /// Counts connections; 0 while there is none.
    connection: watch::Sender<u64>,
    counted: BrokerMetrics,
}

/// One link per server of the configuration. Nothing is connected yet.
pub fn links(config: &Mqtt, metrics: &Metrics) -> Result<(Links, Vec<Link>), TlsError> {
    let tls = if config.servers.iter().any(Server::has_tls) { Some(tls::client(config)?) } else { None };
    let links: Vec<Link> = config
        .servers
        .iter()
        .enumerate()
        .map(|(number, server)| {
            let mut options = MqttOptions::new(&config.client_id, &server.host, server.port);
            options.set_clean_session(true).set_keep_alive(config.keep_alive()).set_max_packet_size(PACKET_LEN_MAX, PACKET_LEN_MAX);
            options.set_pending_throttle(Duration::ZERO);
            if let Some(tls) = tls.as_ref().filter(|_| server.has_tls()) {
                options.set_transport(Transport::Tls(TlsConfiguration::Rustls(Arc::clone(tls))));
            }
            let (client, mut eventloop) = AsyncClient::new(options, REQUESTS_MAX);
            eventloop.network_options.set_tcp_nodelay(true);
            let backoff = Backoff { min_ms: config.reconnect_min_ms, max_ms: config.reconnect_max_ms, next_ms: config.reconnect_min_ms };
            let counted = metrics.of_broker(&server.to_string());
            Link { number, server: server.clone(), client, eventloop, backoff, connection: watch::Sender::new(0), counted }
        })
        .collect();
    Ok((Links::new(links.iter().map(Link::sender).collect()), links))
}

impl Link {
    fn sender(&self) -> Sender {
        Sender {
            client: self.client.clone(),
            is_gate: self.server.scheme == Scheme::Gate,
            connection: self.connection.subscribe(),
            metrics: self.counted.clone(),
        }
    }

    /// Keeps the connection up, hands frames to `routes` and tells `heralds` of meters that come online, until the link is disconnected on
    /// purpose or the task is aborted.
    pub async fn run(mut self, routes: Arc<Routes>, links: Links, heralds: Option<Arc<Heralds>>, metrics: Metrics) {
        let hears_state = heralds.is_some() || links.has_several_gates();
        let arrivals = (self.server.scheme == Scheme::Gate && hears_state).then(|| links.arrivals());
        // Our gate waits for a slow reader by itself, and what is lost all the same comes again: an answer to each frame would be for nothing.
        // Other brokers drop what a slow reader did not ask to have acknowledged.
        let qos = if self.server.scheme == Scheme::Gate { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        let subscriber = subscribe(self.client.clone(), qos, Arc::clone(&routes), self.connection.subscribe(), arrivals);
        tokio::select! {
            () = subscriber => {}
            () = self.receive(&routes, &links, heralds.as_deref(), &metrics) => {}
        }
    }

    async fn receive(&mut self, routes: &Routes, links: &Links, heralds: Option<&Heralds>, metrics: &Metrics) {
        let mut connections = 0_u64;
        let mut blocked = BTreeSet::new();
        loop {
            let problem = match self.eventloop.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    tracing::info!(server = %self.server, "connected");
                    metrics.brokers_connected.inc();
                    self.counted.connected.set(1);
                    connections = connections.saturating_add(1);
                    self.connection.send_replace(connections);
                    if self.server.scheme == Scheme::Gate {
                        links.gate_arrived();
                    }
                    continue;
                }
                Ok(Event::Incoming(Packet::Publish(publish))) if publish.topic.starts_with("state/") => {
                    match publish.topic.parse() {
                        Ok(topic) => {
                            links.pass_on(self.number, &topic, &publish.payload, metrics);
                            if let (Some(heralds), Some(meter)) = (heralds, came_online(&publish.payload)) {
                                heralds.online(meter);
                            }
                        }
                        Err(_) => metrics.dropped(Dropped::BadTopic),
                    }
                    continue;
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    self.counted.frames_received.inc();
                    route(self.number, &publish, routes, &mut blocked, metrics).await;
                    continue;
                }
                Ok(Event::Incoming(Packet::SubAck(answer))) if !answer.return_codes.contains(&SubscribeReasonCode::Failure) => {
                    self.backoff.reset();
                    continue;
                }
                Ok(Event::Incoming(Packet::SubAck(_))) => {
                    self.eventloop.clean();
                    "it refuses the subscription to meters' frames; is the certificate's role service, and the access list right?"
                        .to_owned()
                }
                // A connection that lasts is a good one, subscriptions or not.
                Ok(Event::Incoming(Packet::PingResp)) => {
                    self.backoff.reset();
                    continue;
                }
                Ok(Event::Outgoing(rumqttc::Outgoing::Disconnect)) => return,
                Ok(_) => continue,
                Err(error) => error.to_string(),
            };
            if self.connection.send_replace(0) > 0 {
                metrics.brokers_connected.dec();
                self.counted.connected.set(0);
            }
            let pause = self.backoff.next();
            tracing::warn!(server = %self.server, problem, retry_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX), "no connection");
            tokio::time::sleep(pause).await;
        }
    }
}

/// The meter that a state says is online.
fn came_online(state: &[u8]) -> Option<MeterId> {
    let state: StateValue = serde_json::from_slice(state).ok()?;
    (state.state == Presence::Online).then_some(state.meter)
}

/// Hands a frame to its partition's queue. While that is full, frames of the partition are dropped without waiting.
async fn route(link: usize, publish: &Publish, routes: &Routes, blocked: &mut BTreeSet<i32>, metrics: &Metrics) {
    let Ok(Topic::Up { meter, .. }) = publish.topic.parse() else {
        metrics.dropped(Dropped::BadTopic);
        return;
    };
    let Some((partition, queue)) = routes.queue(&meter) else {
        metrics.dropped(Dropped::NotOwned);
        return;
    };
    // Copied, because the payload is a slice of a larger read buffer and would keep all of it.
    let frame = Frame { meter, payload: publish.payload.to_vec(), link };
    let frame = match queue.try_send(frame) {
        Ok(()) => {
            blocked.remove(&partition);
            return;
        }
        Err(flume::TrySendError::Full(frame)) if !blocked.contains(&partition) => frame,
        Err(flume::TrySendError::Full(_)) => {
            metrics.dropped(Dropped::QueueFull);
            return;
        }
        Err(flume::TrySendError::Disconnected(_)) => {
            metrics.dropped(Dropped::NotOwned);
            return;
        }
    };
    if !matches!(tokio::time::timeout(QUEUE_WAIT, queue.send_async(frame)).await, Ok(Ok(()))) {
        blocked.insert(partition);
        metrics.dropped(Dropped::QueueFull);
    }
}

/// Keeps the subscriptions of each connection equal to the shards of the partitions that take frames. With `arrivals` it asks for all
/// `state/` as well, and again whenever a gate arrives, because that one has not heard what there is.
async fn subscribe(
    client: AsyncClient,
    qos: QoS,
    routes: Arc<Routes>,
    mut connection: watch::Receiver<u64>,
    mut arrivals: Option<watch::Receiver<u64>>,
) {
    let mut owned = routes.owned();
    let (mut subscribed, mut of_connection, mut told) = (BTreeSet::new(), 0, 0);
    loop {
        let current = *connection.borrow_and_update();
        if current != of_connection {
            subscribed.clear();
            of_connection = current;
        }
        let wanted = routes.shards(&owned.borrow_and_update());
        if current > 0 && change(&client, qos, &subscribed, &wanted).await.is_ok() {
            subscribed = wanted;
        }
        let arrived = arrivals.as_mut().map_or(0, |arrivals| *arrivals.borrow_and_update());
        if current > 0 && arrived != told && client.subscribe(STATE_ALL, QoS::AtMostOnce).await.is_ok() {
            told = arrived;
        }
        let changed = tokio::select! {
            changed = owned.changed() => changed,
            changed = connection.changed() => changed,
            changed = next_arrival(&mut arrivals) => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

async fn next_arrival(arrivals: &mut Option<watch::Receiver<u64>>) -> Result<(), watch::error::RecvError> {
    match arrivals {
        Some(arrivals) => arrivals.changed().await,
        None => std::future::pending().await,
    }
}

async fn change(
    client: &AsyncClient,
    qos: QoS,
    subscribed: &BTreeSet<Shard>,
    wanted: &BTreeSet<Shard>,
) -> Result<(), rumqttc::ClientError> {
    let filter = |shard: &Shard| up_filter(*shard).to_string();
    for shard in subscribed.difference(wanted) {
        client.unsubscribe(filter(shard)).await?;
    }
    let new: Vec<_> = wanted.difference(subscribed).map(|shard| SubscribeFilter::new(filter(shard), qos)).collect();
    if new.is_empty() { Ok(()) } else { client.subscribe_many(new).await }
}

/// Doubling pauses with full jitter, so that a fleet of clients does not come back at once.
struct Backoff {
    min_ms: u64,
    max_ms: u64,
    next_ms: u64,
}

impl Backoff {
    fn next(&mut self) -> Duration {
        let ceiling = self.next_ms.clamp(1, self.max_ms.max(1));
        self.next_ms = ceiling.saturating_mul(2);
        Duration::from_millis(rand::random_range(ceiling.div_ceil(2)..=ceiling))
    }

    const fn reset(&mut self) {
        self.next_ms = self.min_ms;
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test]
    async fn a_full_partition_holds_the_link_once_and_then_only_drops() {
        let (routes, metrics, mut blocked) = (Routes::new(1), Metrics::new(), BTreeSet::new());
        let (sender, frames) = flume::bounded(1);
        routes.open(0, sender);
        let topic = Topic::up(&"M1".parse().unwrap()).to_string();
        let publish = Publish::new(&topic, QoS::AtLeastOnce, vec![1]);
        for expected in [0, 1] {
            route(7, &publish, &routes, &mut blocked, &metrics).await;
            assert_eq!(metrics.dropped_count(Dropped::QueueFull), expected);
        }
        for _ in 0..100 {
            let routed = std::pin::pin!(route(7, &publish, &routes, &mut blocked, &metrics)).poll(&mut Context::from_waker(Waker::noop()));
            assert!(routed.is_ready(), "frames of a full partition wait one after the other");
        }
        assert_eq!(metrics.dropped_count(Dropped::QueueFull), 101);
        assert_eq!(frames.recv().unwrap().link, 7);
        route(7, &publish, &routes, &mut blocked, &metrics).await;
        assert!(frames.try_recv().is_ok() && blocked.is_empty());
    }

    #[tokio::test]
    async fn other_topics_and_other_partitions_are_dropped_and_counted() {
        let (routes, metrics, mut blocked) = (Routes::new(4), Metrics::new(), BTreeSet::new());
        for (topic, reason) in [("live/M1", Dropped::BadTopic), ("f1/00/M1/up", Dropped::BadTopic)] {
            let before = metrics.dropped_count(reason);
            route(0, &Publish::new(topic, QoS::AtLeastOnce, vec![1]), &routes, &mut blocked, &metrics).await;
            assert_eq!(metrics.dropped_count(reason), before + 1, "{topic}");
        }
        let up = Topic::up(&"M1".parse().unwrap()).to_string();
        route(0, &Publish::new(up, QoS::AtLeastOnce, vec![1]), &routes, &mut blocked, &metrics).await;
        assert_eq!(metrics.dropped_count(Dropped::NotOwned), 1);
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_vary() {
        let mut backoff = Backoff { min_ms: 10, max_ms: 40, next_ms: 10 };
        for ceiling in [10, 20, 40, 40] {
            let pause = backoff.next();
            assert!(pause >= Duration::from_millis(ceiling / 2) && pause <= Duration::from_millis(ceiling), "{pause:?} {ceiling}");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(10));
    }
}
