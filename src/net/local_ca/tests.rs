//! Certificates over time, power cuts, damage, and a flash that takes no changes.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::io::Errno;

use super::*;
use crate::flash::disk::Disk;
use crate::flash::refusing::Refusing;
use crate::flash::sim::SimFlash;

const NOW: i64 = EPOCH as i64 + 1_000_000;
const DAYS: i64 = DAY as i64;

/// A data folder that is removed when this is dropped.
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
        let renamed = certificate("mail.local", NOW).await;
        assert_ne!(renamed, first);
        std::fs::write(folder.0.join(KEY), "torn").unwrap();
        assert_ne!(certificate("mail.local", NOW).await, renamed);
        assert_eq!((folder.content(CA), folder.content(CA_KEY)), (ca.clone(), ca_key.clone()));

        let elsewhere = certificate("mail.home.example", NOW).await;
        assert_ne!(folder.content(CA), ca, "it may sign for this name only now");
        let ca = folder.content(CA);
        assert_eq!(certificate("mail.home.example", NOW).await, elsewhere);
        assert_eq!((folder.content(CA), folder.content(CA_KEY)), (ca, ca_key));
    });
}

/// The authority as a device sees it that has imported this certificate.
async fn imported(flash: &dyn Flash, ca: &str) -> Authority {
    let shelf = Shelf { flash, refuses: Cell::default() };
    let own = Authority::open(&shelf, &named("pillarbox.local"), None).await.unwrap();
    Authority { certificate: tls::chain(ca.as_bytes()).unwrap().pop().unwrap(), key: own.key }
}

/// Whether a device that has imported `ca` accepts a new certificate for `names`.
fn accepts(ca: &Authority, names: &[&str]) -> bool {
    let names: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let (chain, key) = ca.issue(&names, Some(NOW.unsigned_abs())).unwrap();
    let (chain, key) = (tls::chain(chain.as_bytes()).unwrap(), tls::private_key(key.as_bytes()).unwrap());
    ca.would_vouch(&chain, &key, &names, Some(NOW.unsigned_abs()))
}

/// Catches: a stolen CA key with which all servers of the world can be faked to the devices at home.
#[test]
fn the_ca_may_sign_only_for_what_is_at_home() {
    async_io::block_on(async {
        let flash = SimFlash::default();
        for hostname in ["mail.home.example", "pillarbox.local"] {
            identity(&named(hostname), &flash, NOW).await.unwrap();
            let pem = String::from_utf8(certificate(&flash).unwrap().unwrap()).unwrap();
            let shelf = Shelf { flash: &flash, refuses: Cell::default() };
            let ca = Authority::open(&shelf, &named(hostname), None).await.unwrap();
            assert_eq!(tls::chain(pem.as_bytes()).unwrap()[0], ca.certificate);
            for name in [
                hostname,
                "nas.local",
                "nas.home.arpa",
                "localhost",
                "10.255.0.1",
                "172.16.0.1",
                "172.31.255.255",
                "192.168.250.1",
                "169.254.7.7",
                "127.8.8.8",
                "::1",
                "fd12:3456::1",
                "fe80::1",
            ] {
                assert!(accepts(&ca, &[name]), "{hostname}: {name}");
            }
            for name in [
                "bank.example",
                "home.example",
                "local.example",
                "notlocal",
                "arpa",
                "198.51.100.1",
                "172.32.0.1",
                "11.0.0.1",
                "192.169.0.1",
                "::2",
                "2001:db8::1",
                "fec0::1",
            ] {
                assert!(!accepts(&ca, &[name]), "{hostname}: {name}");
                assert!(!accepts(&ca, &[hostname, name]), "{hostname}: {name}");
            }
        }
        let renamed = certificate(&flash).unwrap().unwrap();
        let ca = imported(&flash, std::str::from_utf8(&renamed).unwrap()).await;
        assert!(!accepts(&ca, &["mail.home.example"]), "a host name that was ours once");
    });
}

/// Catches: an outside address because of which clients refuse the whole certificate.
#[test]
fn addresses_that_may_not_be_signed_are_left_out() {
    async_io::block_on(async {
        let flash = SimFlash::default();
        let mut names = named("pillarbox.local");
        names.extend(["203.0.113.5", "2001:db8::5"].map(str::to_owned));
        let (chain, key) = identity(&names, &flash, NOW).await.unwrap();
        let shelf = Shelf { flash: &flash, refuses: Cell::default() };
        let ca = Authority::open(&shelf, &names, None).await.unwrap();
        assert!(ca.would_vouch(&chain, &key, &named("pillarbox.local"), Some(NOW.unsigned_abs())));
        assert_eq!(identity(&names, &flash, NOW).await.unwrap().0, chain, "and it stays");
    });
}

