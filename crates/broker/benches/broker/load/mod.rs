//! The load generator: a process of its own, so that its time is not the broker's. It is this program again, started with a [`Job`].
//!
//! It tells at each stage how far it is, as a line of JSON, and goes on when it is sent a line.

mod abuse;
mod fleet;
mod flood;
mod handshakes;
mod link;
mod paced;
mod sessions;
mod wallet;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use link::Target;
use wallet::Wallet;

/// What to do to which broker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Of the broker, on 127.0.0.1.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// The authority's directory.
    pub pki: PathBuf,
    /// What to do.
    pub load: Load,
}

/// Kinds of load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Load {
    /// As many messages as go, from `publishers` that each have `window` unacknowledged, to one subscriber.
    Flood { publishers: usize, window: usize, messages: usize },
    /// Messages at a rate, each in a packet of its own, to one subscriber, in windows of some seconds.
    Paced { publishers: usize, per_second: usize, seconds: u64, windows: u32 },
    /// Connect, CONNECT, CONNACK, DISCONNECT, as often as it goes.
    Handshakes { parallel: usize, seconds: u64, resume: bool },
    /// Sessions that say nothing.
    Idle { sessions: usize },
    /// Sessions that each hear a topic of their own, and commands to some of them.
    Commands { sessions: usize, per_second: usize, seconds: u64 },
    /// Sessions that come back when they are lost.
    Storm { sessions: usize },
    /// Everything that is not nice, until a line comes.
    Abuse { each: usize },
}

/// What is known at a stage.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// What was measured so far.
    pub values: BTreeMap<String, f64>,
}

/// Does a job given as JSON.
pub fn run(job: &str) {
    let job: Job = serde_json::from_str(job).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let context = Arc::new(Context { target: Target { port: job.port, tls: job.tls }, wallet: Wallet::open(&job.pki) });
    runtime.block_on(async {
        match job.load {
            Load::Flood { publishers, window, messages } => flood::run(&context, publishers, window, messages).await,
            Load::Paced { publishers, per_second, seconds, windows } => {
                paced::run(&context, publishers, per_second, seconds, windows).await;
            }
            Load::Handshakes { parallel, seconds, resume } => handshakes::run(&context, parallel, seconds, resume).await,
            Load::Idle { sessions } => sessions::idle(&context, sessions).await,
            Load::Commands { sessions, per_second, seconds } => sessions::commands(&context, sessions, per_second, seconds).await,
            Load::Storm { sessions } => sessions::storm(&context, sessions).await,
            Load::Abuse { each } => abuse::run(&context, each).await,
        }
    });
    // Thousands of connections need not be closed one by one.
    std::process::exit(0);
}

struct Context {
    target: Target,
    wallet: Wallet,
}

/// Tells how far it is and waits for the word to go on; ends the process if whoever gives it is gone.
async fn stage(name: &str, values: &[(&str, f64)]) {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let line = serde_json::to_string(&Stage { name: name.to_owned(), values }).unwrap();
    println!("{line}");
    std::io::stdout().flush().unwrap();
    let read = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    if read.await.unwrap().unwrap() == 0 {
        std::process::exit(1);
    }
}

/// Percentile of unsorted values, 0 if there is none.
fn percentile(values: &mut [u32], percent: usize) -> f64 {
    values.sort_unstable();
    let place = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    values.get(place).copied().unwrap_or(0).into()
}
