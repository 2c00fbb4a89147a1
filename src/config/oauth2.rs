//! What an OAuth 2.0 client asks for, and where (RFC 6749, RFC 8628): the settings that are given, and for those that are not,
//! what is known of the provider.

use std::net::IpAddr;

use super::check::Finding;
use super::problem::Section;
use super::{OAuth2, Protocol, Smarthost, Source, SourceAuth};

/// What is known of a provider: the URLs of its endpoints, and its scopes.
struct Provider {
    name: &'static str,
    token: &'static str,
    authorization: &'static str,
    /// Empty: the provider has no device flow that permits the collection of mail.
    device: &'static str,
    imap: &'static str,
    pop3: &'static str,
    smtp: &'static str,
}

/// The values are those of the providers' own manuals. Google's device flow has no scope for mail.
const PROVIDERS: [Provider; 3] = [
    Provider {
        name: "google",
        token: "https://oauth2.googleapis.com/token",
        authorization: "https://accounts.google.com/o/oauth2/v2/auth",
        device: "",
        imap: "https://mail.google.com/",
        pop3: "https://mail.google.com/",
        smtp: "https://mail.google.com/",
    },
    Provider {
        name: "microsoft",
        token: "https://login.microsoftonline.com/common/oauth2/v2.0/token",
        authorization: "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
        device: "https://login.microsoftonline.com/common/oauth2/v2.0/devicecode",
        imap: "https://outlook.office.com/IMAP.AccessAsUser.All offline_access",
        pop3: "https://outlook.office.com/POP.AccessAsUser.All offline_access",
        smtp: "https://outlook.office.com/SMTP.Send offline_access",
    },
    Provider {
        name: "yahoo",
        token: "https://api.login.yahoo.com/oauth2/get_token",
        authorization: "https://api.login.yahoo.com/oauth2/request_auth",
        device: "",
        imap: "mail-r mail-w",
        pop3: "mail-r mail-w",
        smtp: "mail-w",
    },
];

/// What a permission is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Purpose {
    Imap,
    Pop3,
    Smtp,
}

impl From<Protocol> for Purpose {
    fn from(protocol: Protocol) -> Purpose {
        match protocol {
            Protocol::Pop3 => Purpose::Pop3,
            Protocol::Imap => Purpose::Imap,
        }
    }
}

/// Whether `name` is a provider whose addresses and scopes are known.
pub fn is_provider(name: &str) -> bool {
    PROVIDERS.iter().any(|provider| provider.name == name)
}

impl OAuth2 {
    fn preset(&self) -> Option<&'static Provider> {
        PROVIDERS.iter().find(|provider| provider.name == self.provider)
    }

    /// `given`, or where that is empty, what is known of the provider; empty where nothing is known.
    fn given<'a>(&self, given: &'a str, known: impl Fn(&'static Provider) -> &'static str) -> &'a str {
        if given.is_empty() { self.preset().map_or("", known) } else { given }
    }

    /// The URL of the token endpoint (RFC 6749 section 3.2).
    pub fn token_endpoint(&self) -> &str {
        self.given(&self.token_url, |provider| provider.token)
    }

    /// The URL of the authorization endpoint (RFC 6749 section 3.1); empty for none.
    pub fn authorization_endpoint(&self) -> &str {
        self.given(&self.auth_url, |provider| provider.authorization)
    }

    /// The URL of the device authorization endpoint (RFC 8628 section 3.1); empty for none.
    pub fn device_endpoint(&self) -> &str {
        self.given(&self.device_url, |provider| provider.device)
    }

    /// The scopes to ask for (RFC 6749 section 3.3), separated by blanks; may be empty.
    pub fn scope_for(&self, purpose: Purpose) -> &str {
        self.given(&self.scope, |provider| match purpose {
            Purpose::Imap => provider.imap,
            Purpose::Pop3 => provider.pop3,
            Purpose::Smtp => provider.smtp,
        })
    }

    /// How the operator gets a client identifier.
    fn how_to_register(&self) -> &'static str {
        match &*self.provider {
            "google" => {
                "register a client of the kind \"Desktop app\" in the Google Cloud console; easier is an app \
                 password of the Google account, with auth = \"auto\""
            }
            "microsoft" => {
                "register an application in the Microsoft Entra admin center and allow its public client flows: \
                 it is the \"Application (client) ID\""
            }
            "yahoo" => {
                "Yahoo gives one to companies that apply for it; easier is an app password of the Yahoo account, \
                 with auth = \"auto\""
            }
            _ => "the provider gives one to who registers a client",
        }
    }

    /// Whether both are the same client at the same server, so that one refresh token is good for both.
    pub fn is_same_client(&self, other: &OAuth2) -> bool {
        self.token_endpoint() == other.token_endpoint() && self.client_id == other.client_id
    }
}

/// An HTTP URL (RFC 9110 section 4.2), taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint<'a> {
    /// Whether the scheme is `https`.
    pub tls: bool,
    /// The host's name or address, without brackets.
    pub host: &'a str,
    /// TCP port.
    pub port: u16,
    /// The request target, as in the head of a request: it begins with a slash.
    pub target: &'a str,
}

impl<'a> Endpoint<'a> {
    /// Takes `url` apart; `None` where it is no HTTP URL. A URL with a user, with a fragment or without a path is refused, too.
    pub fn parse(url: &'a str) -> Option<Endpoint<'a>> {
        let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return None,
        };
        let (authority, target) = rest.split_at(rest.find('/')?);
        let is_plain = |text: &str| text.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'#');
        if authority.contains(['@', '?']) || !is_plain(authority) || !is_plain(target) {
            return None;
        }
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':')?)),
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port != 0)?,
            None if tls => 443,
            None => 80,
        };
        (!host.is_empty()).then_some(Endpoint { tls, host, port, target })
    }

    /// Whether the host is this machine, so that no wire leads there.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

