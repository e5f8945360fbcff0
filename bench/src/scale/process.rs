//! The CPU time and memory of a process, from Linux.

use std::fs;
use std::time::Duration;

/// Clock ticks per second in the files of Linux, whatever unit it uses itself.
const TICKS: u64 = 100;

/// The CPU time and memory of a process since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on a CPU, in user space and in the kernel.
    pub cpu: Duration,
    /// The most memory that was resident at any time, in KiB.
    pub peak_kib: u64,
}

impl Usage {
    /// The peak in MiB.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "memory is far from 2^53 KiB")]
    pub fn peak_mib(&self) -> f64 {
        self.peak_kib as f64 / 1024.0
    }

    /// This usage, completed with an earlier one if the process is gone or a zombie.
    #[must_use]
    pub fn or_before(self, before: Self) -> Self {
        Self { cpu: self.cpu.max(before.cpu), peak_kib: self.peak_kib.max(before.peak_kib) }
    }
}

/// The usage of the process with this id; zero if it is gone. A zombie still has its CPU time, but not its memory.
#[must_use]
pub fn usage(pid: u32) -> Usage {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let cpu = ticks(&read("stat")).max(threads(pid));
    Usage { cpu, peak_kib: peak(&read("status")).unwrap_or_default() }
}

/// CPU time to the nanosecond, without ended threads.
fn threads(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let on_cpu = |entry: fs::DirEntry| -> Option<u64> {
        let text = fs::read_to_string(entry.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    Duration::from_nanos(threads.filter_map(on_cpu).sum())
}

/// CPU time to the tick: fields 14 and 15. The second field is the program's name, in parentheses, and may contain any
/// text.
fn ticks(stat: &str) -> Duration {
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / TICKS)
}

/// Resets the peak of memory to the current value. Only the owner of the process and root may do that.
///
/// # Panics
/// The process is gone, or has another owner.
pub fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the process is ours");
}

fn peak(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_name_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 5 0 0";
        assert_eq!(ticks(stat), Duration::from_secs(3));
        assert_eq!(ticks(""), Duration::ZERO);
    }

    #[test]
    fn the_peak_is_in_kib() {
        assert_eq!(peak("VmPeak:\t  900 kB\nVmHWM:\t    1234 kB\nVmRSS:\t 10 kB\n"), Some(1234));
        assert_eq!(peak("State:\tZ (zombie)\n"), None);
    }

    #[test]
    fn this_process_uses_something() {
        let usage = usage(std::process::id());
        assert!(usage.cpu > Duration::ZERO && usage.peak_kib > 100, "{usage:?}");
    }
}
