//! The settings that mail clients ask for: the "config-v1.1.xml" of Thunderbird, K-9 and others.

use std::fmt::Write;

use crate::certificate;
use crate::config::{Config, Security, ServerProtocol};

/// Where mail programs look for it.
pub const PATHS: [&str; 2] = ["/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml"];

/// The document: each service that listens, implicit TLS first (RFC 8314), under the name that clients are to use when the
/// network knows the device as `announced`.
pub fn client_config(config: &Config, announced: Option<&str>) -> String {
    let host = certificate::name_for_clients(config, announced);
    let mut servers = String::new();
    for (kind, name, protocol) in [
        ("incoming", "imap", ServerProtocol::Imap),
        ("incoming", "pop3", ServerProtocol::Pop3),
        ("outgoing", "smtp", ServerProtocol::Submission),
    ] {
        for (security, port) in config.listen.ports(protocol) {
            let security = if security == Security::Tls { "SSL" } else { "STARTTLS" };
            let _ = write!(
                servers,
                "    <{kind}Server type=\"{name}\">\n      <hostname>{}</hostname>\n      <port>{port}</port>\n      \
                 <socketType>{security}</socketType>\n      <username>%EMAILADDRESS%</username>\n      \
                 <authentication>password-cleartext</authentication>\n    </{kind}Server>\n",
                escaped(&host),
            );
        }
    }
    let mut domains = String::new();
    for domain in &config.server.domains {
        let _ = writeln!(domains, "    <domain>{}</domain>", escaped(domain));
    }
    let name = config.server.domains.first().map_or("", |domain| domain.as_str());
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<clientConfig version=\"1.1\">\n  <emailProvider id=\"{0}\">\n{domains}    \
         <displayName>{0}</displayName>\n{servers}  </emailProvider>\n</clientConfig>\n",
        escaped(name)
    )
}

/// Text for XML and HTML, between tags or in a quoted attribute.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Verifier;

    #[test]
    fn every_service_that_listens_is_named_and_no_other() {
        let mut config = Config::demonstration(Verifier::new("x"));
        config.listen.pop3.clear();
        let xml = client_config(&config, None);
        for part in [
            "<domain>pillarbox.local</domain>",
            "<port>1993</port>",
            "<port>1465</port>",
            "<hostname>pillarbox.local<",
        ] {
            assert!(xml.contains(part), "{part} is missing in {xml}");
        }
        assert!(!xml.contains("<port>1110</port>"));
        assert!(xml.find("1993") < xml.find("1143"), "implicit TLS comes first");
        // Catches: a second appliance of the network that sends its users' logins to the first.
        let xml = client_config(&config, Some("pillarbox-2.local"));
        assert!(xml.contains("<hostname>pillarbox-2.local<") && !xml.contains("<hostname>pillarbox.local<"));
    }
}
