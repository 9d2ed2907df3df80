//! Bytes as people have them: raw, hexadecimal, base64; as an argument, in a file, on stdin.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Most bytes read: a frame's 4 KiB in the longest writing, with room for blanks.
const INPUT_MAX: u64 = 64 * 1024;

/// How bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Encoding {
    /// Hexadecimal digits; blanks, colons and a leading 0x do not matter
    Hex,
    /// Base64, with the standard alphabet
    Base64,
    /// The bytes themselves
    Raw,
}

/// Reads the bytes from the argument, the file, or stdin.
pub fn read(argument: Option<&str>, file: Option<&Path>, encoding: Option<Encoding>) -> anyhow::Result<Vec<u8>> {
    let (input, origin) = match (argument, file) {
        (Some(text), _) if text != "-" => (text.as_bytes().to_vec(), "the argument".to_owned()),
        (_, Some(path)) => {
            let file = fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            (limited(file)?, path.display().to_string())
        }
        _ => (limited(io::stdin().lock())?, "stdin".to_owned()),
    };
    if input.is_empty() {
        bail!("{origin} is empty: give a frame's or an acknowledgement's bytes");
    }
    decode(&input, encoding).with_context(|| format!("cannot read bytes from {origin}"))
}

fn limited(source: impl io::Read) -> anyhow::Result<Vec<u8>> {
    let mut input = Vec::new();
    source.take(INPUT_MAX.saturating_add(1)).read_to_end(&mut input)?;
    if u64::try_from(input.len()).is_ok_and(|len| len > INPUT_MAX) {
        bail!("more than {INPUT_MAX} bytes: one frame or acknowledgement is expected");
    }
    Ok(input)
}

fn decode(input: &[u8], encoding: Option<Encoding>) -> anyhow::Result<Vec<u8>> {
    match encoding.unwrap_or_else(|| guess(input)) {
        Encoding::Raw => Ok(input.to_vec()),
        Encoding::Hex => hexadecimal(text(input)?),
        Encoding::Base64 => {
            let compact: String = text(input)?.split_whitespace().collect();
            STANDARD.decode(&compact).with_context(|| format!("no base64 (of {} characters)", compact.len()))
        }
    }
}

/// No text begins like our bytes, and our bytes in base64 always begin with a slash, which is no hexadecimal digit.
fn guess(input: &[u8]) -> Encoding {
    let first = input.iter().find(|byte| !byte.is_ascii_whitespace());
    if std::str::from_utf8(input).is_err() {
        Encoding::Raw
    } else if first == Some(&b'/') {
        Encoding::Base64
    } else {
        Encoding::Hex
    }
}

fn text(input: &[u8]) -> anyhow::Result<&str> {
    std::str::from_utf8(input).context("this is not text: try --encoding raw")
}

fn hexadecimal(text: &str) -> anyhow::Result<Vec<u8>> {
    let text = text.trim();
    let start = if text.starts_with("0x") { 2 } else { 0 };
    let mut digits = String::new();
    for (position, c) in text.char_indices().skip(start) {
        match c {
            '0'..='9' | 'a'..='f' | 'A'..='F' => digits.push(c),
            ' ' | '\t' | '\r' | '\n' | ':' | '-' => {}
            other => bail!("{other:?} at character {} is no hexadecimal digit", position.saturating_add(1)),
        }
    }
    if digits.len() % 2 == 1 {
        bail!("{} hexadecimal digits: bytes have two each, one is missing", digits.len());
    }
    Ok(hex::decode(&digits)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_writing_of_the_same_bytes() {
        for input in [&b"fe01aB"[..], b"0xfe01ab\n", b"FE:01:AB", b" fe 01\nab", b"/gGr\n", b"\xfe\x01\xab"] {
            assert_eq!(decode(input, None).unwrap(), [0xfe, 0x01, 0xab], "{input:?}");
        }
        assert_eq!(decode(b"AAEC", Some(Encoding::Base64)).unwrap(), [0, 1, 2]);
        assert_eq!(decode(b"ab", Some(Encoding::Raw)).unwrap(), b"ab");
    }

    #[test]
    fn mistakes_say_where() {
        assert_eq!(decode(b"fe0z", None).unwrap_err().to_string(), "'z' at character 4 is no hexadecimal digit");
        assert!(decode(b"fe0", None).unwrap_err().to_string().contains("3 hexadecimal digits"));
        assert!(decode(b"/gG", None).is_err());
    }
}
