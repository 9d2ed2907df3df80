//! The demo's consumer: reads the output topics from their beginning, as any other would, and says what it sees and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use contracts::topics::{DEAD_LETTERS, EVENTS, KafkaTopic, READINGS};
use contracts::{EventRecord, ReadingRecord};
use measure::UnixMillis;
use rdkafka::message::{BorrowedMessage, Message as _};
use tokio::sync::mpsc;

use crate::clock;
use crate::kafka::{Address, Reader};

/// Records that may wait for the demo to look at them.
const QUEUE_MAX: usize = 4096;
/// How soon a follower notices that it is to end.
const PATIENCE: Duration = Duration::from_millis(50);

/// What a consumer sees.
#[derive(Debug)]
pub enum Seen {
    /// A reading, and when it was seen.
    Reading(Box<ReadingRecord>, UnixMillis),
    /// An event, gap or hello.
    Event(Box<EventRecord>),
    /// A dead letter.
    DeadLetter,
}

/// Consumers at work, one a topic.
pub struct Followers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Followers {
    /// Starts to read. What is seen comes out of the receiver, which ends after [`Followers::finish`].
    pub fn start(address: &Address) -> anyhow::Result<(Self, mpsc::Receiver<Seen>)> {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for topic in [READINGS, EVENTS, DEAD_LETTERS] {
            let reader = Reader::open(address, topic.name)?;
            let (stop, sender) = (stop.clone(), sender.clone());
            threads.push(std::thread::Builder::new().name("follow".to_owned()).spawn(move || follow(reader, topic, &stop, &sender))?);
        }
        Ok((Self { stop, threads }, receiver))
    }

    /// Tells the consumers to read up to the end that the topics have now, and to end there.
    pub fn finish(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// What went wrong, once the receiver has ended.
    pub fn outcome(self) -> anyhow::Result<()> {
        for thread in self.threads {
            thread.join().map_err(|_| anyhow!("a consumer of the demo panicked"))??;
        }
        Ok(())
    }
}

fn follow(mut reader: Reader, topic: KafkaTopic, stop: &AtomicBool, sender: &mpsc::Sender<Seen>) -> anyhow::Result<()> {
    while !stop.load(Ordering::Acquire) {
        if let Some(message) = reader.next(PATIENCE)? {
            pass_on(&message, topic, sender)?;
        }
    }
    let mut outcome = Ok(());
    reader.drain(|message| {
        if outcome.is_ok() {
            outcome = pass_on(message, topic, sender);
        }
    })?;
    outcome
}

fn pass_on(message: &BorrowedMessage<'_>, topic: KafkaTopic, sender: &mpsc::Sender<Seen>) -> anyhow::Result<()> {
    let payload = message.payload().unwrap_or_default();
    let broken =
        || format!("{} holds something else than it promises (partition {} offset {})", topic.name, message.partition(), message.offset());
    let seen = if topic == READINGS {
        Seen::Reading(Box::new(serde_json::from_slice(payload).with_context(broken)?), clock::now())
    } else if topic == EVENTS {
        Seen::Event(Box::new(serde_json::from_slice(payload).with_context(broken)?))
    } else {
        Seen::DeadLetter
    };
    // If nobody listens the demo is over already.
    let _ = sender.blocking_send(seen);
    Ok(())
}
