//! Brokers and load generators as processes.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::House;
use crate::load::{Job, Load, Stage};

/// A broker starts in a tenth of a second.
const START: Duration = Duration::from_secs(20);
/// Clock ticks a second in /proc/*/stat.
const TICKS: f64 = 100.0;

/// Which broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Gate,
    Mosquitto,
    /// Without TLS, which our gate does not have.
    MosquittoPlain,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Mosquitto => "Mosquitto",
            Self::MosquittoPlain => "Mosquitto without TLS",
        }
    }
}

/// A broker; killed when dropped.
pub struct Server {
    kind: Kind,
    port: u16,
    child: Child,
}

/// A load generator; killed when dropped.
pub struct Generator {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Server {
    /// Starts one on a free port and waits until it listens.
    pub fn start(house: &House, kind: Kind) -> Self {
        Self::start_at(house, kind, free_port(), "")
    }

    /// One that reads from each meter as fast as it can: to measure the broker, not its limits.
    pub fn start_without_rates(house: &House, kind: Kind) -> Self {
        let rates =
            "[limits.meter]\nmessages_per_s = 1000000\nmessages_burst = 1000000\nbytes_per_s = 1000000000\nbytes_burst = 1000000000\n";
        Self::start_at(house, kind, free_port(), rates)
    }

    fn start_at(house: &House, kind: Kind, port: u16, limits: &str) -> Self {
        let dir = house.dir.path();
        let (program, file, text) = match kind {
            Kind::Gate => (env!("CARGO_BIN_EXE_broker"), "broker.toml", gate(port) + limits),
            Kind::Mosquitto => (mosquitto(), "mosquitto.conf", mosquitto_tls(port)),
            Kind::MosquittoPlain => (mosquitto(), "mosquitto.conf", mosquitto_plain(port)),
        };
        fs::write(dir.join(file), text).unwrap();
        let mut command = Command::new(program);
        let flag = if kind == Kind::Gate { "--config" } else { "-c" };
        let log = fs::File::create(dir.join("log")).unwrap();
        command.current_dir(dir).args([flag, file]).env("RUST_LOG", "warn,rumqttd=off").stdin(Stdio::null());
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn();
        let child = child.unwrap_or_else(|error| panic!("can't start {program}: {error}; apt-get install mosquitto"));
        let mut server = Self { kind, port, child };
        let begin = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = server.child.try_wait().unwrap();
            assert!(
                ended.is_none() && begin.elapsed() < START,
                "{program} does not listen: {}",
                fs::read_to_string(dir.join("log")).unwrap()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }

    /// Kills it as a power cut would and starts it again on the same port.
    pub fn restart(self, house: &House) -> Self {
        let (kind, port) = (self.kind, self.port);
        drop(self);
        Self::start_at(house, kind, port, "")
    }

    /// Processor time used so far, seconds.
    pub fn cpu_s(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("the broker died");
        // Behind the name, which may have spaces; user and system time are the 14th and 15th field of all.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / TICKS
    }

    /// Memory in use, bytes.
    pub fn rss(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the broker died");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the broker died");
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
    }

    /// A load generator for it.
    pub fn load(&self, house: &House, load: Load) -> Generator {
        Generator::start(house, self, load, false)
    }

    /// One that has the processor only when nobody else wants it: a nice value of 19 would still keep others waiting for its time slice.
    pub fn idle_load(&self, house: &House, load: Load) -> Generator {
        Generator::start(house, self, load, true)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Generator {
    fn start(house: &House, server: &Server, load: Load, idle: bool) -> Self {
        let job = Job { port: server.port, tls: server.kind != Kind::MosquittoPlain, pki: house.dir.path().join("pki"), load };
        let program = std::env::current_exe().unwrap();
        let mut command = if idle { Command::new("chrt") } else { Command::new(&program) };
        if idle {
            command.args(["--idle", "0"]).arg(&program);
        }
        command.args(["--load", &serde_json::to_string(&job).unwrap()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, stdin, stdout }
    }

    /// Waits until the load has come so far; it waits too, for [`Generator::go`].
    pub fn until(&mut self, name: &str) -> Stage {
        let mut line = String::new();
        assert!(self.stdout.read_line(&mut line).unwrap() > 0, "the load generator ended before \"{name}\"");
        let stage: Stage = serde_json::from_str(&line).unwrap();
        assert_eq!(stage.name, name, "{stage:?}");
        stage
    }

    pub fn go(&mut self) {
        self.stdin.write_all(b"go\n").unwrap();
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tells on standard error what is done; figures go to standard output.
pub fn say(what: &str) {
    eprintln!("  {what}");
}

/// Defaults but for what a load of this kind needs.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn gate(port: u16) -> String {
    format!(
        "[listen]\nmqtts = '127.0.0.1:{port}'\nadmin = '127.0.0.1:0'\n[tls]\nca_file = 'pki/ca.pem'\n\
         certificate_file = 'pki/issued/broker.pem'\nkey_file = 'pki/issued/broker.key'\ncrl_file = 'pki/crl.pem'\n"
    )
}

fn mosquitto_common() -> String {
    let user = Command::new("id").arg("-un").output().unwrap().stdout;
    format!(
        "user {}\npersistence false\nset_tcp_nodelay true\nmax_inflight_messages 1000\nmax_queued_messages 0\nlog_dest none\n",
        String::from_utf8(user).unwrap().trim()
    )
}

fn mosquitto_tls(port: u16) -> String {
    format!(
        "{}listener {port} 127.0.0.1\ncafile pki/ca.pem\ncertfile pki/issued/broker.pem\nkeyfile pki/issued/broker.key\ncrlfile pki/crl.pem\n\
         require_certificate true\nuse_identity_as_username true\nallow_anonymous false\n",
        mosquitto_common()
    )
}

fn mosquitto_plain(port: u16) -> String {
    format!("{}listener {port} 127.0.0.1\nallow_anonymous true\n", mosquitto_common())
}

/// Debian keeps it where only root's PATH looks.
fn mosquitto() -> &'static str {
    ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"].into_iter().find(|it| fs::exists(it).unwrap_or(false)).unwrap_or("mosquitto")
}
