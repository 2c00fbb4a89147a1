//! Keeps the server's certificate up to date with the network and the operator's files.
//!
//! Each look reads two small tables of the kernel, or the times of two files. A change is put in force for new connections;
//! open connections go on.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::certificate::{self, Present};
use crate::clock::unix_now;
use crate::config::Config;
use crate::context::Context;
use crate::flash::Flash;

/// Time between two looks.
pub const LOOK: Duration = Duration::from_secs(10);
/// Seconds after which the certificate is judged anew even if nothing has changed: it may expire soon.
const DAY: i64 = 24 * 60 * 60;

/// What was last seen, and what the operator has to know about it.
#[derive(Default)]
pub struct Identity {
    seen: RefCell<Option<Seen>>,
    concerns: RefCell<Vec<String>>,
}

/// What a certificate depends on.
struct Seen {
    config: Rc<Config>,
    present: Present,
    files: Vec<Option<[i64; 5]>>,
    day: i64,
    clock: bool,
}

impl Seen {
    fn now(context: &Context) -> Seen {
        let config = context.config();
        Seen {
            present: Present::now(context.announced()),
            files: certificate::stamps(&config),
            day: unix_now() / DAY,
            clock: context.clock.is_known(),
            config,
        }
    }

    fn is(&self, other: &Seen) -> bool {
        let Seen { config, present, files, day, clock } = other;
        Rc::ptr_eq(&self.config, config)
            && (&self.present, &self.files, &self.day, &self.clock) == (present, files, day, clock)
    }
}

impl Identity {
    /// What clients refuse about the certificate, or will refuse soon, one line each.
    pub fn concerns(&self) -> Vec<String> {
        self.concerns.borrow().clone()
    }

