//! A message as rumqttd carries it: under the name of its feed, with its own topic before the payload.
//!
//! rumqttd keeps something of each topic it has ever seen, for ever and again for each link. So it sees five, whatever is published.

use bytes::Bytes;

/// A message on its way through rumqttd. A clone shares the bytes.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    /// Name of the feed.
    pub(super) feed: &'static str,
    /// Length of the topic (two bytes, big end first), the topic, the payload.
    pub(super) content: Bytes,
}

impl Parcel {
    /// For a feed.
    pub(crate) fn new(feed: &'static str, topic: &str, payload: &[u8]) -> Self {
        Self { feed, content: pack(topic, payload) }
    }
}

/// Topic and payload in one piece. Copies: a part of a read buffer would keep all of it in a log.
pub(super) fn pack(topic: &str, payload: &[u8]) -> Bytes {
    // No topic here has more than a hundred bytes.
    let len = u16::try_from(topic.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&len[..], topic.as_bytes(), payload].concat().into()
}

/// Topic and payload; `None` if these are not a parcel's bytes.
pub(super) fn open(content: &Bytes) -> Option<(Bytes, Bytes)> {
    let (len, rest) = content.split_first_chunk::<2>()?;
    let (topic, payload) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
    Some((content.slice_ref(topic), content.slice_ref(payload)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_comes_out() {
        for (topic, payload) in [("f1/00/m1/up", &b"frame"[..]), ("live/x", b""), ("", b"x")] {
            assert_eq!(open(&pack(topic, payload)), Some((Bytes::from(topic), Bytes::from(payload))));
        }
        for bytes in [&b""[..], b"\0", b"\0\x05abcd"] {
            assert_eq!(open(&Bytes::from(bytes)), None);
        }
    }
}
