//! What waits for a session inside the gate: messages down to a meter, and the order to end.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::config::Limits;
use crate::reason::Reason;
use crate::sync::lock;

/// What a message costs besides its payload: its place in the queue and its allocation.
const OVERHEAD: usize = 64;

/// Which of a meter's own topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// `…/dn`
    Down,
    /// `…/cmd`
    Command,
}

/// Why a session is ended from inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// A newer session of the same identity.
    TakenOver,
    /// The certificate was revoked.
    Revoked,
    /// The authority that issued the certificate is trusted no more.
    Withdrawn,
    /// The broker stops.
    Shutdown,
}

/// Memory for what waits for all meters together, bytes.
pub(crate) struct Pool {
    used: AtomicUsize,
    max: usize,
}

impl Pool {
    /// Nothing is taken of it.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), max })
    }

    fn take(&self, bytes: usize) -> bool {
        let more = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.max);
        self.used.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
    }
}

/// Waits to be read by one session.
pub(crate) struct Inbox {
    content: Mutex<Content>,
    bell: Notify,
    len_max: usize,
    bytes_max: usize,
    pool: Arc<Pool>,
}

#[derive(Default)]
struct Content {
    messages: VecDeque<(Way, Bytes)>,
    bytes: usize,
    cut: Option<Cut>,
}

/// What became of a message, and of others for its sake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// Older ones that made room.
    pub(crate) gone: u64,
    /// Why it was not taken, if it wasn't.
    pub(crate) refused: Option<Reason>,
}

/// Messages on their way from the inbox to the socket. Their memory counts as long as this lives.
pub(crate) struct Post {
    messages: VecDeque<(Way, Bytes)>,
    bytes: usize,
    pool: Arc<Pool>,
}

impl Post {
    /// The messages, oldest first.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &(Way, Bytes)> {
        self.messages.iter()
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        self.pool.give_back(self.bytes);
    }
}

impl Inbox {
    /// Empty.
    pub(crate) fn new(limits: &Limits, pool: Arc<Pool>) -> Self {
        let (len_max, bytes_max) = (limits.down_queue, limits.down_queue_bytes);
        Self { content: Mutex::default(), bell: Notify::new(), len_max, bytes_max, pool }
    }

    /// Adds a message. If there is no room the oldest go: acknowledgements first (a newer one includes them), then commands.
    pub(crate) fn push(&self, way: Way, payload: Bytes) -> Pushed {
        let bytes = cost(&payload);
        if bytes > self.bytes_max {
            return Pushed { gone: 0, refused: Some(Reason::DownTooLarge) };
        }
        let (mut content, mut gone) = (lock(&self.content), 0_u64);
        let is_full = |content: &Content| {
            content.messages.len() >= self.len_max || content.bytes.saturating_add(bytes) > self.bytes_max || !self.pool.take(bytes)
        };
        while is_full(&content) {
            let Some(freed) = content.remove_oldest() else {
                return Pushed { gone, refused: Some(Reason::DownMemory) };
            };
            self.pool.give_back(freed);
            gone = gone.saturating_add(1);
        }
        content.bytes = content.bytes.saturating_add(bytes);
        content.messages.push_back((way, payload));
        drop(content);
        self.bell.notify_one();
        Pushed { gone, refused: None }
    }

    /// Orders the session to end. The first order stands.
    pub(crate) fn cut(&self, why: Cut) {
        lock(&self.content).cut.get_or_insert(why);
        self.bell.notify_one();
    }

    /// The order to end, if there is one.
    pub(crate) fn ordered(&self) -> Option<Cut> {
        lock(&self.content).cut
    }

    /// Waits for something: an order to end goes before messages. May be dropped while it waits.
    pub(crate) async fn next(&self) -> Result<Post, Cut> {
        loop {
            {
                let mut content = lock(&self.content);
                if let Some(cut) = content.cut {
                    return Err(cut);
                }
                if !content.messages.is_empty() {
                    let (messages, bytes) = (std::mem::take(&mut content.messages), std::mem::take(&mut content.bytes));
                    return Ok(Post { messages, bytes, pool: self.pool.clone() });
                }
            }
            self.bell.notified().await;
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.pool.give_back(lock(&self.content).bytes);
    }
}

impl Content {
    /// Returns what it cost.
    fn remove_oldest(&mut self) -> Option<usize> {
        let index = self.messages.iter().position(|(way, _)| *way == Way::Down).unwrap_or(0);
        let (_, payload) = self.messages.remove(index)?;
        let freed = cost(&payload);
        self.bytes = self.bytes.saturating_sub(freed);
        Some(freed)
    }
}

fn cost(payload: &Bytes) -> usize {
    payload.len().saturating_add(OVERHEAD)
}

#[cfg(test)]
#[path = "inbox_tests.rs"]
mod tests;
