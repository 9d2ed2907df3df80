//! A client that does what a row says.

use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::script::{Act, Opening};
use crate::support::{House, PATIENCE, connect_packet};

/// Between two bytes of one who is slow: faster than any deadline here, so that none of them is met by silence alone.
const DRIP: Duration = Duration::from_millis(50);

/// Its connection.
pub(super) enum Actor {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Socket for T {}

impl Actor {
    pub(super) async fn open(house: &House, opening: &Opening, what: &str) -> Self {
        let address = if matches!(opening, Opening::Admin) { house.broker.admin_addr() } else { house.broker.mqtts_addr() };
        let socket = TcpStream::connect(address).await.expect(what);
        socket.set_nodelay(true).unwrap();
        let (role, name) = match opening {
            Opening::Tcp | Opening::Admin => return Self::Plain(socket),
            Opening::Tls(role, name) | Opening::Session(role, name) => (*role, name),
        };
        let connector = TlsConnector::from(house.credentials(name, role));
        let handshake = connector.connect(ServerName::try_from("localhost").unwrap(), socket);
        let mut this = Self::Secure(Box::new(timeout(PATIENCE, handshake).await.expect(what).expect(what)));
        if matches!(opening, Opening::Session(..)) {
            this.act(&Act::Send { bytes: connect_packet(name, 60), times: 1 }, what).await;
            this.act(&Act::Get(vec![0x20, 2, 0, 0]), what).await;
        }
        this
    }

    fn socket(&mut self) -> &mut dyn Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Secure(stream) => stream,
        }
    }

    /// What is not about the connection as a whole.
    pub(super) async fn act(&mut self, act: &Act, what: &str) {
        let socket = self.socket();
        let done = async {
            match act {
                Act::Send { bytes, times } => send(socket, bytes, *times).await,
                Act::Drip(bytes) => drip(socket, bytes).await,
                Act::Get(expected) => assert_eq!(&get(socket, expected.len()).await, expected, "{what}"),
                Act::Answers(status) => {
                    let answer = String::from_utf8(get(socket, 12).await).unwrap();
                    assert_eq!(answer, format!("HTTP/1.1 {status}"), "{what}");
                }
                Act::Quiet => {
                    send(socket, &[0xc0, 0], 1).await;
                    assert_eq!(get(socket, 2).await, [0xd0, 0], "{what}");
                }
                Act::Closed => assert_eq!(rest(socket).await, Vec::<u8>::new(), "{what}: something came before the end"),
                Act::Ends => drop(rest(socket).await),
                Act::Open(_) | Act::Leave | Act::Reset => unreachable!("{what}"),
            }
        };
        timeout(PATIENCE, done).await.unwrap_or_else(|_| panic!("{what}: nothing happens"));
    }

    /// Breaks the connection without a word.
    pub(super) fn reset(self) {
        let socket = match &self {
            Self::Plain(socket) => socket,
            Self::Secure(stream) => stream.get_ref().0,
        };
        socket.set_zero_linger().unwrap();
    }
}

/// As far as the other side lets it: it may be cut while it is still sending.
async fn send(socket: &mut dyn Socket, bytes: &[u8], times: usize) {
    for _ in 0..times {
        if socket.write_all(bytes).await.is_err() || socket.flush().await.is_err() {
            return;
        }
    }
}

async fn drip(socket: &mut dyn Socket, bytes: &[u8]) {
    let (mut ticks, mut ignored) = (interval(DRIP), [0; 64]);
    for byte in bytes {
        tokio::select! {
            _ = ticks.tick() => {}
            read = socket.read(&mut ignored) => if !read.is_ok_and(|len| len > 0) { return },
        }
        if socket.write_all(&[*byte]).await.is_err() || socket.flush().await.is_err() {
            return;
        }
    }
}

/// So many bytes, or as many as come before the end.
async fn get(socket: &mut dyn Socket, len: usize) -> Vec<u8> {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while bytes.len() < len && socket.read(&mut byte).await.is_ok_and(|len| len > 0) {
        bytes.extend(byte);
    }
    bytes
}

/// What comes until the end.
async fn rest(socket: &mut dyn Socket) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A connection that is broken off has ended as well.
    let _ = socket.read_to_end(&mut bytes).await;
    bytes
}
