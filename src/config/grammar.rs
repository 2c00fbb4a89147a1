//! The grammars of texts in the configuration: names, hosts, addresses, paths.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::kind::{Choices, TextForm};
use super::oauth2::{Endpoint, is_provider};
use super::{Large, PlaintextLogin, Protocol, Security, Service, SourceAuth};

/// A grammar: which texts are valid.
pub trait Grammar {
    /// What would be right, with an article: the words for an error.
    fn form() -> String;
    /// Whether `text` is valid.
    fn accepts(text: &str) -> bool;
    /// The form in which `text` is stored.
    fn normal(text: &str) -> Cow<'_, str> {
        Cow::Borrowed(text)
    }
}

/// A name of the domain name system (RFC 1123 section 2.1): letters, digits, inner hyphens.
pub fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A name of digits only would be taken for an address.
    text.len() <= 253
        && text.split('.').all(is_label)
        && text.bytes().any(|b| !b.is_ascii_digit() && b != b'.')
}

/// A mail address `local@domain` (RFC 5321 section 4.1.2) whose local part is a dot-string.
pub fn is_address(text: &str) -> bool {
    let is_atext = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    let is_local = |local: &str| {
        local.len() <= 64 && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext))
    };
    text.rsplit_once('@').is_some_and(|(local, domain)| is_local(local) && is_host_name(domain))
}

/// The empty text, or a text of the grammar `G`.
pub struct OrEmpty<G>(PhantomData<G>);

impl<G: Grammar> Grammar for OrEmpty<G> {
    fn form() -> String {
        format!(r#"{}, or """#, G::form())
    }
    fn accepts(text: &str) -> bool {
        text.is_empty() || G::accepts(text)
    }
    fn normal(text: &str) -> Cow<'_, str> {
        G::normal(text)
    }
}

/// Declares a [`Grammar`] by its words for an error and its test.
macro_rules! grammar {
    ($(#[$doc:meta])* $name:ident, $form:literal, $accepts:expr) => {
        $(#[$doc])*
        pub struct $name;
        impl Grammar for $name {
            fn form() -> String {
                $form.to_owned()
            }
            fn accepts(text: &str) -> bool {
                let accepts: fn(&str) -> bool = $accepts;
                accepts(text)
            }
        }
    };
}

grammar!(
    /// The appliance's own name.
    HostName,
    r#"a host name such as "mail.home.example""#,
    is_host_name
);
grammar!(
    /// Another server: its name or its address.
    Server,
    r#"a host name such as "mail.home.example" or an address such as "192.168.1.9""#,
    |text| is_host_name(text) || text.parse::<IpAddr>().is_ok()
);
grammar!(
    /// A mail address.
    MailAddress,
    r#"a mail address such as "office@home.example""#,
    is_address
);
grammar!(
    /// A login at another server, in any form that the server may demand.
    Login,
    r#"a login such as "office@provider.example""#,
    |text| !text.is_empty() && !text.chars().any(char::is_control)
);
grammar!(
    /// The identifier of a client at an OAuth 2.0 server (RFC 6749 section 2.2).
    ClientId,
    "a client identifier without control characters",
    |text| !text.is_empty() && !text.chars().any(char::is_control)
);
grammar!(
    /// The login name of an account, and its folder.
    AccountName,
    r#"a name of a-z, 0-9, ".", "_" and "-" that does not begin with ".""#,
    |text| {
        text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
            && text.starts_with(|c: char| c != '.')
    }
);
grammar!(
    /// A file on the appliance.
    PemFile,
    r#"the path of a PEM file such as "/etc/ssl/mail.pem""#,
    |text| !text.is_empty() && !text.chars().any(char::is_control)
);
grammar!(
    /// A mailbox of an IMAP server.
    Folder,
    r#"a mailbox name such as "INBOX""#,
    |text| !text.is_empty() && !text.chars().any(char::is_control)
);
grammar!(
    /// An endpoint of an OAuth 2.0 server (RFC 6749 section 3).
    EndpointUrl,
    r#"a URL such as "https://login.provider.example/token""#,
    |text| Endpoint::parse(text).is_some()
);
grammar!(
    /// A provider whose endpoints and scopes are known.
    ProviderName,
    r#""google", "microsoft" or "yahoo""#,
    is_provider
);
grammar!(
    /// What an access token gives access to (RFC 6749 section 3.3).
    Scope,
    "words of an OAuth 2.0 server with blanks in between",
    |text| {
        let is_sign = |octet: u8| octet.is_ascii_graphic() && octet != b'"' && octet != b'\\';
        text.split(' ').all(|word| !word.is_empty() && word.bytes().all(is_sign))
    }
);

/// A domain, stored in lower case.
pub struct Domain;

impl Grammar for Domain {
    fn form() -> String {
        r#"a domain such as "home.example" (an international one in its xn-- form)"#.to_owned()
    }
    fn accepts(text: &str) -> bool {
        is_host_name(text)
    }
    fn normal(text: &str) -> Cow<'_, str> {
        Cow::Owned(text.to_ascii_lowercase())
    }
}

impl TextForm for SocketAddr {
    const FORM: &'static str = r#"an ADDRESS:PORT such as "127.0.0.1:1143" or "[::]:143""#;
    fn parse(text: &str) -> Option<SocketAddr> {
        text.parse().ok()
    }
}

impl TextForm for IpNet {
    const FORM: &'static str = r#"a network such as "192.168.0.0/16" or "fe80::/10", or one address"#;
    /// Drops the bits beyond the prefix. Refuses IPv4-mapped networks, which would never match: the addresses of clients are
    /// compared as IPv4.
    fn parse(text: &str) -> Option<IpNet> {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()?;
        match network {
            IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some() => None,
            _ => Some(network.trunc()),
        }
    }
}

impl Choices for PlaintextLogin {
    const NAMES: &'static [(&'static str, Self)] =
        &[("never", PlaintextLogin::Never), ("lan", PlaintextLogin::Lan), ("always", PlaintextLogin::Always)];
}

impl Choices for Service {
    const NAMES: &'static [(&'static str, Self)] =
        &[("pop3", Service::Pop3), ("imap", Service::Imap), ("submission", Service::Submission)];
}

impl Choices for Security {
    const NAMES: &'static [(&'static str, Self)] =
        &[("tls", Security::Tls), ("starttls", Security::Starttls), ("none", Security::None)];
}

impl Choices for Large {
    const NAMES: &'static [(&'static str, Self)] = &[("leave", Large::Leave), ("delete", Large::Delete)];
}

impl Choices for Protocol {
    const NAMES: &'static [(&'static str, Self)] = &[("pop3", Protocol::Pop3), ("imap", Protocol::Imap)];
}

impl Choices for SourceAuth {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("auto", SourceAuth::Auto),
        ("SCRAM-SHA-256", SourceAuth::ScramSha256),
        ("CRAM-MD5", SourceAuth::CramMd5),
        ("APOP", SourceAuth::Apop),
        ("PLAIN", SourceAuth::Plain),
        ("LOGIN", SourceAuth::Login),
        ("USER", SourceAuth::User),
        ("oauth2", SourceAuth::OAuth2),
    ];
}
