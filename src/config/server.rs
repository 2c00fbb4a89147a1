//! The rules of `[server]`: whose domains these are, who is the postmaster, and what devices may do.

use super::Config;
use super::check::Finding;
use super::problem::Section;

/// Well-known mail providers, whose domains are shared by millions of users.
const PROVIDERS: &[&str] = &[
    "aol.com",
    "bluewin.ch",
    "fastmail.com",
    "free.fr",
    "freenet.de",
    "gmail.com",
    "googlemail.com",
    "gmx.*",
    "hotmail.*",
    "icloud.com",
    "laposte.net",
    "libero.it",
    "live.*",
    "mac.com",
    "mail.ru",
    "mailbox.org",
    "me.com",
    "msn.com",
    "orange.fr",
    "outlook.*",
    "posteo.*",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "t-online.de",
    "tutanota.com",
    "wanadoo.fr",
    "web.de",
    "yahoo.*",
    "yandex.*",
    "ymail.com",
    "zoho.com",
    "126.com",
    "163.com",
];

/// Whether `domain` is that of a public provider; `gmx.*` stands for gmx.de and gmx.co.uk alike.
fn is_public_provider(domain: &str) -> bool {
    PROVIDERS.iter().any(|provider| match provider.strip_suffix('*') {
        Some(name) => {
            domain.strip_prefix(name).is_some_and(|end| end.len() <= 6 && end.matches('.').count() <= 1)
        }
        None => domain == *provider,
    })
}

/// Checks whose mail stays here, who is the postmaster, and what devices may do.
pub(super) fn check(config: &Config, found: &mut Vec<Finding>) {
    let at = |key| Section::Server.at(key);
    let server = &config.server;
    for domain in &server.domains {
        if config.is_shared_domain(domain) {
            let text = format!("{domain} stands in domains as well: everyone there is either local or not");
            found.push(Finding::error(at("shared_domains"), text).beside(at("domains")));
        } else if is_public_provider(domain) {
            let text = format!(
                "{domain} is a public provider's: nobody else there could be reached; put it into shared_domains"
            );
            found.push(Finding::warning(at("domains"), text));
        }
    }
    if !server.postmaster.is_empty() && config.account(&server.postmaster).is_none() {
        let text = format!("postmaster: no account is called {}", server.postmaster);
        found.push(Finding::error(at("postmaster"), text));
    }
    let sender = &server.lan_smtp_sender;
    if server.lan_smtp_relay && sender.is_empty() {
        let text = "lan_smtp_sender is missing: lan_smtp_relay needs an address to send as";
        found.push(Finding::error(at("lan_smtp_sender"), text).beside(at("lan_smtp_relay")));
    } else if !sender.is_empty() && config.accounts_by_address(sender).is_empty() {
        let text = format!("{sender} is no account's: failures are told to the postmaster");
        found.push(Finding::warning(at("lan_smtp_sender"), text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a provider's domain taken for a house's own, and a house's own domain taken for a provider's.
    #[test]
    fn public_providers_are_known() {
        for domain in
            ["gmail.com", "gmx.de", "gmx.net", "gmx.co.uk", "outlook.com.br", "yahoo.co.uk", "t-online.de"]
        {
            assert!(is_public_provider(domain), "{domain}");
        }
        for domain in [
            "home.example",
            "gmx.home.example",
            "live.family.name.example",
            "mygmail.com",
            "gmail.com.example",
        ] {
            assert!(!is_public_provider(domain), "{domain}");
        }
    }

    /// Catches: a warning about what is in order, which teaches people to ignore warnings.
    #[test]
    fn a_sender_of_devices_who_has_a_mailbox_is_in_order() {
        let account = crate::config::Account {
            name: "ann".try_into().unwrap(),
            address: "ann@home.example".try_into().unwrap(),
            ..crate::config::Account::default()
        };
        let mut config = Config { accounts: vec![account], ..Config::default() };
        for (sender, findings) in [("ann+scanner@home.example", 0), ("scanner@home.example", 1), ("", 0)] {
            config.server.lan_smtp_sender = sender.try_into().unwrap();
            let mut found = Vec::new();
            check(&config, &mut found);
            assert_eq!(found.len(), findings, "{sender}");
        }
    }
}
