//! What is printed of a run, and appended to a page with the machine and the date.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use time::OffsetDateTime;

use crate::figure::{self, Figure};
use crate::scenario::Outcome;

/// The table, what became of its targets, and all figures that are in no table.
pub fn text(outcomes: &[Outcome], rooms: &[Figure]) -> String {
    let mut lines = Vec::new();
    if !outcomes.is_empty() {
        lines.push(figure::HEAD.to_owned());
        lines.extend(outcomes.iter().map(figure::row));
    }
    let of_table: Vec<_> = outcomes.iter().flat_map(figure::figures).collect();
    lines.extend(figure::verdicts(&of_table));
    lines.extend(rooms.iter().map(figure::line));
    lines.join("\n")
}

/// Appends a run to a page: where and when, the table, and each other figure as a row of its own.
pub fn append(page: &Path, command: &str, outcomes: &[Outcome], rooms: &[Figure], machine: &str) -> anyhow::Result<()> {
    let mut text = format!("\n`{command}`, {machine}:\n");
    if !outcomes.is_empty() {
        let rows: Vec<_> = outcomes.iter().map(figure::row).collect();
        text += &format!("\n{}\n{}\n", figure::HEAD, rows.join("\n"));
    }
    if !rooms.is_empty() {
        let rows: Vec<_> = rooms.iter().map(Figure::table_row).collect();
        text += &format!("\n| figure | measured | to reach | |\n|---|---:|---:|---|\n{}\n", rows.join("\n"));
    }
    let mut file = fs::OpenOptions::new().append(true).open(page).with_context(|| format!("cannot append to {}", page.display()))?;
    file.write_all(text.as_bytes())?;
    eprintln!("appended to {}", page.display());
    Ok(())
}

/// The machine, the date and how busy it was before: `2026-11-29, 2 × Intel Xeon, load average 3.1 before and 2.9 after`.
pub fn machine(load_before: f64) -> anyhow::Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let named = cpus.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name.trim());
    let names: Vec<_> = named.collect();
    let name = names.first().copied().unwrap_or("unknown processor");
    let date = OffsetDateTime::now_utc().date();
    Ok(format!(
        "{date}, {} × {name}, load average {load_before:.1} before, {:.1} after (2 are its own)",
        names.len().max(1),
        load_average()?
    ))
}

/// Processes that wanted to run in the last minute.
pub fn load_average() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/loadavg").context("cannot read /proc/loadavg")?;
    Ok(text.split(' ').next().context("/proc/loadavg is empty")?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_appended_behind_what_the_page_says() {
        let page = tempfile::NamedTempFile::new().unwrap();
        fs::write(page.path(), "# Page\n").unwrap();
        let machine = machine(1.0).unwrap();
        append(page.path(), "./dev bench pipeline", &[], &[figure::Figure::told("a | b", 2.0, "s")], &machine).unwrap();
        let text = fs::read_to_string(page.path()).unwrap();
        assert!(text.starts_with("# Page\n\n`./dev bench pipeline`, 20"), "{text}");
        assert!(text.ends_with("| a / b | 2.0 s | | |\n"), "{text}");
        assert!(append(Path::new("/no/such/page"), "", &[], &[], "").is_err());
    }
}
