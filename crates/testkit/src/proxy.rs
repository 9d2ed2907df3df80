//! A TCP proxy that does to connections what networks do: cut, delay, stall, leave half open. What is random comes from a seed.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What happens to the connections through the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: bytes pass as they come.
    None,
    /// Each piece of data waits for a random time from the range before it goes on, in order.
    Delay(Range<Duration>),
    /// Connections stay open and nothing passes, as when a cable is pulled; what waits goes on when the fault ends.
    Stall,
    /// The server's end is gone and the client does not know: what it sends is swallowed. When the fault ends the client's end is reset.
    HalfOpen,
    /// Connections made from now on are reset after a random number of bytes from the range, both directions together.
    CutAfter(Range<u64>),
    /// Connections are reset, new ones at once.
    Refuse,
}

/// Connections at once; one more is reset.
const CONNECTIONS_MAX: usize = 1024;
/// What is read at once and, delayed, held in memory, per direction of a connection.
const PIECE_LEN_MAX: usize = 16 * 1024;

/// A proxy in front of one server. Gone, with its connections, when dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    fault: watch::Sender<Fault>,
    upstream: watch::Sender<SocketAddr>,
    cuts: watch::Sender<u64>,
    accepted: AtomicU64,
    seed: u64,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and passes connections on to `upstream`.
    pub async fn start(upstream: SocketAddr, seed: u64) -> anyhow::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot bind the proxy")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            fault: watch::Sender::new(Fault::None),
            upstream: watch::Sender::new(upstream),
            cuts: watch::Sender::new(0),
            accepted: AtomicU64::new(0),
            seed,
        });
        eprintln!("proxy {address} -> {upstream}, seed {seed}");
        Ok(Proxy { address, accepting: tokio::spawn(accept(listener, shared.clone())), shared })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what happens, from now on, to connections that are there and new ones.
    pub fn set(&self, fault: Fault) {
        self.shared.fault.send_replace(fault);
    }

    /// Ends every fault.
    pub fn heal(&self) {
        self.set(Fault::None);
    }

    /// Resets the connections that are there now.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts = cuts.wrapping_add(1));
    }

    /// Passes new connections on to another server, such as one that came back on another port.
    pub fn redirect(&self, upstream: SocketAddr) {
        self.shared.upstream.send_replace(upstream);
    }

    /// How many connections clients have made so far.
    pub fn connections(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            Ok((client, _)) = listener.accept() => {
                let number = shared.accepted.fetch_add(1, Ordering::Relaxed);
                if connections.len() < CONNECTIONS_MAX {
                    connections.spawn(connection(client, shared.clone(), number));
                } else {
                    reset(&client);
                }
            }
        }
    }
}

/// One connection from its beginning to its end; every end but an orderly one is a reset.
async fn connection(mut client: TcpStream, shared: Arc<Shared>, number: u64) {
    let mut cuts = shared.cuts.subscribe();
    let mut fault = shared.fault.subscribe();
    let fault_now = fault.borrow_and_update().clone();
    let mut rng = ChaCha8Rng::seed_from_u64(shared.seed);
    rng.set_stream(number);
    let budget = AtomicU64::new(match fault_now {
        Fault::CutAfter(range) => rng.random_range(range),
        Fault::Refuse => return reset(&client),
        _ => u64::MAX,
    });
    let upstream = *shared.upstream.borrow();
    let Ok(mut server) = TcpStream::connect(upstream).await else {
        return reset(&client);
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));

    let ended = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let up = Pump { budget: &budget, fault: shared.fault.subscribe(), rng: rng.clone() };
        rng.set_stream(!number);
        let down = Pump { budget: &budget, fault: shared.fault.subscribe(), rng };
        tokio::select! {
            passed = async { tokio::try_join!(up.run(from_client, to_server), down.run(from_server, to_client)) } => match passed {
                Ok(_) => End::Orderly,
                Err(_) => End::Reset,
            },
            _ = cuts.changed() => End::Reset,
            // Gives the fault's guard back within the arm: it must not be held across the next await.
            ended = async { fault.wait_for(|now| matches!(now, Fault::Refuse | Fault::HalfOpen)).await.map(|now| now.clone()) } => match ended {
                Ok(Fault::HalfOpen) => End::HalfOpen,
                _ => End::Reset,
            },
        }
    };
    match ended {
        End::Orderly => return,
        End::Reset => {}
        End::HalfOpen => {
            reset(&server);
            drop(server);
            tokio::select! {
                _ = swallow(&mut client) => {}
                _ = cuts.changed() => {}
                _ = fault.wait_for(|now| *now != Fault::HalfOpen) => {}
            }
            return reset(&client);
        }
    }
    reset(&server);
    reset(&client);
}

enum End {
    Orderly,
    Reset,
    HalfOpen,
}

/// One direction of a connection.
struct Pump<'a> {
    budget: &'a AtomicU64,
    fault: watch::Receiver<Fault>,
    rng: ChaCha8Rng,
}

