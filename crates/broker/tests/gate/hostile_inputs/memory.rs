//! What fills other brokers' memory for good, against the program itself. Each attack is played twice with other names: the second time
//! must not add to what the first one left (buffers, and logs that fill up to their bound).

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use pki::{Authority, IssueOptions, Role};
use rustls::ClientConfig;
use tokio::net::TcpSocket;

use crate::program::Program;
use crate::support::{Client, client_config, configuration, connect_packet, down, packet, publish_packet, subscribe_packet, up};

/// What a second attack may add, bytes: allocators keep something of what was needed for a moment.
const ADDED_MAX: u64 = 3 << 20;

struct Victim {
    program: Program,
    authority: Authority,
    _dir: tempfile::TempDir,
}

impl Victim {
    /// Nobody is slowed down: what is kept is looked at, not how fast it may come. The router's logs are full soon.
    fn start() -> Self {
        Self::with("")
    }

    fn with(limits: &str) -> Self {
        let (dir, authority, _) = configuration();
        let changes = "[limits.meter]
messages_per_s = 1000000
messages_burst = 1000000
bytes_per_s = 1000000000
bytes_burst = 1000000000
\
                       [router]
segment_bytes = 16384
";
        Self { program: Program::start(dir.path(), &format!("[limits]\nrefusal_pause_ms = 0\n{limits}{changes}")), authority, _dir: dir }
    }

    fn address(&self) -> SocketAddr {
        self.program.mqtts
    }

    fn credentials(&mut self, name: &str, role: Role) -> Arc<ClientConfig> {
        let issued = self.authority.issue(name, role, &IssueOptions::default()).unwrap();
        client_config(&self.authority.ca_path(), &issued.certificate, &issued.key)
    }

    async fn client(&mut self, name: &str, role: Role) -> Client {
        let mut client = Client::tls(self.address(), self.credentials(name, role)).await.unwrap();
        client.connect(name).await;
        client
    }

