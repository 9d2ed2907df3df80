//! MQTT over WebSocket: operators get what they get elsewhere, nobody else gets in, and nothing is unbounded.

use futures_util::{SinkExt, StreamExt};
use pki::Role;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::{House, PATIENCE, connect_packet, eventually, publish_packet, subscribe_packet};

type Socket = WebSocketStream<TlsStream<TcpStream>>;

async fn house() -> House {
    House::with(|config| {
        config.listen.websocket = Some(([127, 0, 0, 1], 0).into());
        config.listen.websocket_origins = vec!["https://dashboard.example.org".to_owned()];
        config.limits.client_packet_bytes = 100_000;
    })
    .await
}

async fn tls(house: &House, name: &str, role: Role) -> TlsStream<TcpStream> {
    let socket = TcpStream::connect(house.broker.websocket_addr().unwrap()).await.unwrap();
    let name_of_broker = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(house.credentials(name, role)).connect(name_of_broker, socket).await.unwrap()
}

/// The upgrade with these headers, or the status and text of its refusal.
async fn upgrade(house: &House, (name, role): (&str, Role), path: &str, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
    let mut request = format!("wss://localhost{path}").into_client_request().unwrap();
    for (header, value) in headers {
        request.headers_mut().insert(*header, value.parse().unwrap());
    }
    match timeout(PATIENCE, client_async(request, tls(house, name, role).await)).await.unwrap() {
        Ok((socket, response)) => {
            assert_eq!(response.headers()["sec-websocket-protocol"], "mqtt");
            Ok(socket)
        }
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

const MQTT: (&str, &str) = ("sec-websocket-protocol", "mqtt");

async fn operator(house: &House) -> Socket {
    let mut socket = upgrade(house, ("anna", Role::Operator), "/mqtt", &[MQTT]).await.unwrap();
    socket.send(Message::Binary(connect_packet("anna", 60).into())).await.unwrap();
    assert_eq!(receive(&mut socket, 4).await, [0x20, 2, 0, 0]);
    socket
}

/// Bytes of binary messages, as many as asked for.
async fn receive(socket: &mut Socket, len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < len {
        match timeout(PATIENCE, socket.next()).await.expect("no message came").expect("the end came").unwrap() {
            Message::Binary(piece) => bytes.extend_from_slice(&piece),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(bytes.len(), len);
    bytes
}

/// The broker ends the connection, with a message or without.
async fn is_closed(socket: &mut Socket) {
    while let Some(Ok(message)) = timeout(PATIENCE, socket.next()).await.expect("the connection stays open") {
        assert!(!matches!(message, Message::Binary(_)), "{message:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_hears_everything_in_a_browser() {
    let house = house().await;
    let mut service = house.connected("p1", Role::Service).await;
    let old = vec![b'x'; 50_000];
    service.publish("live/m1", &old, None, true).await;
    service.is_quiet().await;
    let mut socket = operator(&house).await;
    // Two packets and a half in one message, and the other half in a later one.
    socket.send(Message::Binary([0xc0, 0, 0xc0, 0, 0xc0].to_vec().into())).await.unwrap();
    socket.send(Message::Binary(Bytes::new())).await.unwrap();
    socket.send(Message::Ping(Bytes::from_static(b"?"))).await.unwrap();
    socket.send(Message::Binary([0].to_vec().into())).await.unwrap();
    assert_eq!(receive(&mut socket, 6).await, [0xd0, 0].repeat(3));
    socket.send(Message::Binary(subscribe_packet(7, &[("live/#", 0), ("f1/+/+/up", 0)]).into())).await.unwrap();
    let answer = [&[0x90, 4, 0, 7, 0, 0x80][..], &publish_packet("live/m1", &old, None, true)].concat();
    assert_eq!(receive(&mut socket, answer.len()).await, answer);
    service.publish("live/m1", b"new", None, true).await;
    let news = publish_packet("live/m1", b"new", None, false);
    assert_eq!(receive(&mut socket, news.len()).await, news);
    socket.send(Message::Binary(vec![0xe0, 0].into())).await.unwrap();
    is_closed(&mut socket).await;
    let ended = || house.count("sessions_ended_total", "reason=\"disconnected\"") == 1;
    eventually(ended, || house.broker.metrics()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_operators_from_known_pages_get_in() {
    let house = house().await;
    let anna = ("anna", Role::Operator);
    let origin = |origin| ("origin", origin);
    for (who, path, headers, status, reason) in [
        (("m1", Role::Meter), "/mqtt", vec![MQTT], 403, "websocket_role"),
        (("p1", Role::Service), "/mqtt", vec![MQTT], 403, "websocket_role"),
        (anna, "/mqtt", vec![MQTT, origin("https://evil.example.org")], 403, "websocket_origin"),
        (anna, "/mqtt", vec![MQTT, origin("https://dashboard.example.org.evil.org")], 403, "websocket_origin"),
        (anna, "/mqtt", vec![MQTT, origin("null")], 403, "websocket_origin"),
        (anna, "/mqtt", vec![MQTT, origin("http://localhost")], 403, "websocket_origin"),
        (anna, "/", vec![MQTT], 404, "websocket_upgrade"),
        (anna, "/mqtt", vec![], 400, "websocket_upgrade"),
        (anna, "/mqtt", vec![("sec-websocket-protocol", "mqttv3.1, chat")], 400, "websocket_upgrade"),
    ] {
        let before = house.refused(reason);
        assert_eq!(upgrade(&house, who, path, &headers).await.err(), Some(status), "{who:?} {path} {headers:?}");
        house.refused_eventually(reason, before + 1).await;
    }
    for headers in [
        vec![("sec-websocket-protocol", "chat, mqtt"), origin("https://dashboard.example.org")],
        vec![MQTT],
        vec![MQTT, origin("https://localhost")],
    ] {
        upgrade(&house, anna, "/mqtt", &headers).await.unwrap();
    }
    // Without a certificate there is nothing to speak to.
    let anonymous = crate::support::builder(&house.config.tls.ca_file).with_no_client_auth();
    let socket = TcpStream::connect(house.broker.websocket_addr().unwrap()).await.unwrap();
    let stream = TlsConnector::from(std::sync::Arc::new(anonymous)).connect(ServerName::try_from("localhost").unwrap(), socket).await;
    if let Ok(stream) = stream {
        let mut request = "wss://localhost/mqtt".into_client_request().unwrap();
        request.headers_mut().insert(MQTT.0, MQTT.1.parse().unwrap());
        assert!(client_async(request, stream).await.is_err());
    }
    house.refused_eventually("tls_no_certificate", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_mqtt_ends_the_connection() {
    let house = house().await;
    let mut watcher = operator(&house).await;
    watcher.send(Message::Text("hello".into())).await.unwrap();
    is_closed(&mut watcher).await;
    // A message beyond any packet, pings without end, and no frame at all.
    let mut watcher = operator(&house).await;
    let _ = watcher.send(Message::Binary(vec![0; 300_000].into())).await;
    is_closed(&mut watcher).await;
    let mut watcher = operator(&house).await;
    for _ in 0..1000 {
        if watcher.send(Message::Ping(Bytes::new())).await.is_err() {
            break;
        }
    }
    is_closed(&mut watcher).await;
    let mut stream = tls(&house, "anna", Role::Operator).await;
    stream.write_all(&connect_packet("anna", 60)).await.unwrap();
    assert_eq!(timeout(PATIENCE, stream.read(&mut [0; 16])).await.unwrap().unwrap_or(0), 0);
    house.refused_eventually("websocket_upgrade", 1).await;
    operator(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_never_ends_is_ended() {
    let house = House::with(|config| {
        config.listen.websocket = Some(([127, 0, 0, 1], 0).into());
        config.limits.handshake_ms = 4000;
    })
    .await;
    let mut stream = tls(&house, "anna", Role::Operator).await;
    stream.write_all(b"GET /mqtt HTTP/1.1\r\nX: ").await.unwrap();
    assert_eq!(timeout(PATIENCE, stream.read(&mut [0; 16])).await.unwrap().unwrap_or(0), 0);
    house.refused_eventually("websocket_upgrade", 1).await;
    let mut headers = tls(&house, "anna", Role::Operator).await;
    // Headers without end: the broker ends them, not the test.
    let mut sent = 0_usize;
    while headers.write_all(b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n").await.is_ok() {
        sent += 66;
        assert!(sent < 100_000_000, "it reads on and on");
    }
    house.refused_eventually("websocket_upgrade", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_identity_is_one_session_on_whichever_port() {
    let house = house().await;
    let mut tcp = house.connected("anna", Role::Operator).await;
    let mut socket = operator(&house).await;
    tcp.is_closed().await;
    let mut again = house.connected("anna", Role::Operator).await;
    is_closed(&mut socket).await;
    again.is_quiet().await;
    house.broker.shutdown().await;
    again.is_closed().await;
}
