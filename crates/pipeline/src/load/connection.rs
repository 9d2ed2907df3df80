//! One meter's connection: opened in peace, then driven without blocking.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Stream};

use super::mqtt;

/// How long the broker may take to let a meter in.
const PATIENCE: Duration = Duration::from_secs(30);

/// A session of the gate.
pub struct Connection {
    /// To be registered with the poll.
    pub socket: mio::net::TcpStream,
    tls: ClientConnection,
    unread: Vec<u8>,
}

impl Connection {
    /// Connects, says CONNECT and subscribes; blocks meanwhile.
    pub fn open(port: u16, config: Arc<ClientConfig>, name: &str, down: &str) -> anyhow::Result<Self> {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("the broker does not listen")?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut tls = ClientConnection::new(config, ServerName::try_from("localhost")?)?;
        // The window bounds what can wait to be sent.
        tls.set_buffer_limit(None);
        let mut stream = Stream::new(&mut tls, &mut socket);
        stream.write_all(&mqtt::connect(name))?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).context("no CONNACK")?;
        ensure!(answer == [0x20, 2, 0, 0], "CONNECT answered with {answer:02x?}");
        stream.write_all(&mqtt::subscribe(down))?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).context("no SUBACK")?;
        ensure!(answer[0] == 0x90 && answer[4] <= 1, "SUBSCRIBE answered with {answer:02x?}");
        socket.set_read_timeout(None)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket: mio::net::TcpStream::from_std(socket), tls, unread: Vec::new() })
    }

    /// Sends packets, in one TLS record if they fit, as far as the socket takes them; the rest goes with [`Connection::flush`].
    pub fn send(&mut self, packets: &[u8]) -> io::Result<()> {
        self.tls.writer().write_all(packets)?;
        self.flush()
    }

    /// Goes on sending.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads all that is there and gives each packet to `take`.
    pub fn receive(&mut self, mut take: impl FnMut(mqtt::Incoming<'_>)) -> io::Result<()> {
        loop {
            match self.tls.read_tls(&mut self.socket) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            let state = self.tls.process_new_packets().map_err(io::Error::other)?;
            let (start, len) = (self.unread.len(), state.plaintext_bytes_to_read());
            self.unread.resize(start + len, 0);
            self.tls.reader().read_exact(&mut self.unread[start..])?;
            let used = mqtt::packets(&self.unread, &mut take);
            self.unread.drain(..used);
        }
    }
}