    /// Memory in use, bytes.
    fn rss(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.program.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    fn keeps_little(&self, before: u64, what: &str) {
        let added = self.rss().saturating_sub(before);
        assert!(added < ADDED_MAX, "{what}: {added} bytes added");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn distinct_topics_filters_and_names_are_not_kept() {
    let mut victim = Victim::start();
    let mut service = victim.client("p1", Role::Service).await;
    let meter = victim.credentials("m1", Role::Meter);
    strangers(&victim, &meter, "a").await;
    many_names(&mut service, "a").await;
    let before = victim.rss();
    strangers(&victim, &meter, "b").await;
    many_names(&mut service, "b").await;
    victim.keeps_little(before, "distinct topics, filters and client identifiers");
}

/// Topics and client identifiers that are not its own; each ends its connection.
async fn strangers(victim: &Victim, meter: &Arc<ClientConfig>, letter: &str) {
    for first in (0..10_000).step_by(1000) {
        let mut client = Client::tls(victim.address(), meter.clone()).await.unwrap();
        client.connect("m1").await;
        let frame = |number| publish_packet(&format!("f1/00/{letter}{number}/up"), b"x", None, false);
        let _ = client.try_send(&(first..first + 1000).flat_map(frame).collect::<Vec<u8>>()).await;
        client.is_closed().await;
    }
    for number in 0..100 {
        let mut client = Client::tls(victim.address(), meter.clone()).await.unwrap();
        client.send(&connect_packet(&format!("{letter}-{number}"), 60)).await;
        assert_eq!(client.next().await.body, [0, 2]);
    }
}

/// A service may name any meter: many topics and many filters, none of which stays.
async fn many_names(service: &mut Client, letter: &str) {
    for number in 0..20_000 {
        service.publish(&down(&format!("{letter}{number}")), b"x", None, false).await;
    }
    service.is_quiet().await;
    for pkid in 1..=100_u16 {
        let filters: Vec<String> = (0..100).map(|n| format!("f1/+/{letter}{}/up", u32::from(pkid) * 100 + n)).collect();
        let filters: Vec<(&str, u8)> = filters.iter().map(|filter| (filter.as_str(), 1)).collect();
        service.send(&subscribe_packet(pkid, &filters)).await;
        assert_eq!(service.next().await.first, 0x90);
        let names = filters.iter().flat_map(|(filter, _)| crate::support::text(filter.as_bytes())).collect::<Vec<u8>>();
        service.send(&packet(0xa2, &[&pkid.to_be_bytes()[..], &names].concat())).await;
        assert_eq!(service.next().await.first, 0xb0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_that_nobody_takes_are_not_kept() {
    let mut victim = Victim::start();
    let (mut deaf, mut service) = (victim.client("deaf", Role::Meter).await, victim.client("p1", Role::Service).await);
    assert_eq!(deaf.subscribe(1, &[(&down("deaf"), 0)]).await, [0]);
    let mut meter = victim.client("m1", Role::Meter).await;
    let mut before = 0;
    for round in ["first", "second"] {
        before = victim.rss();
        // Frames without a processor, 40 MB in all: a shard's log has its bound.
        let frame = publish_packet(&up("m1"), &[0; 8000], None, false);
        for _ in 0..5000 {
            meter.send(&frame).await;
        }
        meter.is_quiet().await;
        // QoS 2 that is never completed, and retained frames: refused at the first.
        for first in [0x34, 0x31] {
            let mut client = victim.client(&format!("{round}-{first}"), Role::Meter).await;
            let packet = packet(first, &[&crate::support::text(b"f1/00/x/up")[..], b"\0\x01", &[0; 8000]].concat());
            let _ = client.try_send(&packet.repeat(1000)).await;
            client.is_closed().await;
        }
        // Acknowledgements to a meter that doesn't read: its queue has a bound.
        for _ in 0..2000 {
            service.publish(&down("deaf"), &[0; 8000], None, false).await;
        }
        service.is_quiet().await;
    }
    victim.keeps_little(before, "large messages");
}

/// A declared length is not memory: fifty sessions that each promise the largest packet and send its head.
#[tokio::test(flavor = "multi_thread")]
async fn promised_lengths_are_not_reserved() {
    let mut victim = Victim::start();
    let mut clients = Vec::new();
    let before = victim.rss();
    for number in 0..50 {
        let mut client = victim.client(&format!("p{number}"), Role::Service).await;
        client.send(&[0x30, 0xff, 0xff, 0x0f, 0, 6]).await;
        clients.push(client);
    }
    victim.keeps_little(before, "promised lengths");
}

/// Meters that do the most they can: most of a packet that never ends, and a queue that is full because they don't read.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_meters_cost_no_more_than_their_limits() {
    const METERS: u64 = 60;
    let mut victim = Victim::with("packet_ms = 600000\nwrite_ms = 600000\n");
    let mut service = victim.client("p1", Role::Service).await;
    let before = victim.rss();
    let mut meters = Vec::new();
    for number in 0..METERS {
        let name = format!("m{number}");
        // So that the broker's side is full soon.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let socket = socket.connect(victim.address()).await.unwrap();
        let mut meter = Client::over(socket, victim.credentials(&name, Role::Meter)).await.unwrap();
        meter.connect(&name).await;
        assert_eq!(meter.subscribe(1, &[(&down(&name), 0)]).await, [0]);
        meter.send(&publish_packet(&up(&name), &[0; 8100], None, false)[..8100]).await;
        meters.push(meter);
    }
    for _ in 0..100 {
        for number in 0..METERS {
            service.publish(&down(&format!("m{number}")), &[0; 8000], None, false).await;
        }
    }
    service.is_quiet().await;
    let each = victim.rss().saturating_sub(before) / METERS;
    // docs/gate-limits.md, “Memory in the worst case”.
    assert!(each < 200 * 1024, "{each} bytes for each");
}
