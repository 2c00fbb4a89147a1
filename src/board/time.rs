//! The last time that the device is known to have lived in: what a board without a clock starts from.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970 UTC of the newest of: the image's making (the modification time of `version` in
/// `etc`), and all files and folders in `data`, and in its folders. 0 where there is nothing.
///
/// It is too early by as long as the device was without power, never too late unless its clock was
/// wrong before; NTP corrects both.
///
/// # Errors
/// `data` is there and cannot be read.
pub fn newest(etc: &Path, data: &Path) -> io::Result<u64> {
    let image = made(etc).unwrap_or(0);
    Ok(image.max(newest_in(data, 1)?))
}

/// When the image was made, in seconds since 1970 UTC: with it, the packages in it are of that day or older. `None` where `etc` does
/// not tell.
pub fn made(etc: &Path) -> Option<u64> {
    Some(modified(&etc.join("version"))).filter(|made| *made > 0)
}

fn newest_in(folder: &Path, levels: u32) -> io::Result<u64> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut newest = modified(folder);
    for entry in entries {
        let path = entry?.path();
        newest = newest.max(modified(&path));
        if levels > 0 && path.is_dir() && !path.is_symlink() {
            newest = newest.max(newest_in(&path, levels - 1)?);
        }
    }
    Ok(newest)
}

/// Of the name itself, not of what a symbolic link leads to.
fn modified(path: &Path) -> u64 {
    let time = fs::symlink_metadata(path).and_then(|metadata| metadata.modified()).unwrap_or(UNIX_EPOCH);
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_newest_file_of_two_levels_counts() {
        let root = std::env::temp_dir().join(format!("pillarbox-time-{}", std::process::id()));
        let (etc, data) = (root.join("etc"), root.join("data"));
        assert_eq!(newest(&etc, &data).unwrap(), 0);
        fs::create_dir_all(&etc).unwrap();
        fs::create_dir_all(data.join("queue/deep")).unwrap();
        let put = |path: &Path, seconds: u64| {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            if !path.is_dir() {
                fs::write(path, "x").unwrap();
            }
            fs::File::open(path).unwrap().set_modified(time).unwrap();
        };
        let early = || {
            for folder in ["queue/deep", "queue", ""] {
                put(&data.join(folder), 1000);
            }
        };
        put(&etc.join("version"), 5000);
        early();
        assert_eq!(newest(&etc, &data).unwrap(), 5000);
        put(&data.join("queue/deep/below"), 9000);
        early();
        assert_eq!(newest(&etc, &data).unwrap(), 5000, "three levels are too many");
        put(&data.join("queue/segment"), 7000);
        early();
        assert_eq!(newest(&etc, &data).unwrap(), 7000);
        put(&data.join("config.postcard"), 8000);
        early();
        assert_eq!(newest(&etc, &data).unwrap(), 8000);
        fs::remove_dir_all(root).unwrap();
    }
}
