//! What the kernel says about a process.

use std::fs;

/// The names of all threads.
pub fn threads(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks
        .filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect()
}

/// Fails when the appliance has a thread besides the main one and async-io's parked helper. Workers of the kernel's
/// io_uring, which never run our code, do not count.
#[track_caller]
pub fn assert_one_thread(pid: u32) {
    let mut names = threads(pid);
    names.retain(|name| !name.starts_with("iou-"));
    names.sort();
    assert_eq!(names, ["async-io", "pillarbox"]);
}

/// Octets of memory: private, and the share of what is shared (PSS).
pub fn pss(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    number_after(&text, "Pss:") << 10
}

/// Octets of memory in use now.
pub fn resident(pid: u32) -> u64 {
    number_after(&status(pid), "VmRSS:") << 10
}

/// Makes what is in use now the peak.
pub fn reset_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

/// The most octets of memory that were in use since [`reset_peak`].
pub fn peak(pid: u32) -> u64 {
    number_after(&status(pid), "VmHWM:") << 10
}

fn status(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default()
}

/// Octets that the process has caused to be written to disk.
pub fn written(pid: u32) -> u64 {
    number_after(&fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default(), "write_bytes:")
}

/// Octets that the process has caused to be read from disk.
pub fn read(pid: u32) -> u64 {
    number_after(&fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default(), "read_bytes:")
}

fn number_after(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}