    /// Looks whether something has changed, and renews the certificate in force if so.
    ///
    /// A certificate that was made before the clock was set is usable: such a clock shows the last time at which the device
    /// was running. So the certificate begins too early and ends too early, and the end is found here. Only a clock that ran
    /// ahead makes a certificate that nobody accepts yet, which is found here, too.
    pub async fn follow(&self, context: &Context, flash: &dyn Flash) {
        let seen = Seen::now(context);
        if self.seen.borrow().as_ref().is_some_and(|before| before.is(&seen)) {
            return;
        }
        let made = certificate::for_network(&seen.config, &seen.present, flash).await;
        // Whoever has changed the settings in the meantime has put their own certificate in force. The next look follows it.
        if !Rc::ptr_eq(&seen.config, &context.config()) {
            return;
        }
        match made {
            Ok(tls) => context.renew_tls(tls),
            // The operator replaces the files one after the other: until they fit, the old certificate stays in force.
            Err(error) => log::error!("tls: {error}"),
        }
        let now = seen.clock.then(unix_now);
        let concerns = certificate::concerns(&seen.config, seen.present.announced.as_deref(), now);
        let before = self.concerns.replace(concerns.clone());
        concerns
            .iter()
            .filter(|concern| !before.contains(concern))
            .for_each(|concern| log::warn!("{concern}"));
        *self.seen.borrow_mut() = Some(seen);
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;
    use crate::clock;
    use crate::flash::sim::SimFlash;
    use crate::net::{stream, tls};
    use crate::store::Store;

    /// The time in these tests: 2026-07-01.
    const NOW: i64 = 1_782_864_000;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("pillarbox-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
        fn path(&self, name: &str) -> String {
            self.0.join(name).to_str().unwrap().to_owned()
        }
        /// Writes a certificate for `mail.example` that ends at `until`, and its key. Returns the certificate as PEM.
        fn put(&self, until: (i32, u8, u8), certificate: &str, key: &str) -> String {
            let pair = KeyPair::generate().unwrap();
            let mut parameters = CertificateParams::new(["mail.example".to_owned()]).unwrap();
            parameters.not_before = date_time_ymd(2026, 1, 1);
            parameters.not_after = date_time_ymd(until.0, until.1, until.2);
            let pem = parameters.self_signed(&pair).unwrap().pem();
            std::fs::write(self.path(certificate), &pem).unwrap();
            std::fs::write(self.path(key), pair.serialize_pem()).unwrap();
            pem
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    async fn context(config: Config, flash: &SimFlash) -> Context {
        let tls = certificate::server_config(&config, flash).await.unwrap();
        Context::new(config, tls, Store::new(Rc::new(flash.clone())))
    }

    /// Whether a client that trusts the certificates in the PEM file `ca` is served as `name`.
    async fn is_served(context: &Context, ca: &str, name: &str) -> bool {
        let (mut client, mut served) = stream::tests::pair().await;
        let trust = tls::client_config(ca).unwrap();
        let greeting = async {
            served.accept_tls(context.tls()).await?;
            served.write(b"hello").await?;
            served.flush().await
        };
        let heard = async {
            client.connect_tls(trust, name).await?;
            client.fill().await.map(<[u8]>::len)
        };
        smol::future::zip(greeting, heard).await.1.is_ok_and(|octets| octets == 5)
    }

    /// Catches: new files of a user's own certificate that are used only after a restart, a certificate without its key that
    /// stops the service, and an expiry, a name or a key that nobody is told of.
    #[test]
    fn files_that_change_are_taken_up_and_judged() {
        async_io::block_on(async {
            clock::FIXED.set(Some(NOW));
            let (folder, flash) = (Folder::new("follow"), SimFlash::default());
            let mut config = Config::default();
            config.server.hostname = "mail.example".try_into().unwrap();
            config.tls.certificate = folder.path("certificate").as_str().try_into().unwrap();
            config.tls.key = folder.path("key").as_str().try_into().unwrap();
            folder.put((2026, 7, 13), "certificate", "key");
            let context = context(config, &flash).await;
            let watched = Identity::default();
            watched.follow(&context, &flash).await;
            assert!(
                watched.concerns().join("\n").contains("it ends within 12 days"),
                "{:?}",
                watched.concerns()
            );
            std::fs::copy(folder.path("certificate"), folder.path("first")).unwrap();
            assert!(is_served(&context, &folder.path("first"), "mail.example").await);

            // The new certificate is there, its key is not yet.
            let second = folder.put((2027, 7, 1), "second", "second.key");
            std::fs::write(folder.path("certificate"), second).unwrap();
            watched.follow(&context, &flash).await;
            assert!(watched.concerns().join("\n").contains("tls.key: this key does not belong"));
            assert!(
                is_served(&context, &folder.path("first"), "mail.example").await,
                "what was there serves on"
            );

            std::fs::copy(folder.path("second.key"), folder.path("key")).unwrap();
            watched.follow(&context, &flash).await;
            assert_eq!(watched.concerns(), [""; 0]);
            assert!(is_served(&context, &folder.path("second"), "mail.example").await);
            assert!(!is_served(&context, &folder.path("first"), "mail.example").await);

            clock::FIXED.set(Some(NOW + 340 * DAY));
            watched.follow(&context, &flash).await;
            assert!(
                watched.concerns().join("\n").contains("it ends within 25 days"),
                "{:?}",
                watched.concerns()
            );
            let mut renamed = (*context.config()).clone();
            renamed.server.hostname = "pillarbox.local".try_into().unwrap();
            context.reconfigure(renamed, context.tls());
            context.set_announced(Some("pillarbox-2.local".to_owned()));
            watched.follow(&context, &flash).await;
            assert!(watched.concerns().join("\n").contains("it is not for pillarbox-2.local"));
            clock::FIXED.set(None);
        });
    }

    /// Catches: a certificate without the name or the address by which the network has known the device since.
    #[test]
    fn what_the_network_knows_is_in_the_certificate() {
        async_io::block_on(async {
            let (folder, flash) = (Folder::new("follow-network"), SimFlash::default());
            let mut config = Config::default();
            config.listen.imaps = vec!["0.0.0.0:993".parse().unwrap()];
            let context = context(config.clone(), &flash).await;
            let ca = certificate::local_ca(&config, &flash).unwrap();
            std::fs::write(folder.path("ca"), ca).unwrap();
            let served = async |name: &str| is_served(&context, &folder.path("ca"), name).await;
            assert!(served("pillarbox.local").await && !served("pillarbox-2.local").await);
            let watched = Identity::default();
            context.set_announced(Some("pillarbox-2.local".to_owned()));
            watched.follow(&context, &flash).await;
            for name in ["pillarbox.local", "pillarbox-2.local", "localhost"] {
                assert!(served(name).await, "{name}");
            }
            // Nothing has changed, so nothing is made or written.
            let (files, tls) = (flash.files(), context.tls());
            watched.follow(&context, &flash).await;
            assert!(std::sync::Arc::ptr_eq(&tls, &context.tls()) && flash.files() == files);
            // A new address has come.
            let seen = watched.seen.take().unwrap();
            let address = "192.168.77.5".parse().unwrap();
            let present = Present { addresses: vec![address], ..seen.present };
            let made = certificate::for_network(&config, &present, &flash).await.unwrap();
            context.renew_tls(made);
            assert!(served("192.168.77.5").await && served("pillarbox-2.local").await);
        });
    }
}
