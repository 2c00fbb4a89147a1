//! The rules between settings, each broken once: in a text, and on the console.

use super::mistakes::finds_what_it_announces;
use super::{LEAST, read};
use crate::config::check::check;
use crate::config::path::{add_account, add_source, set};

#[test]
fn listeners_and_certificates() {
    finds_what_it_announces(&format!(
        r#"{LEAST}
[listen]
imap = ["127.0.0.1:143", "[::1]:143"]
imaps = ["0.0.0.0:993", "[::]:993", "127.0.0.1:0"]
pop3 = ["127.0.0.1:110", "127.0.0.1:0"]
pop3s = ["127.0.0.1:110"]        #! 127.0.0.1:110 is taken by 127.0.0.1:110 of pop3: choose another port
submission = ["127.0.0.1:993"]   #! 127.0.0.1:993 is taken by 0.0.0.0:993 of imaps: choose another port
http = ["[::]:143"]              #! [::]:143 is taken by [::1]:143 of imap: choose another port
[tls]                            #! key is missing: give both the certificate and its key, or neither
certificate = "/etc/ssl/mail.pem"
"#
    ));
}

#[test]
fn the_network_of_a_device() {
    let fixed = |more: &str| format!("{LEAST}\n[network]\n{more}\n");
    let rest = "dns = [\"192.168.1.1\"]\n";
    for address in [
        "192.168.1.0/24",
        "192.168.1.255/24",
        "127.0.0.1/8",
        "224.0.0.5/24",
        "0.0.0.0/0",
        "255.255.255.255/32",
    ] {
        let own = address.split('/').next().unwrap();
        finds_what_it_announces(&fixed(&format!(
            "address = \"{address}\" #! {address}: no device can have {own}: take a free address of your network, such as 192.168.1.5/24"
        )));
    }
    finds_what_it_announces(&fixed(
        "address = \"192.168.1.5\" #! address: \"192.168.1.5\" is not \"dhcp\" or an IPv4 address with the length of its network's prefix such as \"192.168.1.5/24\"",
    ));
    for (gateway, told) in [
        (
            "192.168.2.1",
            "#! 192.168.2.1 is no machine's address in 192.168.1.0/24: the router has one between 192.168.1.1 and 192.168.1.254",
        ),
        (
            "192.168.1.255",
            "#! 192.168.1.255 is no machine's address in 192.168.1.0/24: the router has one between 192.168.1.1 and 192.168.1.254",
        ),
        ("192.168.1.5", "#! 192.168.1.5 is the device's own address: give that of the router"),
        ("192.168.1.1", ""),
        ("fe80::1", "#! gateway: \"fe80::1\" is not an IPv4 address such as \"192.168.1.1\", or \"\""),
    ] {
        finds_what_it_announces(&fixed(&format!(
            "address = \"192.168.1.5/24\"\ngateway = \"{gateway}\" {told}\n{rest}"
        )));
    }
    finds_what_it_announces(&fixed(
        "address = \"10.0.0.0/31\"\ngateway = \"10.0.0.1\"\ndns = [\"10.0.0.1\"]",
    ));
    finds_what_it_announces(&format!(
        "{LEAST}\n[network] #! warning: gateway is missing: without the router's address nothing outside the network is reached \
         #! warning: dns is missing: without DHCP nobody names a DNS server, and no provider is found; the router often is one\n\
         address = \"192.168.1.5/24\"\n"
    ));
    finds_what_it_announces(&fixed(
        "gateway = \"192.168.1.1\" #! warning: gateway has no effect with address = \"dhcp\": DHCP names the router\n\
         dns = [\"9.9.9.9\", \"2620:fe::fe\", \"1.1.1.1\"]\n\
         ntp = [] #! ntp: a list of 0 does not fit: it takes 1 to 4 values",
    ));
    finds_what_it_announces(&fixed(
        "dns = [\"9.9.9.9\", \"router\"] #! dns: \"router\" is not an address such as \"192.168.1.1\"",
    ));
}

#[test]
fn addresses_and_names() {
    finds_what_it_announces(&format!(
        r#"{LEAST}
aliases = [
  "sales@home.example",
  "info@other.example", "OFFICE@home.example",
]
[[account]]
name = "office"                  #! another account is called office already: choose another name
address = "Sales@Home.Example"   #! Sales@Home.Example belongs to office already: only an alias may be that of several accounts
password = "long enough"
"#
    )
    .replace("aliases = [", "aliases = [ #! info@other.example: other.example is not one of server.domains: add it there, or to server.shared_domains where it is a provider's #! OFFICE@home.example belongs to this account already: only an alias may be that of several accounts"));
}