/// The rules for the client of a source.
pub(super) fn of_source((a, s): (usize, usize), source: &Source, found: &mut Vec<Finding>) {
    rules(Section::Source(a, s), source.auth, source.oauth2.as_deref(), found);
}

/// The rules for the client of the smarthost.
pub(super) fn of_smarthost(smarthost: &Smarthost, found: &mut Vec<Finding>) {
    if !smarthost.host.is_empty() {
        rules(Section::Smarthost, smarthost.auth, smarthost.oauth2.as_deref(), found);
    }
}

/// Finds what is wrong with a client of RFC 6749: it has to know whom to ask, and who it is.
fn rules(section: Section, auth: SourceAuth, client: Option<&OAuth2>, found: &mut Vec<Finding>) {
    let Some(table) = section.oauth2() else { return };
    let (own, at) = (section.at("auth"), |key| table.at(key));
    let wanted = auth == SourceAuth::OAuth2;
    let Some(client) = client else {
        if wanted {
            let text = "auth = \"oauth2\" needs oauth2 = { provider = …, client_id = … }; where the provider makes \
                        passwords for programs (app passwords), one of these with auth = \"auto\" is easier";
            found.push(Finding::error(own, text).beside(at("")));
        }
        return;
    };
    for (key, url) in
        [("token_url", &client.token_url), ("auth_url", &client.auth_url), ("device_url", &client.device_url)]
    {
        if Endpoint::parse(url).is_some_and(|url| !url.tls && !url.is_loopback()) {
            let text =
                format!("{key} sends secrets in the clear: it begins with https://, except on this machine");
            found.push(Finding::error(at(key), text));
        }
    }
    if !wanted {
        let text = "oauth2 has no effect without auth = \"oauth2\"";
        found.push(Finding::warning(at(""), text).beside(own));
        return;
    }
    let no_way = client.authorization_endpoint().is_empty() && client.device_endpoint().is_empty();
    if client.client_id.is_empty() {
        let text = format!("client_id is missing: {}", client.how_to_register());
        found.push(Finding::error(at("client_id"), text).beside(own));
    }
    if client.token_endpoint().is_empty() {
        let text = "token_url is missing: give it, or a provider whose addresses are known";
        found.push(Finding::error(at("token_url"), text).beside(at("provider")));
    }
    if client.refresh_token.is_empty() && no_way {
        let text = "refresh_token is missing: give it, or device_url or auth_url, where it can be had";
        found.push(Finding::error(at("refresh_token"), text).beside(at("provider")));
    } else if client.refresh_token.is_empty() {
        let text = "there is no permission yet: after this, `oauth2` in the console asks for it";
        found.push(Finding::warning(at("refresh_token"), text).beside(own));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (url, parts) in [
            ("https://a.example/token", Some((true, "a.example", 443, "/token"))),
            ("http://127.0.0.1:8080/x?y=z", Some((false, "127.0.0.1", 8080, "/x?y=z"))),
            ("https://[::1]:8443/", Some((true, "::1", 8443, "/"))),
            ("https://[fe80::1]/", Some((true, "fe80::1", 443, "/"))),
            ("https://a.example", None),
            ("https:///token", None),
            ("https://me@a.example/", None),
            ("https://a.example/x#y", None),
            ("https://a.example/x y", None),
            ("https://a.example/\r\nHost:b", None),
            ("https://a.example:0/", None),
            ("https://a.example:70000/", None),
            ("https://[::1]8443/", None),
            ("https://a.example?x/", None),
            ("ftp://a.example/", None),
            ("", None),
        ] {
            let found = Endpoint::parse(url).map(|found| (found.tls, found.host, found.port, found.target));
            assert_eq!(found, parts, "{url}");
        }
    }

    /// Catches: a host that is taken for this machine because its name only begins like that, though it may be anybody's.
    #[test]
    fn only_this_machine_is_loopback() {
        for (url, is) in [
            ("http://127.0.0.9/", true),
            ("http://LOCALHOST:1/", true),
            ("http://[::1]/", true),
            ("http://[::ffff:127.0.0.1]/", true),
            ("http://127.0.0.1.example/", false),
            ("http://localhost.example/", false),
            ("http://192.168.1.9/", false),
        ] {
            assert_eq!(Endpoint::parse(url).unwrap().is_loopback(), is, "{url}");
        }
    }

    /// Catches: a preset with an address that cannot be parsed, a purpose that gets the scope of another one, and a preset that
    /// overrides what is given.
    #[test]
    fn presets_fill_what_is_empty() {
        for provider in &PROVIDERS {
            let mut client = OAuth2 { provider: provider.name.try_into().unwrap(), ..OAuth2::default() };
            for url in [client.token_endpoint(), client.authorization_endpoint()] {
                assert!(Endpoint::parse(url).unwrap().tls);
            }
            client.token_url = "https://t.example/".try_into().unwrap();
            client.scope = "mail".try_into().unwrap();
            assert_eq!(client.token_endpoint(), "https://t.example/");
            assert_eq!(client.scope_for(Purpose::Smtp), "mail");
        }
        let microsoft = OAuth2 { provider: "microsoft".try_into().unwrap(), ..OAuth2::default() };
        assert!(Endpoint::parse(microsoft.device_endpoint()).unwrap().tls);
        for (purpose, word) in
            [(Purpose::Imap, "/IMAP."), (Purpose::Pop3, "/POP."), (Purpose::Smtp, "/SMTP.")]
        {
            let scope = microsoft.scope_for(purpose);
            assert!(scope.contains(word) && scope.contains("offline_access"), "{scope}");
        }
        assert_eq!(OAuth2::default().token_endpoint(), "");
    }
}
