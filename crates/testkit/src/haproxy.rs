//! HAProxy with the configuration that we ship for it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::process::Server;
use crate::{await_until, ports};

const START_DEADLINE: Duration = Duration::from_secs(30);

/// A gate behind it.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    /// Where it takes meters.
    pub mqtts: SocketAddr,
    /// Where its `/readyz` is.
    pub admin: SocketAddr,
}

/// An HAProxy that runs `deploy/haproxy/haproxy.cfg`; only its port and the gates' addresses differ from what is shipped. Killed when
/// dropped.
pub struct Haproxy {
    port: u16,
    _server: Server,
    // Behind the server that writes into it: fields are dropped in order.
    _dir: TempDir,
}

impl Haproxy {
    /// Starts it on a free port and waits until it accepts connections.
    pub async fn start(gates: &[Backend]) -> anyhow::Result<Haproxy> {
        let dir = tempfile::Builder::new().prefix("ferraris-haproxy-").tempdir().context("cannot make a temporary directory")?;
        let [port] = ports::free()?;
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/haproxy/haproxy.cfg");
        let template = fs::read_to_string(&shipped).with_context(|| format!("cannot read {}", shipped.display()))?;
        let configuration = dir.path().join("haproxy.cfg");
        fs::write(&configuration, fill(&template, port, gates)?)?;
        let mut command = Command::new(program());
        // In the foreground.
        command.arg("-db").arg("-f").arg(&configuration);
        let mut server = Server::start(&mut command, &dir.path().join("log"), dir.path())?;
        await_until("HAProxy accepts connections", START_DEADLINE, async || {
            server.check_running().context("HAProxy did not start")?;
            Ok(TcpStream::connect(("127.0.0.1", port)).await.ok())
        })
        .await?;
        Ok(Haproxy { port, _server: server, _dir: dir })
    }

    /// Where meters connect, on 127.0.0.1 or `localhost`.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Debian keeps it where only root's PATH looks.
fn program() -> &'static str {
    ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"].into_iter().find(|it| Path::new(it).exists()).unwrap_or("haproxy")
}

/// Puts the port and the gates into the shipped configuration: one line that binds, and `server` lines at the end.
fn fill(template: &str, port: u16, gates: &[Backend]) -> anyhow::Result<String> {
    let first = |line: &&str, word: &str| line.split_whitespace().next() == Some(word);
    let (binds, servers) =
        (template.lines().filter(|it| first(it, "bind")).count(), template.lines().filter(|it| first(it, "server")).count());
    anyhow::ensure!(binds == 1 && servers > 0, "the shipped configuration has {binds} `bind` and {servers} `server`");
    let kept = template.lines().filter(|line| !first(line, "server"));
    let mut lines: Vec<String> =
        kept.map(|line| if first(&line, "bind") { format!("    bind 127.0.0.1:{port}") } else { line.to_owned() }).collect();
    let server = |(number, gate): (usize, &Backend)| format!("    server gate-{number} {} port {}", gate.mqtts, gate.admin.port());
    lines.extend(gates.iter().enumerate().map(server));
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_and_gates_are_filled_in() {
        let gate = Backend { mqtts: ([127, 0, 0, 1], 1).into(), admin: ([127, 0, 0, 1], 2).into() };
        let filled = fill("frontend a\n  bind :8883\nbackend b\n  option x\n  server g g:1 port 2\n", 7, &[gate]).unwrap();
        assert_eq!(filled, "frontend a\n    bind 127.0.0.1:7\nbackend b\n  option x\n    server gate-0 127.0.0.1:1 port 2\n");
        assert!(fill("bind :1\n", 7, &[gate]).is_err());
        assert!(fill("server g g:1\n", 7, &[gate]).is_err());
    }
}