#[test]
fn the_domains_are_not_blamed_on_the_addresses_when_they_are_faulty() {
    let text = LEAST.replace("[\"home.example\"]", "5");
    finds_what_it_announces(&text.replace(
        "domains = 5",
        r#"domains = 5 #! domains: 5 is not a list in brackets, each a domain such as "home.example" (an international one in its xn-- form)"#,
    ));
}

#[test]
fn the_connector_needs_imap_and_the_server() {
    finds_what_it_announces(&format!(
        "{LEAST}connector = true #! warning: connector = true has no effect while server.connector is false\n"
    ));
    finds_what_it_announces(&format!(
        "{LEAST}imap = false\nconnector = true #! connector = true needs imap = true: Connector clients are IMAP clients\n"
    ));
    let on = LEAST.replace("[server]", "[server]\nconnector = true");
    finds_what_it_announces(&format!("{on}connector = true\n"));
}

/// Catches: an account that is not told that its mail does not go under its own login.
#[test]
fn a_login_of_ones_own_needs_the_smarthost_s_consent() {
    let account = "smarthost_password = \"hush\"";
    let warning = "#! warning: smarthost_password has no effect while smarthost.per_account_authentication is off: the account's mail \
                   goes under the global login";
    finds_what_it_announces(&format!("{LEAST}{account} {warning}\n"));
    let on = LEAST.replace("[server]", "[smarthost]\nper_account_authentication = true\n[server]");
    finds_what_it_announces(&format!("{on}{account}\n"));
}

#[test]
fn plain_text_stays_on_the_lan() {
    for (host, near) in [
        ("smtp.provider.example", false),
        ("203.0.113.5", false),
        ("2001:db8::5", false),
        ("local", true),
        ("relay", true),
        ("localhost", true),
        ("NAS.local", true),
        ("relay.home.arpa", true),
        ("relay.internal", true),
        ("192.168.1.9", true),
        ("127.0.0.2", true),
        ("::1", true),
        ("fd00::9", true),
    ] {
        let text = format!("{LEAST}[smarthost]\nhost = \"{host}\"\nsecurity = \"none\"\n");
        let config = crate::config::text::parse(text.as_bytes(), None);
        assert_eq!(config.is_ok(), near, "{host}");
        let problem = config.err().and_then(|problems| problems.first().cloned());
        assert!(problem.is_none_or(|p| p.text.starts_with("none sends passwords and mail in the clear to")));
    }
    // Loopback has no wire, whatever counts as the LAN.
    let text = LEAST.replace("[server]", "[server]\nlan = []");
    read(&format!("{text}[smarthost]\nhost = \"127.0.0.1\"\nsecurity = \"none\"\n"));
}

#[test]
fn the_smarthost() {
    finds_what_it_announces(&format!(
        r#"{LEAST}
[smarthost] #! password is missing: the smarthost's username needs one
host = "smtp.provider.example"
username = "home"
port = 587 #! warning: port 587 is usually that of security = "starttls"
"#
    ));
}

#[test]
fn sources() {
    finds_what_it_announces(&format!(
        r#"{LEAST}
[[account.source]]
host = "pop.provider.example"
username = "a"
password = "long enough"
security = "none"                #! warning: none sends the password in the clear to pop.provider.example: use tls or starttls where it offers them
port = 143                       #! warning: port 143 is usually that of the other protocol: 995 is usual for tls, 110 for starttls
delete_after = "5d"              #! warning: delete_after has no effect: without leave_on_server what was collected is deleted at once
interval = "push"                #! POP3 servers cannot push: use protocol = "imap", or an interval such as "10m"
folder = "Archive"               #! warning: folder "Archive" has no effect: POP3 knows the INBOX only, use protocol = "imap"
oauth2 = {{ client_id = "x" }}   #! warning: oauth2 has no effect without auth = "oauth2"
[[account.source]]
host = "imap.provider.example"
protocol = "imap"
security = "starttls"
port = 993                       #! warning: port 993 is usually that of security = "tls"
username = "a"
password = "long enough"
auth = "APOP"                    #! APOP and USER are POP3's: with protocol = "imap" use auto, or a mechanism that IMAP has
"#
    )
    .replacen("[[account]]", "[[account]] #! warning: multipop is false: none of the account's sources is contacted", 1));
}

