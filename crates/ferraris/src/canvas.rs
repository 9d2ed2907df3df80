//! A terminal that is drawn anew in place.

use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Columns and lines of a terminal that does not say.
const SIZE_DEFAULT: (u16, u16) = (80, 24);

/// Escape sequences (ECMA-48).
mod escape {
    pub const HOME: &str = "\x1b[H";
    pub const CLEAR: &str = "\x1b[2J";
    pub const CLEAR_LINE: &str = "\x1b[K";
    pub const CLEAR_BELOW: &str = "\x1b[J";
    pub const NO_WRAP: &str = "\x1b[?7l";
    pub const WRAP: &str = "\x1b[?7h";
}

/// A terminal's screen; leaves the last picture behind when it goes.
#[derive(Debug)]
pub struct Canvas(());

fn size() -> (u16, u16) {
    crossterm::terminal::size().unwrap_or(SIZE_DEFAULT)
}

impl Canvas {
    /// Clears the screen.
    pub fn open() -> io::Result<Self> {
        let mut out = io::stdout().lock();
        write!(out, "{}{}", escape::CLEAR, escape::HOME)?;
        out.flush()?;
        Ok(Self(()))
    }

    /// How many lines fit.
    pub fn height(&self) -> usize {
        usize::from(size().1)
    }

    /// How many lines these take, which wrap.
    pub fn lines_of(&self, whole: &[String]) -> usize {
        whole.iter().map(|line| line.chars().count().div_ceil(usize::from(size().0).max(1))).sum()
    }

    /// Shows these lines, and nothing else. Long ones are cut at the edge, except `whole` ones (to be copied), which wrap.
    pub fn draw(&mut self, lines: &[String], whole: &[String]) -> io::Result<()> {
        let mut picture = String::from(escape::HOME);
        picture.push_str(escape::NO_WRAP);
        for line in lines {
            let _ = writeln!(picture, "{line}{}", escape::CLEAR_LINE);
        }
        picture.push_str(escape::WRAP);
        for line in whole {
            let _ = writeln!(picture, "{line}{}", escape::CLEAR_LINE);
        }
        picture.push_str(escape::CLEAR_BELOW);
        let mut out = io::stdout().lock();
        out.write_all(picture.as_bytes())?;
        out.flush()
    }
}
