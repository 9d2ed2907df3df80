//! The broker under load, with Mosquitto beside it: `./dev bench broker [--only ROOM] [--quick] [--json]`.
//!
//! The broker is its own program in a process of its own, so is Mosquitto, and so is the load ([`load`]). Rounds alternate between the two,
//! so that both see the same machine; a figure is the median of three rounds. Mosquitto has TLS with the same certificates and revocation
//! list and takes the user name from the certificate, but checks no access rules: that is to its advantage.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a measurement: what is odd must end it"
)]

mod abuse;
mod figure;
mod load;
mod memory;
mod server;
mod sessions;
mod throughput;

use std::process::ExitCode;

use clap::Parser;
use pki::{Authority, IssueOptions, Role};
use tempfile::TempDir;

use figure::Figure;

/// The broker under load, with Mosquitto beside it
#[derive(Parser)]
struct Options {
    /// One line of JSON for each figure instead of a table
    #[arg(long)]
    json: bool,
    /// Only this room; may be given several times
    #[arg(long)]
    only: Vec<String>,
    /// One round with a tenth of the load: a look whether it works, no figures to quote
    #[arg(long)]
    quick: bool,
    /// The load generator's job
    #[arg(long, hide = true)]
    load: Option<String>,
    #[arg(long, hide = true)]
    bench: bool,
}

/// What the rooms share.
struct House {
    dir: TempDir,
    quick: bool,
}

type Room = fn(&House) -> Vec<Figure>;

const ROOMS: [(&str, Room); 8] = [
    ("throughput", throughput::unthrottled),
    ("paced", throughput::paced),
    ("handshakes", sessions::handshakes),
    ("resumed", sessions::resumed),
    ("idle", memory::idle),
    ("sessions", memory::sessions),
    ("storm", sessions::storm),
    ("abuse", abuse::abuse),
];

impl House {
    fn new(quick: bool) -> Self {
        let dir = tempfile::Builder::new().prefix("ferraris-bench-").tempdir().unwrap();
        let mut authority = Authority::create(dir.path().join("pki")).unwrap();
        let hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        authority.issue("broker", Role::Server, &IssueOptions { hosts, ..IssueOptions::default() }).unwrap();
        Self { dir, quick }
    }

    /// `full`, or a tenth of it for a quick look.
    fn size(&self, full: usize) -> usize {
        if self.quick { full / 10 } else { full }
    }

    fn seconds(&self, full: u64) -> u64 {
        if self.quick { full.div_ceil(4) } else { full }
    }

    fn rounds(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(job) = options.load {
        load::run(&job);
        return ExitCode::SUCCESS;
    }
    let wanted = |room: &str| options.only.is_empty() || options.only.iter().any(|it| it == room);
    if let Some(unknown) = options.only.iter().find(|it| ROOMS.iter().all(|(room, _)| room != it)) {
        eprintln!("no room '{unknown}'; there are: {}", ROOMS.map(|(room, _)| room).join(", "));
        return ExitCode::FAILURE;
    }
    if options.quick {
        eprintln!("a quick look: one round, a tenth of what the names say; no figures to quote");
    }
    let house = House::new(options.quick);
    let figures: Vec<Figure> = ROOMS.iter().filter(|(room, _)| wanted(room)).flat_map(|(_, measure)| measure(&house)).collect();
    figure::print(&figures, options.json);
    if figures.iter().all(Figure::ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