#[test]
fn the_console_names_the_settings() {
    let mut config = read(LEAST);
    add_account(&mut config, "new").unwrap();
    add_source(&mut config, "new").unwrap();
    set(&mut config, "server.domains", "other.example").unwrap();
    set(&mut config, "tls.key", "/etc/ssl/mail.key").unwrap();
    let found: Vec<String> = check(&config).iter().map(ToString::to_string).collect();
    for problem in [
        "tls.certificate: certificate is missing: give both the certificate and its key, or neither",
        "account.office.address: office@home.example: home.example is not one of server.domains: add it there, or to server.shared_domains where it is a provider's",
        "account.new.password: password is missing: without one no one can log in",
        "account.new.multipop: warning: multipop is false: none of the account's sources is contacted",
        "account.new.source.1.host: host is missing: it is a host name such as \"mail.home.example\" or an address such as \"192.168.1.9\"",
        "account.new.source.1.password: password is missing: only auth = \"oauth2\" does without",
    ] {
        assert!(found.iter().any(|found| found == problem), "{problem} in {found:#?}");
    }
}

/// Catches: one mailbox that two sources collect, each of which gets only what the other has left.
#[test]
fn a_mailbox_is_collected_once() {
    let source = |host: &str, folder: &str| {
        format!(
            "[[account.source]]\nhost = \"{host}\"\nprotocol = \"imap\"\nport = 993\nusername = \"ann\"\npassword = \"x\"\nfolder = \"{folder}\"\n"
        )
    };
    let (one, sent, other) =
        (source("imap.x.de", "INBOX"), source("imap.x.de", "Sent"), source("imap.y.de", "INBOX"));
    let twice = source("IMAP.x.de", "INBOX").replace(
        "host = \"IMAP.x.de\"",
        "host = \"IMAP.x.de\" #! source 1 of this account collects this mailbox already: remove one of them",
    );
    finds_what_it_announces(&format!("{LEAST}\nmultipop = true\n{one}{sent}{other}{twice}"));
    // One of several folders, however its name is written.
    let several = source("imap.x.de", "x").replace(
        "host = \"imap.x.de\"",
        "host = \"imap.x.de\" #! source 1 of this account collects this mailbox already: remove one of them",
    );
    let several =
        several.replace("\"x\"\n[", "").replace("folder = \"x\"", "folder = [\"Trash\", \"inbox\"]");
    finds_what_it_announces(&format!("{LEAST}\nmultipop = true\n{one}{sent}{several}"));
}

/// Catches: a provider's domain at which nobody else can be reached, and an alias or a main address that belongs to another
/// account.
#[test]
fn domains_and_the_postmaster() {
    finds_what_it_announces(
        r#"
[server]
domains = ["home.example", "gmx.de", "web.de"] #! warning: web.de is a public provider's: nobody else there could be reached; put it into shared_domains
shared_domains = ["gmail.com", "gmx.de"]       #! gmx.de stands in domains as well: everyone there is either local or not
postmaster = "boss"                            #! postmaster: no account is called boss
lan_smtp_relay = true
lan_smtp_sender = "scan@home.example"          #! warning: scan@home.example is no account's: failures are told to the postmaster

[[account]]
name = "ann"
address = "ann@gmail.com"
aliases = ["family@home.example"]
password = "open sesame"

[[account]]
name = "bob"
address = "bob@home.example"
aliases = ["family@home.example", "ann@gmail.com"] #! ann@gmail.com belongs to ann already: only an alias may be that of several accounts
password = "open sesame"
"#,
    );
    finds_what_it_announces(&LEAST.replace(
        "[server]",
        "[server] #! lan_smtp_sender is missing: lan_smtp_relay needs an address to send as\nlan_smtp_relay = true",
    ));
}

/// Catches: a source without a port that uses another protocol's port, and a port that somebody chose and that changes.
#[test]
fn the_port_of_a_source_follows_protocol_and_security() {
    let port = |more: &str| {
        let text = format!(
            "{LEAST}\n[[account]]\nname = \"a\"\naddress = \"a@home.example\"\npassword = \"long enough\"\n[[account.source]]\nhost = \"x.example\"\nusername = \"u\"\npassword = \"p\"\n{more}\n"
        );
        read(&text).accounts.last().unwrap().sources[0].port
    };
    assert_eq!(port(""), 995);
    assert_eq!(port("security = \"starttls\""), 110);
    assert_eq!(port("protocol = \"imap\""), 993);
    assert_eq!(port("protocol = \"imap\"\nsecurity = \"none\""), 143);
    assert_eq!(port("protocol = \"imap\"\nport = 995"), 995);
    let mut config = read(LEAST);
    add_account(&mut config, "b").unwrap();
    add_source(&mut config, "b").unwrap();
    let mut after = |setting: &str, value: &str| {
        set(&mut config, &format!("account.b.source.1.{setting}"), value).unwrap();
        config.accounts.last().unwrap().sources[0].port
    };
    assert_eq!(after("protocol", "imap"), 993);
    assert_eq!(after("security", "starttls"), 143);
    assert_eq!(after("port", "1143"), 1143);
    assert_eq!(after("security", "tls"), 1143);
}
