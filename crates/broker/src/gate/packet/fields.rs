//! The fields inside a packet, front to back, never beyond its end.

use super::Malformed;

/// What is left of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self(body)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let (byte, rest) = self.0.split_first().ok_or(Malformed::Truncated)?;
        self.0 = rest;
        Ok(*byte)
    }

    /// A 16-bit number, big end first.
    pub(super) fn number(&mut self) -> Result<u16, Malformed> {
        let (bytes, rest) = self.0.split_first_chunk::<2>().ok_or(Malformed::Truncated)?;
        self.0 = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    /// A packet identifier.
    pub(super) fn pkid(&mut self) -> Result<u16, Malformed> {
        match self.number()? {
            0 => Err(Malformed::PacketIdZero),
            pkid => Ok(pkid),
        }
    }

    /// Bytes behind their 16-bit length.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = usize::from(self.number()?);
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Malformed::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// UTF-8 behind its 16-bit length. (Rust's UTF-8 has no surrogates, which MQTT forbids too.)
    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let text = std::str::from_utf8(self.bytes()?).map_err(|_| Malformed::Text)?;
        if text.contains('\0') { Err(Malformed::Text) } else { Ok(text) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed::TrailingBytes) }
    }
}
