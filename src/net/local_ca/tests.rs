//! Certificates over time, cuts, damage, and a flash that takes no changes.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::io::Errno;

use super::*;
use crate::flash::disk::Disk;
use crate::flash::refusing::Refusing;
use crate::flash::sim::SimFlash;

const NOW: i64 = EPOCH as i64 + 1_000_000;
const DAYS: i64 = DAY as i64;

/// A data folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("pillarbox-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Folder(folder)
    }
    fn content(&self, path: &str) -> String {
        std::fs::read_to_string(self.0.join(path)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn named(hostname: &str) -> BTreeSet<String> {
    let names = [hostname, "localhost", "127.0.0.1", "::1", "192.168.7.5"];
    names.map(str::to_lowercase).into()
}

#[test]
fn the_certificate_stays_until_it_does_not_fit_and_the_ca_for_good() {
    async_io::block_on(async {
        let folder = Folder::new("local-ca");
        let disk = Disk::new(&folder.0).unwrap();
        let certificate = async |hostname: &str, now| {
            let (chain, _) = identity(&named(hostname), &disk, now).await.unwrap();
            chain[0].clone()
        };
        let first = certificate("pillarbox.local", NOW).await;
        let (ca, ca_key) = (folder.content(CA), folder.content(CA_KEY));
        assert_eq!(certificate("pillarbox.local", NOW).await, first);
        assert_eq!(certificate("PILLARBOX.local", NOW + 790 * DAYS).await, first);
        assert_eq!(certificate("pillarbox.local", 0).await, first, "no clock yet");

        let renewed = certificate("pillarbox.local", NOW + 800 * DAYS).await;
        assert_ne!(renewed, first);
        let renamed = certificate("mail.home.example", NOW).await;
        assert_ne!(renamed, first);
        std::fs::write(folder.0.join(KEY), "torn").unwrap();
        assert_ne!(certificate("mail.home.example", NOW).await, renamed);
        assert_eq!((folder.content(CA), folder.content(CA_KEY)), (ca, ca_key));
    });
}

/// Fails where the folder `tls` is not synced into the one above it.
#[test]
fn a_cut_leaves_the_ca_that_devices_were_given() {
    smol::block_on(async {
        let flash = SimFlash::default();
        identity(&named("pillarbox.local"), &flash, NOW).await.unwrap();
        let given = certificate(&flash).unwrap().unwrap();
        for seed in 0..8 {
            let flash = flash.restart(seed);
            identity(&named("pillarbox.local"), &flash, NOW).await.unwrap();
            assert!(certificate(&flash).unwrap().unwrap() == given, "cut {seed}");
        }
    });
}

#[test]
fn clients_that_trust_the_ca_accept_every_name() {
    async_io::block_on(async {
        let folder = Folder::new("local-ca-names");
        let disk = Disk::new(&folder.0).unwrap();
        let (chain, key) = identity(&named("pillarbox.local"), &disk, NOW).await.unwrap();
        let shelf = Shelf { flash: &disk, refuses: Cell::default() };
        let ca = Authority::open(&shelf, None).await.unwrap();
        let vouches = |name: &str| {
            ca.would_vouch(&chain, &key, &BTreeSet::from([name.to_owned()]), Some(NOW.unsigned_abs()))
        };
        for name in ["pillarbox.local", "localhost", "127.0.0.1", "::1", "192.168.7.5"] {
            assert!(vouches(name), "{name}");
        }
        for name in ["elsewhere.example", "0.0.0.0", "192.168.7.6"] {
            assert!(!vouches(name), "{name}");
        }
        for path in [KEY, CA_KEY] {
            let mode = std::fs::metadata(folder.0.join(path)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{path}");
        }
    });
}

/// Catches a TLS that is given up where nothing can be kept, and a new key under the old CA's certificate.
#[test]
fn what_cannot_be_kept_is_made_for_as_long_as_the_process_lives() {
    async_io::block_on(async {
        for errno in [Errno::ROFS, Errno::IO] {
            let flash = SimFlash::default();
            let certificate = async |flash: &dyn Flash, hostname: &str| {
                let (chain, key) = identity(&named(hostname), flash, NOW).await.unwrap();
                assert!(tls::serve(chain.clone(), key).is_ok());
                chain[0].clone()
            };
            let first = certificate(&flash, "pillarbox.local").await;
            let before = flash.files();
            let refusing = Refusing::new(flash.clone(), Some(errno));
            assert_eq!(certificate(&refusing, "pillarbox.local").await, first);
            let renamed = certificate(&refusing, "mail.home.example").await;
            assert_ne!(renamed, first);
            let roots = BTreeSet::from(["mail.home.example".to_owned()]);
            let shelf = Shelf { flash: &refusing, refuses: Cell::default() };
            let ca = Authority::open(&shelf, None).await.unwrap();
            let (chain, key) = identity(&named("mail.home.example"), &refusing, NOW).await.unwrap();
            assert!(
                ca.would_vouch(&chain, &key, &roots, Some(NOW.unsigned_abs())),
                "by the CA that devices know"
            );
            assert_eq!(flash.files(), before);

            // The key of the CA is lost, its certificate is not.
            flash.remove(CA_KEY).unwrap();
            let ca = Authority::open(&shelf, None).await.unwrap();
            let (chain, key) = ca.issue(&roots, None).unwrap();
            let pair = (tls::chain(chain.as_bytes()).unwrap(), tls::private_key(key.as_bytes()).unwrap());
            assert!(ca.would_vouch(&pair.0, &pair.1, &roots, None));
            certificate(&Refusing::new(SimFlash::default(), Some(errno)), "pillarbox.local").await;
        }
    });
}

#[test]
fn a_damaged_ca_key_is_not_replaced_in_silence() {
    async_io::block_on(async {
        let folder = Folder::new("local-ca-damaged");
        let disk = Disk::new(&folder.0).unwrap();
        disk.create_dir("tls").unwrap();
        std::fs::write(folder.0.join(CA_KEY), "torn").unwrap();
        let error = identity(&named("pillarbox.local"), &disk, NOW).await.unwrap_err().to_string();
        assert!(error.starts_with("tls/ca.key: "), "{error}");
        assert!(error.contains("remove it"), "{error}");
    });
}
