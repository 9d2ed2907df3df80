//! One MQTT connection, and the few packets that a load needs.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use wire::topic::Shard;

/// How long a connection may take to be there.
const PATIENCE: Duration = Duration::from_secs(15);

/// A broker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) port: u16,
    pub(super) tls: bool,
}

/// A byte stream, encrypted or not.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// A connection.
pub(super) struct Link {
    pub(super) stream: Box<dyn Socket>,
    unread: Vec<u8>,
}

/// A PUBLISH that came.
pub(super) struct Message {
    pub(super) payload: Vec<u8>,
    pub(super) pkid: Option<[u8; 2]>,
}

impl Target {
    /// A socket, after the handshake if there is one.
    pub(super) async fn socket(self, config: Arc<ClientConfig>) -> io::Result<Box<dyn Socket>> {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).await?;
        socket.set_nodelay(true)?;
        if !self.tls {
            return Ok(Box::new(socket));
        }
        let name = ServerName::try_from("localhost").unwrap();
        Ok(Box::new(TlsConnector::from(config).connect(name, socket).await?))
    }

    /// A session: connected, CONNECT sent and accepted.
    pub(super) async fn session(self, config: Arc<ClientConfig>, name: &str) -> io::Result<Link> {
        let open = async {
            let mut link = Link { stream: self.socket(config).await?, unread: Vec::new() };
            link.send(&connect(name)).await?;
            let mut answer = [0; 4];
            link.stream.read_exact(&mut answer).await?;
            if answer == [0x20, 2, 0, 0] { Ok(link) } else { Err(io::Error::other(format!("CONNECT answered with {answer:02x?}"))) }
        };
        timeout(PATIENCE, open).await.map_err(|_| io::ErrorKind::TimedOut)?
    }
}

impl Link {
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// SUBSCRIBE with QoS `qos`, granted.
    pub(super) async fn subscribe(&mut self, filter: &str, qos: u8) -> io::Result<()> {
        self.send(&packet(0x82, &[&[0, 1], &text(filter)[..], &[qos]].concat())).await?;
        let mut answer = [0; 5];
        self.stream.read_exact(&mut answer).await?;
        if answer[0] == 0x90 && answer[4] <= 1 { Ok(()) } else { Err(io::Error::other(format!("SUBSCRIBE answered with {answer:02x?}"))) }
    }

    /// Reads what is there and gives each message in it to `take`; other packets are passed over.
    pub(super) async fn messages(&mut self, buffer: &mut [u8], mut take: impl FnMut(Message)) -> io::Result<()> {
        let len = self.stream.read(buffer).await?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.unread.extend_from_slice(&buffer[..len]);
        let mut done = 0;
        while let Some((first, body)) = split(&self.unread[done..]) {
            if first >> 4 == 3 {
                take(message(first, &self.unread[done + body.start..done + body.end]));
            }
            done += body.end;
        }
        self.unread.drain(..done);
        Ok(())
    }
}

/// First byte and place of the body of a complete packet.
fn split(bytes: &[u8]) -> Option<(u8, std::ops::Range<usize>)> {
    let (mut len, mut at) = (0, 1);
    loop {
        let byte = *bytes.get(at)?;
        len |= usize::from(byte & 0x7f) << (7 * (at - 1));
        at += 1;
        if byte < 0x80 {
            break;
        }
    }
    (bytes.len() >= at + len).then(|| (bytes[0], at..at + len))
}

fn message(first: u8, body: &[u8]) -> Message {
    let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
    let rest = &body[2 + topic..];
    if first & 6 == 0 {
        return Message { payload: rest.to_vec(), pkid: None };
    }
    Message { payload: rest[2..].to_vec(), pkid: Some([rest[0], rest[1]]) }
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let (mut out, mut len) = (vec![first], body.len());
    while len >= 0x80 {
        out.push((len & 0x7f) as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(body);
    out
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}

/// CONNECT with the longest keep-alive that needs no pings in a measurement.
pub(super) fn connect(name: &str) -> Vec<u8> {
    packet(0x10, &[&text("MQTT")[..], &[4, 2], &1200_u16.to_be_bytes(), &text(name)].concat())
}

/// PUBLISH, of QoS 1 if there is a packet identifier.
pub(super) fn publish(topic: &str, payload: &[u8], pkid: Option<u16>) -> Vec<u8> {
    let id = pkid.map_or(Vec::new(), |pkid| pkid.to_be_bytes().to_vec());
    packet(if pkid.is_some() { 0x32 } else { 0x30 }, &[&text(topic)[..], &id, payload].concat())
}

pub(super) fn meter(number: usize) -> String {
    format!("m{number:05}")
}

/// A meter's own topic.
pub(super) fn topic(meter: &str, leaf: &str) -> String {
    format!("f1/{}/{meter}/{leaf}", Shard::of(&meter.parse().unwrap()))
}
