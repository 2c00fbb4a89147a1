//! No form loses anything: text, octets on flash, and single settings give back what went in.

use proptest::prelude::*;

use super::arbitrary::config;
use super::{LEAST, read, read_over};
use crate::config::export::to_toml;
use crate::config::file::{decode, encode};
use crate::config::path::{add_account, add_source, get, paths, set};
use crate::config::text::parse;
use crate::config::{AppPassword, Config, check};

/// A file of format version 1, and its configuration as text. Both stay as they are.
const VERSION_1: (&[u8], &str) = (include_bytes!("version_1.postcard"), include_str!("version_1.toml"));
/// A file of format version 2, and its configuration as text.
const VERSION_2: (&[u8], &str) = (include_bytes!("version_2.postcard"), include_str!("version_2.toml"));
/// A file of format version 3, and its configuration as text.
const VERSION_3: (&[u8], &str) = (include_bytes!("version_3.postcard"), include_str!("version_3.toml"));
/// A file of format version 4, and its configuration as text.
const VERSION_4: (&[u8], &str) = (include_bytes!("version_4.postcard"), include_str!("version_4.toml"));

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn text_with_secrets_gives_the_same_octets(config in config()) {
        let before = encode(&config, 1).unwrap();
        let again = read(&to_toml(&config, true));
        prop_assert_eq!(encode(&again, 1).unwrap(), before);
    }

    #[test]
    fn text_without_secrets_gives_the_same_octets_over_the_stored_ones(mut config in config()) {
        // Two sources with the same login get the same stored password, so one of them is removed.
        for account in &mut config.accounts {
            account.sources.dedup_by(|a, b| a.host == b.host && a.username == b.username);
        }
        let text = to_toml(&config, false);
        let mut again = read_over(&text, Some(&config));
        again.identify(&config);
        prop_assert_eq!(encode(&again, 1).unwrap(), encode(&config, 1).unwrap());
    }

    #[test]
    fn octets_give_the_same_settings(config in config(), generation: u64) {
        prop_assert_eq!(decode(&encode(&config, generation).unwrap()), Ok((config, generation)));
    }

    #[test]
    fn every_setting_can_be_copied_by_its_path(mut config in config()) {
        // The console refuses a right that has no effect.
        let connector = config.server.connector;
        config.accounts.iter_mut().for_each(|account| account.connector &= connector);
        let mut copy = Config::default();
        for account in &config.accounts {
            add_account(&mut copy, &account.name).unwrap();
            for app in &account.app_passwords {
                let copied = copy.accounts.last_mut().unwrap();
                copied.app_passwords.push(AppPassword { name: app.name.clone(), ..copied.new_app_password() });
            }
            for _ in &account.sources {
                add_source(&mut copy, &account.name).unwrap();
            }
        }
        for path in paths(&config) {
            let value = get(&config, &path, true).unwrap();
            // An account's password cannot be read; its verifier can.
            let is_write_only = path.starts_with("account.") && path.ends_with(".password") && value == "\"\"";
            if !is_write_only {
                set(&mut copy, &path, &value).unwrap();
            }
        }
        prop_assert_eq!(copy, config);
    }

    #[test]
    fn any_octets_are_judged_without_a_panic(octets: Vec<u8>, text in r#"[\[\]{}a-z="' \n\\.0-9]{0,200}"#) {
        let _ = decode(&octets);
        let _ = parse(&octets, None);
        let _ = parse(text.as_bytes(), None);
    }
}

#[test]
fn a_file_of_every_format_version_loads() {
    for (octets, text) in [VERSION_1, VERSION_2, VERSION_3, VERSION_4] {
        assert_eq!(decode(octets), Ok((read(text), 7)));
    }
}

