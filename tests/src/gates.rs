//! Several gates, each a process, behind HAProxy.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context;
use testkit::haproxy::{Backend, Haproxy};
use testkit::{await_until, ports};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Child, PATIENCE, Stage};

/// The gates and what stands before them.
pub struct Gates {
    program: String,
    gates: Vec<Gate>,
    _balancer: Haproxy,
}

struct Gate {
    config: PathBuf,
    addresses: Backend,
    process: Option<Child>,
}

impl Gates {
    /// A stage with so many gates instead of one; meters connect to the balancer.
    pub async fn stage(program: &str, count: usize) -> anyhow::Result<(Stage, Self)> {
        let mut stage = Stage::without_a_broker().await?;
        let mut gates = Vec::new();
        for number in 0..count {
            // They come back where they were.
            let [mqtts, admin] = ports::free()?.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
            let config = stage.gate_config(&format!("gate-{number}"), mqtts, admin)?;
            let mut gate = Gate { config, addresses: Backend { mqtts, admin }, process: None };
            gate.resume(program).await?;
            gates.push(gate);
        }
        let addresses: Vec<Backend> = gates.iter().map(|gate| gate.addresses).collect();
        let balancer = Haproxy::start(&addresses).await?;
        stage.set_gates((Ipv4Addr::LOCALHOST, balancer.port()).into(), addresses.iter().map(|gate| gate.mqtts));
        Ok((stage, Self { program: program.to_owned(), gates, _balancer: balancer }))
    }

    /// Where a gate itself takes meters, past the balancer.
    pub fn address(&self, number: usize) -> anyhow::Result<SocketAddr> {
        Ok(self.gates.get(number).context("no such gate")?.addresses.mqtts)
    }

    /// `kill -9`.
    pub async fn kill(&mut self, number: usize) -> anyhow::Result<()> {
        let process = self.gates.get_mut(number).and_then(|gate| gate.process.take());
        process.context("this gate is not there")?.kill().await
    }

    /// Starts one again that was killed.
    pub async fn resume(&mut self, number: usize) -> anyhow::Result<()> {
        self.gates.get_mut(number).context("no such gate")?.resume(&self.program).await
    }

    /// Waits until `enough` accepts the numbers of meters' sessions, of each gate; one that is killed has none.
    pub async fn await_meters(&self, enough: impl Fn(&[u64]) -> bool) -> anyhow::Result<()> {
        let mut last = Vec::new();
        let met = await_until("the meters' sessions are where they should be", PATIENCE, async || {
            last.clear();
            for gate in &self.gates {
                last.push(if gate.process.is_some() { gate.meters().await? } else { 0 });
            }
            Ok(enough(&last).then_some(()))
        });
        met.await.with_context(|| format!("sessions of each gate: {last:?}"))
    }
}

impl Gate {
    async fn resume(&mut self, program: &str) -> anyhow::Result<()> {
        let mut process = Child::gate(program, &self.config)?;
        process.line("where it listens", |line| line.starts_with("listens ").then_some(())).await?;
        self.process = Some(process);
        Ok(())
    }

    async fn meters(&self) -> anyhow::Result<u64> {
        let mut socket = TcpStream::connect(self.addresses.admin).await?;
        socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        let value = answer.lines().find_map(|line| line.strip_prefix("ferraris_broker_sessions{role=\"meter\"} "));
        Ok(value.map_or(Ok(0), str::parse)?)
    }
}
