//! Servers whose packages cannot be installed beside Postfix's: `tests/install-peers.sh` unpacks them, and each runs in a
//! mount namespace of its own, where they find their users and folders. Nothing of that is seen outside, nor left behind.

use std::path::{Path, PathBuf};

use super::Scratch;
use super::process::Peer;

/// A package that was unpacked.
pub struct Unpacked(PathBuf);

impl Unpacked {
    pub fn find(package: &str) -> Unpacked {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers").join(package);
        assert!(folder.exists(), "{} is missing: run tests/install-peers.sh", folder.display());
        Unpacked(folder)
    }

    /// Where one of its folders lies.
    pub fn join(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    /// Where the package lies for the server itself and the users that it runs as, who may not get to where it lies here.
    pub fn seen_at(scratch: &Scratch) -> PathBuf {
        scratch.join("package")
    }

    /// Runs `command`, a server in the foreground, on a machine that has these `users` besides, and folders `over` others:
    /// each as it is here, and where it is there.
    pub fn spawn(
        &self,
        scratch: &Scratch,
        users: &[&str],
        over: &[(PathBuf, &str)],
        command: &[&str],
    ) -> Peer {
        const HOUSE: &str = r#"set -e
            while [ "$1" != -- ]; do mount --bind "$1" "$2"; shift 2; done
            shift; exec "$@""#;
        let seen_at = Unpacked::seen_at(scratch);
        std::fs::create_dir(&seen_at).unwrap();
        let numbered = || (64_100..).zip(users);
        let passwd: String = numbered()
            .map(|(number, user)| {
                format!("{user}:x:{number}:{number}::/var/lib/{user}/empty:/usr/sbin/nologin\n")
            })
            .collect();
        let group: String = numbered().map(|(number, user)| format!("{user}:x:{number}:\n")).collect();
        // The first line that has a name counts.
        let longer = |lines: String, file: &str| {
            let theirs = std::fs::read_to_string(Path::new("/etc").join(file)).unwrap();
            scratch.write(file, lines + &theirs)
        };
        let (passwd, group) = (longer(passwd, "passwd"), longer(group, "group"));
        let mut mounts = vec![
            (self.0.as_path(), seen_at.to_str().unwrap()),
            (&passwd, "/etc/passwd"),
            (&group, "/etc/group"),
        ];
        mounts.extend(over.iter().map(|(from, to)| (from.as_path(), *to)));
        let mut args = vec!["--mount", "/bin/sh", "-c", HOUSE, "house"];
        args.extend(mounts.iter().flat_map(|(from, to)| [from.to_str().unwrap(), to]));
        args.push("--");
        args.extend(command);
        Peer::spawn("unshare", &args, scratch.path())
    }
}