#[test]
fn the_defaults_are_those_of_the_manual() {
    let written_out = r#"
[server]
hostname  = "pillarbox.local"
domains   = ["home.example"]
lan       = ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7", "fe80::/10"]
shared_domains = []
postmaster = ""
connector = false
max_connections = 200
max_message_size = "50MiB"
lan_smtp_relay = false
lan_smtp_sender = ""
operator_password = ""
[listen]
pop3        = ["127.0.0.1:1110"]
pop3s       = ["127.0.0.1:1995"]
imap        = ["127.0.0.1:1143"]
imaps       = ["127.0.0.1:1993"]
submission  = ["127.0.0.1:1587"]
submissions = ["127.0.0.1:1465"]
lan_smtp    = []
http        = ["127.0.0.1:1080"]
https       = ["127.0.0.1:1443"]
[network]
address = "dhcp"
gateway = ""
dns     = []
ntp     = ["pool.ntp.org"]
[tls]
certificate = ""
key         = ""
plaintext_login = "never"
[smarthost]
host     = ""
port     = 465
security = "tls"
username = ""
password = ""
per_account_authentication = false
auth     = "auto"
oauth2   = {}
ca       = ""
retry    = ["1m", "5m", "15m", "1h", "4h"]
expire   = "5d"
delay_notice = "4h"
connections = 4
[multipop]
enabled  = true
interval = "10m"
timeout  = "60s"
warn_after = 5
[[account]]
name     = "office"
address  = "office@home.example"
aliases  = []
verifier = "SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==$AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
enabled  = true
pop            = true
pop_lan_only   = false
imap           = true
imap_lan_only  = false
connector      = false
multipop       = false
smarthost_username = ""
smarthost_password = ""
quota    = "0"
[[account.source]]
host     = "pop.provider.example"
port     = 995
protocol = "pop3"
security = "tls"
username = "office@provider.example"
password = "secret"
auth     = "auto"
oauth2   = { provider = "", token_url = "", auth_url = "", device_url = "", scope = "", client_id = "", client_secret = "", refresh_token = "" }
leave_on_server   = false
delete_after      = "0"
max_size          = "0"
folder            = "INBOX"
interval          = ""
ca                = ""
"#;
    let left_out = format!(
        "{LEAST}\n[[account.source]]\nhost = \"pop.provider.example\"\nusername = \"office@provider.example\"\npassword = \"secret\"\n"
    );
    assert_eq!(read(written_out), read(&left_out));
}

#[test]
fn a_board_has_the_usual_ports_everywhere() {
    let listen = Config::on_a_board().listen;
    assert!(
        check::check(&Config::on_a_board()).iter().all(|problem| !problem.to_string().contains("listen"))
    );
    assert_eq!(listen.imaps, ["0.0.0.0:993".parse().unwrap(), "[::]:993".parse().unwrap()]);
    let near = listen.on_loopback();
    assert_eq!(near.imaps, ["127.0.0.1:993".parse().unwrap(), "[::1]:993".parse().unwrap()]);
    let config = Config { listen: near, ..Config::default() };
    assert!(check::check(&config).iter().all(|problem| !problem.to_string().contains("listen")));
    let mut several = listen;
    several.imap =
        ["192.168.1.5:143", "10.0.0.1:143", "10.0.0.1:0"].map(|text| text.parse().unwrap()).to_vec();
    assert_eq!(
        several.on_loopback().imap,
        ["127.0.0.1:143".parse().unwrap(), "127.0.0.1:0".parse().unwrap()]
    );
}

#[test]
fn the_demonstration_keeps_the_rules() {
    let config = Config::demonstration(read(LEAST).accounts[0].verifier.clone());
    assert_eq!(check::check(&config), []);
    assert_eq!(read(&to_toml(&config, true)), config);
    // Mail programs look for their settings at the domain of an address, so that domain has to be one that they find.
    assert_eq!(config.server.domains[0].as_str(), config.server.hostname.as_str());
    // Catches: a user who started with an earlier version and is no longer told where to set the password anew.
    let mut earlier = config.clone();
    earlier.identify(&Config::default());
    assert!(earlier.is_demonstration());
    earlier.accounts[0].address = "demo@home.example".try_into().unwrap();
    assert!(!earlier.is_demonstration());
    earlier.server.domains[0] = "home.example".try_into().unwrap();
    assert!(earlier.is_demonstration());
    earlier.accounts[0].imap = false;
    assert!(!earlier.is_demonstration());
    let services = &config.listen;
    let all = [&services.pop3, &services.imaps, &services.submission, &services.http];
    assert!(all.into_iter().flatten().all(|address| address.ip().is_loopback()));
}
