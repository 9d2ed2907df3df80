//! Our broker in a test's own process comes back where it was.

use testkit::{Broker, Credentials};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_broker_comes_back_on_its_address() {
    let mut credentials = Credentials::new().unwrap();
    let identity = credentials.server("broker-1").unwrap();
    let mut broker = Broker::start(&credentials, &identity).await.unwrap();
    let address = broker.address();
    let mut client = TcpStream::connect(address).await.unwrap();

    broker.stop();
    assert!(broker.running().is_err());
    let end = tokio::io::AsyncReadExt::read(&mut client, &mut [0; 1]).await;
    assert!(matches!(end, Ok(0) | Err(_)), "the connection outlived the broker");

    broker.resume().await.unwrap();
    assert_eq!(broker.address(), address);
    TcpStream::connect(address).await.unwrap();
}
