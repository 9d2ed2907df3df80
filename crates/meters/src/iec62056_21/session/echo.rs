//! Optical heads repeat what is sent through them.

use crate::iec62056_21::message::Message;

/// What was sent, and how much of it came back.
#[derive(Debug, Default)]
pub(super) struct Echo {
    sent: Message,
    heard: usize,
}

impl Echo {
    /// Expect this to come back, perhaps.
    pub fn expect(&mut self, sent: Message) {
        (self.sent, self.heard) = (sent, 0);
    }

    /// Drops `byte` if it is the next of an exact echo. If not, what looked like one was none, and is handed out.
    pub fn sift(&mut self, byte: u8) -> Option<impl Iterator<Item = u8> + use<>> {
        if self.sent.get(self.heard) != Some(&byte) {
            let (sent, heard) = (core::mem::take(&mut self.sent), core::mem::take(&mut self.heard));
            return Some(sent.into_iter().take(heard).chain([byte]));
        }
        self.heard = self.heard.saturating_add(1);
        if self.heard == self.sent.len() {
            self.sent.clear();
            self.heard = 0;
        }
        None
    }
}
