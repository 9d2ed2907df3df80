//! What waits for a session inside the gate: messages down to a meter, and the order to end.

use std::collections::VecDeque;
use std::sync::Mutex;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::sync::lock;

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

/// Waits to be read by one session.
pub(crate) struct Inbox {
    content: Mutex<Content>,
    bell: Notify,
    len_max: usize,
}

#[derive(Default)]
struct Content {
    messages: VecDeque<(Way, Bytes)>,
    cut: Option<Cut>,
}

impl Inbox {
    /// Empty, for at most `len_max` messages.
    pub(crate) fn new(len_max: usize) -> Self {
        Self { content: Mutex::default(), bell: Notify::new(), len_max }
    }

    /// Adds a message. If there is no room the oldest goes (a newer acknowledgement includes it): returns `false` then.
    pub(crate) fn push(&self, way: Way, payload: Bytes) -> bool {
        let mut content = lock(&self.content);
        let fits = content.messages.len() < self.len_max;
        if !fits {
            content.messages.pop_front();
        }
        content.messages.push_back((way, payload));
        drop(content);
        self.bell.notify_one();
        fits
    }

    /// Orders the session to end. The first order stands.
    pub(crate) fn cut(&self, why: Cut) {
        lock(&self.content).cut.get_or_insert(why);
        self.bell.notify_one();
    }

    /// Waits for something: an order to end goes before messages. May be dropped while it waits.
    pub(crate) async fn next(&self) -> Result<VecDeque<(Way, Bytes)>, Cut> {
        loop {
            {
                let mut content = lock(&self.content);
                if let Some(cut) = content.cut {
                    return Err(cut);
                }
                if !content.messages.is_empty() {
                    return Ok(std::mem::take(&mut content.messages));
                }
            }
            self.bell.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_goes_and_a_cut_comes_first() {
        let inbox = Inbox::new(2);
        let message = |byte: u8| Bytes::from(vec![byte]);
        assert!(inbox.push(Way::Down, message(1)));
        assert!(inbox.push(Way::Down, message(2)));
        assert!(!inbox.push(Way::Command, message(3)));
        assert_eq!(inbox.next().await, Ok([(Way::Down, message(2)), (Way::Command, message(3))].into()));
        assert!(inbox.push(Way::Down, message(4)));
        inbox.cut(Cut::Revoked);
        inbox.cut(Cut::Shutdown);
        assert_eq!(inbox.next().await, Err(Cut::Revoked));
    }
}
