//! Reads the tables.
//!
//! ```text
//! a = tcp | admin                     a plain connection, to the MQTT or to the admin address
//! a = tls ROLE NAME                   after the handshake
//! a = ROLE NAME                       after CONNACK; ROLE is meter, service or operator
//! a > BYTES  [xN]                     sends, N times, as long as it is let
//! a ~ BYTES                           sends one byte after the other, slowly, until the connection ends
//! a < BYTES                           gets exactly this next
//! a answers 400                       gets an HTTP status
//! a quiet                             a ping is answered and nothing came before
//! a closed                            the connection ends without another packet
//! a ends                              it ends, whatever came before
//! a leaves | resets                   closes the connection, or breaks it
//! ```
//! BYTES: `pXX …` a packet whose length is filled in (up to the next `p` or `;`), `c'id'` a whole CONNECT, `XX…` hexadecimal,
//! `'text'`, `s'text'` a text behind its length, `s(XX*N)` and `XX*N` a byte repeated. In quotes, `{name}` is that name in this row,
//! `{up name}`, `{dn name}` and `{cmd name}` its topics.

use std::collections::BTreeMap;

use pki::Role;

use crate::support::{command, connect_packet, down, packet, text, up};

/// A row.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) steps: Vec<Step>,
    /// By how much each counter moves.
    pub(super) counters: BTreeMap<String, u64>,
}

/// What one client does, and as it stands in the table.
pub(super) struct Step {
    pub(super) who: char,
    pub(super) act: Act,
    pub(super) text: String,
}

pub(super) enum Act {
    Open(Opening),
    Send { bytes: Vec<u8>, times: usize },
    Drip(Vec<u8>),
    Get(Vec<u8>),
    Answers(String),
    Quiet,
    Closed,
    Ends,
    Leave,
    Reset,
}

pub(super) enum Opening {
    Tcp,
    Admin,
    Tls(Role, String),
    Session(Role, String),
}

/// All rows of a table.
pub(super) fn rows(table: &str) -> Vec<Row> {
    let lines = table.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|(number, line)| row(number, line)).collect()
}

fn row(number: usize, line: &str) -> Row {
    let columns: Vec<&str> = line.split(" | ").map(str::trim).collect();
    let [name, steps, counters] = columns[..] else { panic!("line {}: three columns, not {}", number + 1, columns.len()) };
    let steps = steps.split("; ").map(|text| step(number, text.trim())).collect();
    let counters = counters.split(", ").filter(|counter| *counter != "-").map(counter).collect();
    Row { name: name.to_owned(), steps, counters }
}

fn counter(text: &str) -> (String, u64) {
    match text.rsplit_once(" x") {
        Some((name, count)) => (name.to_owned(), count.parse().unwrap()),
        None => (text.to_owned(), 1),
    }
}

fn step(row: usize, text: &str) -> Step {
    let (who, rest) = text.split_once(' ').unwrap_or_else(|| panic!("line {}: {text}", row + 1));
    let (verb, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let act = match verb {
        "=" => Act::Open(opening(row, rest)),
        ">" => {
            let (bytes_text, times) = match rest.rsplit_once(" x") {
                Some((before, count)) if count.parse::<usize>().is_ok() => (before, count.parse().unwrap()),
                _ => (rest, 1),
            };
            Act::Send { bytes: bytes(row, bytes_text), times }
        }
        "~" => Act::Drip(bytes(row, rest)),
        "<" => Act::Get(bytes(row, rest)),
        "answers" => Act::Answers(rest.to_owned()),
        "quiet" => Act::Quiet,
        "closed" => Act::Closed,
        "ends" => Act::Ends,
        "leaves" => Act::Leave,
        "resets" => Act::Reset,
        other => panic!("line {}: no step `{other}`", row + 1),
    };
    Step { who: who.chars().next().unwrap(), act, text: text.to_owned() }
}

fn opening(row: usize, text: &str) -> Opening {
    let role = |role: &str| role.parse().unwrap_or_else(|_| panic!("line {}: no role `{role}`", row + 1));
    match text.split_whitespace().collect::<Vec<_>>()[..] {
        ["tcp"] => Opening::Tcp,
        ["admin"] => Opening::Admin,
        ["tls", kind, name] => Opening::Tls(role(kind), own(row, name)),
        [kind, name] => Opening::Session(role(kind), own(row, name)),
        _ => panic!("line {}: {text}", row + 1),
    }
}

/// A name that no other row has.
fn own(row: usize, name: &str) -> String {
    format!("{name}-{row}")
}

fn bytes(row: usize, text: &str) -> Vec<u8> {
    let (mut out, mut open): (Vec<u8>, Option<(u8, Vec<u8>)>) = (Vec::new(), None);
    let close = |open: &mut Option<(u8, Vec<u8>)>, out: &mut Vec<u8>| {
        if let Some((first, body)) = open.take() {
            out.extend(packet(first, &body));
        }
    };
    for token in tokens(text) {
        match token.strip_prefix('p').filter(|rest| rest.len() == 2) {
            Some(first) => {
                close(&mut open, &mut out);
                open = Some((hex(row, first)[0], Vec::new()));
            }
            None => open.as_mut().map_or(&mut out, |(_, body)| body).extend(token_bytes(row, &token)),
        }
    }
    close(&mut open, &mut out);
    out
}

/// Separated by blanks that are not in quotes.
fn tokens(text: &str) -> Vec<String> {
    let (mut tokens, mut quoted) = (vec![String::new()], false);
    for character in text.chars() {
        quoted ^= character == '\'';
        match tokens.last_mut() {
            Some(last) if quoted || character != ' ' => last.push(character),
            _ => tokens.push(String::new()),
        }
    }
    tokens.retain(|token| !token.is_empty());
    tokens
}

fn token_bytes(row: usize, token: &str) -> Vec<u8> {
    let quoted = |rest: &str| Some(fill(row, rest.strip_prefix('\'')?.strip_suffix('\'')?));
    if let Some(plain) = quoted(token) {
        return plain.into_bytes();
    }
    if let Some(id) = token.strip_prefix('c').and_then(quoted) {
        return connect_packet(&id, 60);
    }
    if let Some(inner) = token.strip_prefix("s(").and_then(|rest| rest.strip_suffix(')')) {
        return text(&token_bytes(row, inner));
    }
    if let Some(string) = token.strip_prefix('s').and_then(quoted) {
        return text(string.as_bytes());
    }
    match token.split_once('*') {
        Some((pattern, count)) => hex(row, pattern).repeat(count.parse().unwrap()),
        None => hex(row, token),
    }
}

fn hex(row: usize, digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2), "line {}: `{digits}`", row + 1);
    let byte = |at| {
        digits.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok()).unwrap_or_else(|| panic!("line {}: `{digits}`", row + 1))
    };
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// Replaces names and topics in braces.
fn fill(row: usize, text: &str) -> String {
    let Some((before, rest)) = text.split_once('{') else { return text.replace("\\r\\n", "\r\n") };
    let (inner, after) = rest.split_once('}').unwrap_or_else(|| panic!("line {}: `{text}`", row + 1));
    let value = match inner.split_once(' ') {
        None => own(row, inner),
        Some(("up", name)) => up(&own(row, name)),
        Some(("dn", name)) => down(&own(row, name)),
        Some(("cmd", name)) => command(&own(row, name)),
        Some(_) => panic!("line {}: `{{{inner}}}`", row + 1),
    };
    format!("{before}{value}{}", fill(row, after))
}
