//! What a process has used, from `/proc`.

use std::fs;

use anyhow::Context;

/// Clock ticks a second in `/proc/*/stat`, on every Linux there is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time that a process has used so far, its threads together, in s. Kept in steps of 10 ms.
pub fn cpu_s(process: u32) -> anyhow::Result<f64> {
    cpu_of(&read(process, "stat")?).with_context(|| format!("/proc/{process}/stat says nothing of its time"))
}

/// Most memory that a process had resident at any time, in bytes.
pub fn peak_rss(process: u32) -> anyhow::Result<f64> {
    memory(process, "VmHWM:")
}

/// Memory that a process has resident now, in bytes.
pub fn rss(process: u32) -> anyhow::Result<f64> {
    memory(process, "VmRSS:")
}

fn memory(process: u32, field: &str) -> anyhow::Result<f64> {
    memory_of(&read(process, "status")?, field).with_context(|| format!("/proc/{process}/status says nothing of its memory"))
}

fn read(process: u32, file: &str) -> anyhow::Result<String> {
    fs::read_to_string(format!("/proc/{process}/{file}")).with_context(|| format!("process {process} is gone"))
}

fn cpu_of(stat: &str) -> Option<f64> {
    // Behind the name, which may have spaces and brackets; user and system time are the 14th and 15th field of all.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let (user, system) = (fields.next()?.parse::<f64>().ok()?, fields.next()?.parse::<f64>().ok()?);
    Some((user + system) / TICKS_PER_SECOND)
}

fn memory_of(status: &str, field: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_behind_the_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 300 0 0 0 250 50 3 4 20 0 1 0 100";
        assert_eq!(cpu_of(stat), Some(3.0));
        assert_eq!(cpu_of("7 (a) S 1"), None);
        assert_eq!(memory_of("Name:\tx\nVmHWM:\t    2048 kB\n", "VmHWM:"), Some(2.0 * 1024.0 * 1024.0));
    }

    #[test]
    fn our_own_process_is_there() {
        assert!(cpu_s(std::process::id()).unwrap() >= 0.0);
        assert!(peak_rss(std::process::id()).unwrap() > 1e6);
    }
}
