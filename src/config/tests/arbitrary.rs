//! Any configuration that keeps the rules, with every setting varied.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::config::*;
use crate::credential::Verifier;

/// `text` as a bounded one; the strategies keep to the bounds.
fn fit<const N: usize>(text: String) -> Text<N> {
    Text::try_from(&*text).unwrap()
}

/// Texts with everything that TOML has to escape, but for control characters.
fn words<const N: usize>() -> impl Strategy<Value = Text<N>> {
    r##"[a-z"'\\#=\[\]{}, .@äß€😀]{1,24}"##.prop_map(fit)
}

fn secret<const N: usize>() -> impl Strategy<Value = Secret<N>> {
    words::<N>().prop_map(|text| Secret::new(&text).unwrap())
}

fn host() -> impl Strategy<Value = Host> {
    prop_oneof![
        r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]{1,9}){0,3}".prop_map(fit),
        any::<IpAddr>().prop_map(|address| fit(address.to_string())),
    ]
}

fn path() -> impl Strategy<Value = FilePath> {
    prop_oneof![Just(String::new()), r"(/[a-z ]{1,9}){1,4}\.pem"].prop_map(fit)
}

fn one_of<T: Copy + std::fmt::Debug>(choices: &'static [T]) -> impl Strategy<Value = T> {
    prop::sample::select(choices)
}

fn security() -> impl Strategy<Value = Security> {
    one_of(&[Security::Tls, Security::Starttls, Security::None])
}

fn lan() -> impl Strategy<Value = IpNet> {
    let v4 = (any::<[u8; 4]>(), 0..=32u8).prop_map(|(address, prefix)| (IpAddr::from(address), prefix));
    let v6 = (any::<[u8; 16]>(), 0..=128u8).prop_map(|(address, prefix)| (IpAddr::from(address), prefix));
    prop_oneof![v4, v6].prop_map(|(address, prefix)| IpNet::new(address, prefix).unwrap().trunc())
}