/// Catches: a CA that is spoilt for ever by a first start with the clock ahead, or by a clock that was ahead for an
/// hour.
#[test]
fn a_ca_that_is_not_valid_is_made_again_from_its_key() {
    async_io::block_on(async {
        for (start, then) in [(NOW + 20 * 365 * DAYS, NOW), (NOW, NOW + 29 * 365 * DAYS)] {
            let flash = SimFlash::default();
            let pem = async |now| {
                let (chain, key) = identity(&named("pillarbox.local"), &flash, now).await.unwrap();
                let pem = String::from_utf8(certificate(&flash).unwrap().unwrap()).unwrap();
                let ca = imported(&flash, &pem).await;
                (pem, ca, chain, key)
            };
            let (first, before, ..) = pem(start).await;
            assert_eq!(pem(0).await.0, first, "whether it is valid nobody knows without a clock");
            let (second, after, chain, key) = pem(then).await;
            assert_ne!(first, second);
            assert_eq!(pem(then + DAYS).await.0, second);
            for trusted in [&before, &after] {
                // Devices that trust the earlier certificate go on: only the key counts.
                assert!(trusted.would_vouch(
                    &chain,
                    &key,
                    &named("pillarbox.local"),
                    Some(then.unsigned_abs())
                ));
            }
            let period = crate::net::trust::period(&after.certificate).unwrap();
            assert!(period.0 < then.unsigned_abs() && period.1 > (then + 29 * 365 * DAYS).unsigned_abs());
            let number =
                |ca: &Authority| ca.certificate.windows(16).any(|it| before.certificate[15..31] == *it);
            assert!(number(&before) && !number(&after), "two certificates of one issuer with one number");
        }
    });
}

/// The CA as an earlier version made it.
fn unlimited(key: &rcgen::KeyPair) -> String {
    let mut parameters = authority::parameters(key);
    parameters.extended_key_usages.clear();
    parameters.not_before = rcgen::date_time_ymd(2026, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2056, 1, 1);
    parameters.self_signed(key).unwrap().pem()
}

/// Catches: a CA of an earlier version that stays unlimited, and devices that trust it and no longer accept the
/// server.
#[test]
fn an_unlimited_ca_is_limited_and_devices_that_trust_it_go_on() {
    async_io::block_on(async {
        let flash = SimFlash::default();
        let key = rcgen::KeyPair::generate().unwrap();
        let earlier = unlimited(&key);
        flash.create_dir("tls").unwrap();
        for (path, content) in [(CA, &earlier), (CA_KEY, &key.serialize_pem())] {
            flash::replace(&flash, path, content.as_bytes()).await.unwrap();
        }
        let trusted = imported(&SimFlash::default(), &earlier).await;
        let trusted = Authority { key, ..trusted };
        assert!(accepts(&trusted, &["bank.example"]));
        let (chain, key) = identity(&named("pillarbox.local"), &flash, NOW).await.unwrap();
        assert!(trusted.would_vouch(&chain, &key, &named("pillarbox.local"), Some(NOW.unsigned_abs())));
        let pem = certificate(&flash).unwrap().unwrap();
        assert_ne!(pem, earlier.as_bytes());
        let limited = imported(&flash, std::str::from_utf8(&pem).unwrap()).await;
        assert!(accepts(&limited, &["pillarbox.local"]) && !accepts(&limited, &["bank.example"]));
        identity(&named("pillarbox.local"), &flash, NOW).await.unwrap();
        assert_eq!(certificate(&flash).unwrap().unwrap(), pem);
    });
}

/// Catches: a folder `tls` that is not synced into its parent folder.
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
        let ca = Authority::open(&shelf, &named("pillarbox.local"), None).await.unwrap();
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

/// Catches: no TLS at all where nothing can be stored, and a new key with the certificate of the old CA.
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
            let renamed = certificate(&refusing, "mail.local").await;
            assert_ne!(renamed, first);
            let roots = BTreeSet::from(["mail.local".to_owned()]);
            let shelf = Shelf { flash: &refusing, refuses: Cell::default() };
            let ca = Authority::open(&shelf, &roots, None).await.unwrap();
            let (chain, key) = identity(&named("mail.local"), &refusing, NOW).await.unwrap();
            assert!(
                ca.would_vouch(&chain, &key, &roots, Some(NOW.unsigned_abs())),
                "by the CA that devices know"
            );
            assert_eq!(flash.files(), before);

            // The key of the CA is lost, its certificate is still there.
            flash.remove(CA_KEY).unwrap();
            let ca = Authority::open(&shelf, &roots, None).await.unwrap();
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
