//! What a meter says of itself, and how fast it will talk.

use heapless::String;

/// Longest line of identification, without `/` and line end: the standard's three letters, baud rate, two characters for each
/// enhanced capability, and sixteen for the manufacturer's name of the meter; with room for meters that take more.
pub const IDENTIFICATION_LEN_MAX: usize = 64;

/// A speed of the line, in baud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Baud {
    /// 300: how every conversation begins.
    B300,
    /// 600.
    B600,
    /// 1200.
    B1200,
    /// 2400.
    B2400,
    /// 4800.
    B4800,
    /// 9600.
    B9600,
    /// 19,200.
    B19200,
}

impl Baud {
    /// All of them, in the order of their digits.
    pub const ALL: [Self; 7] = [Self::B300, Self::B600, Self::B1200, Self::B2400, Self::B4800, Self::B9600, Self::B19200];

    /// Bits a second.
    pub const fn per_second(self) -> u32 {
        match self {
            Self::B300 => 300,
            Self::B600 => 600,
            Self::B1200 => 1_200,
            Self::B2400 => 2_400,
            Self::B4800 => 4_800,
            Self::B9600 => 9_600,
            Self::B19200 => 19_200,
        }
    }

    /// From bits a second, if there is such a speed.
    pub fn from_per_second(per_second: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|baud| baud.per_second() == per_second)
    }

    /// The digit Z of mode C.
    pub const fn digit(self) -> u8 {
        match self {
            Self::B300 => b'0',
            Self::B600 => b'1',
            Self::B1200 => b'2',
            Self::B2400 => b'3',
            Self::B4800 => b'4',
            Self::B9600 => b'5',
            Self::B19200 => b'6',
        }
    }
}

/// How the conversation goes on after the identification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The meter reads out at once, at 300 baud.
    A,
    /// The meter changes to that speed by itself and reads out.
    B(Baud),
    /// The meter waits to be told what to do, and how fast: up to that speed.
    C(Baud),
}

/// `/XXXZ\Wname`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identification {
    line: String<IDENTIFICATION_LEN_MAX>,
    manufacturer: [u8; 3],
    speed: u8,
}

impl Identification {
    /// From the line without `/` and line end; `None` if it is none.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let (head, _) = line.split_first_chunk::<4>()?;
        let [a, b, c, speed] = *head;
        let text = core::str::from_utf8(line).ok()?;
        let printable = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if !printable || ![a, b, c].iter().all(u8::is_ascii_alphabetic) {
            return None;
        }
        Some(Self { line: String::try_from(text).ok()?, manufacturer: [a, b, c], speed })
    }

    /// The whole line, without `/` and line end.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// The manufacturer's three letters, as registered with the FLAG association: upper case.
    pub fn manufacturer(&self) -> [char; 3] {
        self.manufacturer.map(|letter| char::from(letter.to_ascii_uppercase()))
    }

    /// The manufacturer's name of the meter: what follows the speed and the enhanced capabilities.
    pub fn name(&self) -> &str {
        let mut name = self.line.get(4..).unwrap_or_default();
        while let Some(capability) = name.strip_prefix('\\') {
            let mut rest = capability.chars();
            rest.next();
            name = rest.as_str();
        }
        name
    }

    /// How the conversation goes on.
    pub fn mode(&self) -> Mode {
        match self.speed {
            digit @ b'0'..=b'6' => Baud::ALL.into_iter().find(|baud| baud.digit() == digit).map_or(Mode::A, Mode::C),
            b'A' => Mode::B(Baud::B600),
            b'B' => Mode::B(Baud::B1200),
            b'C' => Mode::B(Baud::B2400),
            b'D' => Mode::B(Baud::B4800),
            b'E' => Mode::B(Baud::B9600),
            b'F' => Mode::B(Baud::B19200),
            _ => Mode::A,
        }
    }

    /// Whether it can talk HDLC (mode E) as well, which nobody asks it to here.
    pub fn speaks_hdlc(&self) -> bool {
        self.line.get(4..).is_some_and(|rest| rest.starts_with("\\2"))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    fn parse(line: &str) -> Identification {
        Identification::parse(line.as_bytes()).expect(line)
    }

    #[test]
    fn letters_speed_and_name() {
        let iskra = parse("ISk5MT174-0002");
        assert_eq!((iskra.manufacturer(), iskra.mode(), iskra.name()), (['I', 'S', 'K'], Mode::C(Baud::B9600), "MT174-0002"));
        let elster = parse("Els6\\2EK280");
        assert_eq!((elster.mode(), elster.name(), elster.speaks_hdlc()), (Mode::C(Baud::B19200), "EK280", true));
        assert_eq!((parse("LGZD\\2ZMF").mode(), parse("ABC:x").mode(), parse("ABC7").mode()), (Mode::B(Baud::B4800), Mode::A, Mode::A));
        assert_eq!(parse("ABC5\\").name(), "");
    }

    #[test]
    fn what_is_no_identification_is_refused() {
        for line in [&b""[..], b"ISK", b"1SK5", b"IS\x005", b"ISK5\x7f", b"?!", &[b'A'; 65]] {
            assert_eq!(Identification::parse(line), None, "{line:?}");
        }
    }
}