impl Pump<'_> {
    async fn run(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
        let mut piece = vec![0; PIECE_LEN_MAX];
        loop {
            self.let_through().await;
            let len = from.read(&mut piece).await?;
            if len == 0 {
                return to.shutdown().await;
            }
            // The fault may have begun while nothing was there to read.
            self.let_through().await;
            if let Some(delay) = self.delay() {
                tokio::time::sleep(delay).await;
            }
            let allowed = self.spend(len as u64);
            to.write_all(piece.get(..allowed as usize).unwrap_or_default()).await?;
            if allowed < len as u64 {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
    }

    /// Takes `wanted` bytes from what both directions may pass; fewer if fewer are left.
    fn spend(&self, wanted: u64) -> u64 {
        let before = self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(wanted)));
        before.unwrap_or_default().min(wanted)
    }

    /// Waits while the line is stalled.
    async fn let_through(&mut self) {
        // The sender lives in the state that this connection holds.
        let _ = self.fault.wait_for(|now| *now != Fault::Stall).await;
    }

    fn delay(&mut self) -> Option<Duration> {
        match self.fault.borrow().clone() {
            Fault::Delay(range) if !range.is_empty() => Some(self.rng.random_range(range)),
            _ => None,
        }
    }
}

async fn swallow(client: &mut TcpStream) -> io::Result<()> {
    let mut piece = [0; 1024];
    while client.read(&mut piece).await? > 0 {}
    Ok(())
}

/// Makes the end of this connection a reset instead of an orderly close.
fn reset(stream: &TcpStream) {
    // A socket that is gone already needs none.
    let _ = stream.set_zero_linger();
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const PATIENCE: Duration = Duration::from_secs(20);
    const MOMENT: Duration = Duration::from_millis(50);

    /// A server that sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address
    }

    async fn ask(stream: &mut TcpStream) -> io::Result<()> {
        stream.write_all(b"ping").await?;
        let mut answer = [0; 4];
        timeout(PATIENCE, stream.read_exact(&mut answer)).await??;
        assert_eq!(&answer, b"ping");
        Ok(())
    }

    async fn proxied() -> (Proxy, TcpStream) {
        let proxy = Proxy::start(echo().await, 7).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        ask(&mut stream).await.unwrap();
        (proxy, stream)
    }

    #[tokio::test]
    async fn a_cut_resets_what_is_there_and_nothing_else() {
        let (proxy, mut stream) = proxied().await;
        proxy.cut();
        let error = timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        ask(&mut TcpStream::connect(proxy.address()).await.unwrap()).await.unwrap();
        assert_eq!(proxy.connections(), 2);
    }

    #[tokio::test]
    async fn a_stall_holds_bytes_back_and_loses_none() {
        let (proxy, mut stream) = proxied().await;
        proxy.set(Fault::Stall);
        stream.write_all(b"late").await.unwrap();
        assert!(timeout(MOMENT, stream.read_u8()).await.is_err(), "a byte passed a stalled line");
        proxy.heal();
        let mut answer = [0; 4];
        timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"late");
    }

    #[tokio::test]
    async fn a_half_open_client_hears_nothing_until_the_end() {
        let (proxy, mut stream) = proxied().await;
        proxy.set(Fault::HalfOpen);
        assert!(timeout(MOMENT, stream.read_u8()).await.is_err(), "the client noticed");
        stream.write_all(b"anyone?").await.unwrap();
        assert!(timeout(MOMENT, stream.read_u8()).await.is_err(), "the client noticed");
        proxy.heal();
        assert!(timeout(PATIENCE, stream.read_u8()).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_delay_keeps_order_and_takes_its_time() {
        let (proxy, mut stream) = proxied().await;
        proxy.set(Fault::Delay(Duration::from_millis(20)..Duration::from_millis(30)));
        let begin = std::time::Instant::now();
        ask(&mut stream).await.unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(40), "both ways are slow");
    }

    #[tokio::test]
    async fn a_connection_is_cut_after_as_many_bytes_as_the_seed_says() {
        let proxy = Proxy::start(echo().await, 11).await.unwrap();
        proxy.set(Fault::CutAfter(1..3));
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(ask(&mut stream).await.is_err());
        proxy.set(Fault::Refuse);
        let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(ask(&mut refused).await.is_err());
        proxy.heal();
        ask(&mut TcpStream::connect(proxy.address()).await.unwrap()).await.unwrap();
    }

    #[tokio::test]
    async fn a_server_that_moved_is_found_again() {
        let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let proxy = Proxy::start(dead, 3).await.unwrap();
        assert!(ask(&mut TcpStream::connect(proxy.address()).await.unwrap()).await.is_err());
        proxy.redirect(echo().await);
        ask(&mut TcpStream::connect(proxy.address()).await.unwrap()).await.unwrap();
    }
}
