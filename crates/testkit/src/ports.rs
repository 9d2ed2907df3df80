//! Free TCP ports for programs that can't be told to take any.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::Context;

/// Below the range from which the kernel takes ports for outgoing connections (32768 and up by default): nobody's client can sit on a port
/// of ours while its server is down for a test.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// `N` ports of 127.0.0.1 that are free now. Ours are drawn at random, so that two test processes hardly ever meet.
pub fn free<const N: usize>() -> anyhow::Result<[u16; N]> {
    // All are held until the last one is found, so that no two are the same.
    let held: Vec<TcpListener> = (0..N).map(|_| listen()).collect::<anyhow::Result<_>>()?;
    let ports: Vec<u16> = held.iter().map(|it| Ok(it.local_addr()?.port())).collect::<std::io::Result<_>>()?;
    ports.try_into().ok().context("as many ports as asked for")
}

fn listen() -> anyhow::Result<TcpListener> {
    const ATTEMPTS: usize = 100;
    (0..ATTEMPTS)
        .find_map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, rand::random_range(RANGE))).ok())
        .with_context(|| format!("no free port found in {RANGE:?}"))
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn ports_are_free_and_differ() {
        let [a, b, c] = super::free().unwrap();
        assert!(a != b && b != c && a != c);
        // Another test's child has a copy of every socket from its fork to its exec.
        let bound = async || Ok(std::net::TcpListener::bind(("127.0.0.1", a)).ok());
        crate::await_until("the port is free", std::time::Duration::from_secs(60), bound).await.unwrap();
    }
}
