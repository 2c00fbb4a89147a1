//! How much is written to a flash, since every octet wears it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{major, minor};

/// Octets that this process has caused to be written since its start; `None` when the system does not tell.
pub fn of_process() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/io").ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("write_bytes:"))?;
    value.trim().parse().ok()
}

/// Octets that all processes and the file system have written to the partition of `folder` since the machine was
/// switched on. `None` when the folder is not on a block device.
pub fn of_device(folder: &Path) -> Option<u64> {
    let device = folder.metadata().ok()?.dev();
    let path = format!("/sys/dev/block/{}:{}/stat", major(device), minor(device));
    sectors_written(&fs::read_to_string(path).ok()?).map(|sectors| sectors.saturating_mul(512))
}

/// The seventh field of a block device's `stat` (Linux: `Documentation/block/stat.rst`), which counts sectors of 512
/// octets whatever the size of the device's sectors.
fn sectors_written(stat: &str) -> Option<u64> {
    stat.split_whitespace().nth(6)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seventh_field_counts() {
        let stat = "    4521      203   210530     1410     3317     4470    62410     5120        0     3830     6530\n";
        assert_eq!(sectors_written(stat), Some(62_410));
        assert_eq!((sectors_written(""), sectors_written("1 2 3 4 5 6 x")), (None, None));
        assert!(of_process().is_some());
        assert_eq!(of_device(Path::new("/proc")), None);
    }
}
