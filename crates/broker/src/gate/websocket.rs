//! MQTT over WebSocket, for operators' browsers: the upgrade, and a stream of bytes out of messages, over which a session runs as over
//! any other.
//!
//! A browser shows its certificate to whatever page opens the connection. Which pages may is therefore asked: a request that names an
//! origin must name one of the configuration, or the very host and port that it asks, as some tools do: no page can come from there but
//! ours, because TLS has shown our certificate for that name. Meters and services have no business here.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use super::identity::Role;
use crate::config::{Limits, millis};
use crate::reason::Reason;

/// Where MQTT is, by convention.
const PATH: &str = "/mqtt";
/// Name of MQTT 3.1.1 among WebSocket's subprotocols.
const SUBPROTOCOL: &str = "mqtt";
/// Bytes read, and kept to be written, at once.
const BUFFER: usize = 16 * 1024;
/// Pings and the like in a row, without a message between them.
const CONTROL_MAX: u32 = 100;

/// Answers the upgrade of a client in this role, within the time for a handshake.
pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    role: Option<Role>,
    origins: &[String],
    limits: &Limits,
) -> Result<Carrier<S>, Reason> {
    // A packet may come in several messages, but there is no need for a larger one.
    let largest = Some(limits.client_packet_bytes.saturating_add(BUFFER));
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * BUFFER)
        .max_message_size(largest)
        .max_frame_size(largest);
    let mut why = Reason::WebsocketUpgrade;
    #[expect(clippy::result_large_err, reason = "tungstenite asks for that type")]
    let answer = |request: &Request, response: Response| {
        check(request, response, role, origins).map_err(|(reason, status)| {
            why = reason;
            let mut refusal = ErrorResponse::new(Some(format!("{}\n", reason.label())));
            *refusal.status_mut() = status;
            refusal
        })
    };
    let upgrade = timeout(millis(limits.handshake_ms), accept_hdr_async_with_config(stream, answer, Some(config))).await;
    let Ok(Ok(socket)) = upgrade else { return Err(why) };
    Ok(Carrier { socket, unread: Bytes::new(), control: 0 })
}

/// Completes the answer to a request, or says what is wrong with it.
fn check(request: &Request, mut response: Response, role: Option<Role>, origins: &[String]) -> Result<Response, (Reason, StatusCode)> {
    if role != Some(Role::Operator) {
        return Err((Reason::WebsocketRole, StatusCode::FORBIDDEN));
    }
    let own = request.headers().get(header::HOST).map(|host| [&b"https://"[..], host.as_bytes()].concat());
    let allowed =
        |origin: &HeaderValue| own.as_deref() == Some(origin.as_bytes()) || origins.iter().any(|it| origin.as_bytes() == it.as_bytes());
    if !request.headers().get_all(header::ORIGIN).iter().all(allowed) {
        return Err((Reason::WebsocketOrigin, StatusCode::FORBIDDEN));
    }
    if request.uri().path() != PATH {
        return Err((Reason::WebsocketUpgrade, StatusCode::NOT_FOUND));
    }
    if !offers_mqtt(request.headers()) {
        return Err((Reason::WebsocketUpgrade, StatusCode::BAD_REQUEST));
    }
    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Ok(response)
}

fn offers_mqtt(headers: &HeaderMap) -> bool {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    offered.flat_map(|value| value.split(',')).any(|name| name.trim() == SUBPROTOCOL)
}

/// Binary messages as a stream of bytes.
pub(super) struct Carrier<S> {
    socket: WebSocketStream<S>,
    /// What is left of the last message.
    unread: Bytes,
    /// Messages in a row that carry nothing.
    control: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Carrier<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => (self.unread, self.control) = (bytes, 0),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) if self.control < CONTROL_MAX => {
                    self.control = self.control.saturating_add(1)
                }
                // The peer's end, which reading answers.
                None | Some(Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::AlreadyClosed)) => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(failure(error))),
                Some(Ok(_)) => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
            }
        }
        let len = self.unread.len().min(into.remaining());
        into.put_slice(self.unread.get(..len).unwrap_or_default());
        self.unread.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Carrier<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(context)).map_err(failure)?;
        let piece = bytes.get(..BUFFER).unwrap_or(bytes);
        let message = Message::Binary(Bytes::copy_from_slice(piece));
        Pin::new(&mut self.socket).start_send(message).map_err(failure)?;
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context).map_err(failure)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(context).map_err(failure)
    }
}

fn failure(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::BrokenPipe.into(),
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}