fn verifier() -> impl Strategy<Value = Verifier> {
    (4096..=100_000u32, any::<[u8; 16]>(), any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(
        |(iterations, salt, stored_key, server_key)| Verifier { iterations, salt, stored_key, server_key },
    )
}

prop_compose! {
    fn server()(
        hostname in r"[a-z]{1,20}(\.[a-z]{1,9}){0,3}",
        domains in vec(r"[a-z]{1,20}(\.[a-z]{1,9}){0,3}", 1..4),
        lan in vec(lan(), 0..9),
        connector in any::<bool>(),
        max_connections in 1..=10_000u32,
        max_message_size in (64u64 << 10)..=(2 << 30),
        operator in option::of(verifier()),
    ) -> Server {
        let domains = domains.into_iter().map(fit).collect();
        let operator_verifier = operator.unwrap_or(Server::default().operator_verifier);
        Server {
            hostname: fit(hostname), domains, lan, connector, max_connections, max_message_size, operator_verifier,
            ..Server::default()
        }
    }
}

/// Up to three addresses a service; no port is used twice.
fn listen() -> impl Strategy<Value = Listen> {
    (vec(vec(any::<IpAddr>(), 0..4), Listener::ALL.len()), 1..60_000u16).prop_map(|(services, mut port)| {
        let services = services.into_iter().map(|addresses| {
            addresses
                .into_iter()
                .map(|address| {
                    port += 1;
                    SocketAddr::new(address, port)
                })
                .collect()
        });
        let services = RefCell::new(services);
        Listen::each(|_| services.borrow_mut().next().unwrap())
    })
}

/// A fixed address, or DHCP.
fn network() -> impl Strategy<Value = Network> {
    let fixed = (1..223u8, any::<[u8; 2]>(), 2..100u8, 8..=24u8, option::of(100..250u8)).prop_filter_map(
        "loopback",
        |(first, [second, third], last, prefix, gateway)| {
            let at = |last| std::net::Ipv4Addr::new(first, second, third, last);
            let address = ipnet::Ipv4Net::new(at(last), prefix).ok()?;
            (first != 127).then(|| (Some(address), gateway.map(at)))
        },
    );
    (option::of(fixed), vec(any::<IpAddr>(), 0..3), vec(host(), 1..4)).prop_map(|(fixed, dns, ntp)| {
        let (address, gateway) = fixed.unwrap_or_default();
        Network { address, gateway, dns, ntp }
    })
}

prop_compose! {
    fn tls()(
        files in option::of((r"/[a-z]{1,9}", r"/[a-z]{1,9}")),
        plaintext_login in one_of(&[PlaintextLogin::Never, PlaintextLogin::Lan, PlaintextLogin::Always]),
    ) -> Tls {
        let (certificate, key) = files.unwrap_or_default();
        Tls { certificate: fit(certificate), key: fit(key), plaintext_login }
    }
}

prop_compose! {
    fn smarthost()(
        host in prop_oneof![Just(Host::new()), host()],
        port in 1..=u16::MAX,
        security in security(),
        login in option::of((words(), secret())),
        per_account_authentication in any::<bool>(),
        client in option::of(oauth2()),
        ca in path(),
        retry in vec(1..=7 * 86_400u32, 1..16),
        expire in 1..=30 * 86_400u32,
    ) -> Smarthost {
        let near = host.is_empty() || !host.contains(['.', ':']);
        let security = if near { security } else { Security::Tls };
        let (username, password) = login.unwrap_or_default();
        let auth = match &client {
            Some(_) if !username.is_empty() => SourceAuth::OAuth2,
            _ => SourceAuth::Auto,
        };
        let oauth2 = client.map(Box::new);
        Smarthost {
            host, port, security, username, password, per_account_authentication, ca, retry, expire, auth, oauth2,
            ..Smarthost::default()
        }
    }
}

prop_compose! {
    fn multipop()(
        enabled in any::<bool>(),
        interval in 1..=30 * 86_400u32,
        timeout in 1..=3600u32,
        warn_after in 1..=1000u32,
    ) -> Multipop {
        Multipop { enabled, interval, timeout, warn_after }
    }
}

prop_compose! {
    fn oauth2()(
        provider in one_of(&["", "google", "microsoft", "yahoo"]),
        (auth_url, device_url, scope) in ("(http://localhost:[1-9]{4}/[a-z]{0,9})?", "(https://[a-z]{1,9}/)?", "([!a-z:/.]{1,9}( [a-z~]{1,9}){0,2})?"),
        token_url in "https://[a-z]{1,9}/[a-z?&=%]{0,20}",
        client_id in words(),
        client_secret in secret(),
        refresh_token in secret(),
    ) -> OAuth2 {
        OAuth2 {
            provider: provider.try_into().unwrap(), auth_url: fit(auth_url), device_url: fit(device_url), scope: fit(scope),
            token_url: fit(token_url), client_id, client_secret, refresh_token,
        }
    }
}

prop_compose! {
    fn source()(
        (host, port, username, password) in (host(), 1..=u16::MAX, words(), secret()),
        protocol in one_of(&[Protocol::Pop3, Protocol::Imap]),
        security in security(),
        auth in one_of(&[
            SourceAuth::Auto, SourceAuth::ScramSha256, SourceAuth::CramMd5, SourceAuth::Apop,
            SourceAuth::Plain, SourceAuth::Login, SourceAuth::User, SourceAuth::OAuth2,
        ]),
        oauth2 in option::of(oauth2()),
        leave_on_server in any::<bool>(),
        (delete_after, interval) in (0..=3650 * 86_400u32, 0..=30 * 86_400u32),
        max_size in 0..=4u64 << 30,
        (folders, into) in (vec(words(), 1..=16), words()),
        (id, enabled, ca) in (1..=u64::MAX, any::<bool>(), path()),
    ) -> Source {
        let of_pop3 = matches!(auth, SourceAuth::Apop | SourceAuth::User);
        let auth = match (auth, &oauth2) {
            (SourceAuth::OAuth2, None) => SourceAuth::Auto,
            (_, _) if of_pop3 && protocol == Protocol::Imap => SourceAuth::Plain,
            _ => auth,
        };
        Source {
            id, enabled, into, host, port, protocol, security, username, password, auth, oauth2: oauth2.map(Box::new),
            leave_on_server, delete_after, max_size, folders, ca,
            interval: match interval {
                0 => Interval::Inherited,
                1 if protocol == Protocol::Imap => Interval::Push,
                seconds => Interval::Every(seconds),
            },
            ..Source::default()
        }
    }
}

prop_compose! {
    /// Name, address and aliases are for [`config`] to set.
    fn account()(
        verifier in verifier(),
        switches in any::<[bool; 7]>(),
        aliases in 0..3usize,
        (smarthost_username, smarthost_password) in option::of((words(), secret())).prop_map(Option::unwrap_or_default),
        (id, quota) in (1..=u64::MAX, 0..=1u64 << 44),
        sources in vec(source(), 0..3),
        apps in vec((any::<[u8; 32]>(), any::<[u8; 32]>(), 0..8u8), 0..3),
    ) -> Account {
        let [enabled, pop, pop_lan_only, imap, imap_lan_only, connector, multipop] = switches;
        let app_passwords = apps.into_iter().enumerate().map(|(n, (stored_key, server_key, bits))| {
            let all = [Service::Pop3, Service::Imap, Service::Submission];
            let services = all.into_iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
            AppPassword {
                name: fit(format!("device{n}")),
                verifier: Verifier { stored_key, server_key, ..verifier },
                services: services.map(|(_, service)| service).collect(),
            }
        }).collect();
        Account {
            id, app_passwords,
            aliases: vec![Address::new(); aliases],
            verifier, enabled, pop, pop_lan_only, imap, imap_lan_only, connector: connector && imap, multipop,
            smarthost_username, smarthost_password, quota, sources, ..Account::default()
        }
    }
}

prop_compose! {
    /// Any configuration that keeps the rules.
    pub fn config()(
        server in server(),
        listen in listen(),
        network in network(),
        tls in tls(),
        smarthost in smarthost(),
        multipop in multipop(),
        mut accounts in vec(account(), 0..4),
    ) -> Config {
        let domains = &server.domains;
        for (a, account) in accounts.iter_mut().enumerate() {
            account.name = fit(format!("user.{a}"));
            account.address = fit(format!("User+{a}@{}", domains[a % domains.len()]));
            for (i, alias) in account.aliases.iter_mut().enumerate() {
                *alias = fit(format!("alias{i}.{a}@{}", domains[0]));
            }
        }
        Config { server, listen, network, tls, smarthost, multipop, accounts }
    }
}
