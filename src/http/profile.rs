//! The profile that sets up mail on an iPhone, iPad or Mac: the appliance's CA, and an account for reading and sending. The password
//! is typed on the device, unless one was made for it.

use data_encoding::BASE64;
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::autoconfig::escaped;
use crate::certificate;
use crate::config::{Account, Config, ServerProtocol};

/// RFC 7303 has no name for it; Apple's "Configuration Profile Reference" has.
pub const TYPE: &str = "application/x-apple-aspen-config";

/// The profile of `account`, with `ca`, the certificate of the local CA in DER, where there is one. `None` where the appliance serves
/// no IMAP or takes no mail from programs. `password`, an app password, comes along, where one was made for the device. A profile that is installed once more takes the place of the one before.
pub fn of(
    config: &Config,
    account: &Account,
    announced: Option<&str>,
    ca: Option<&[u8]>,
    password: Option<&str>,
) -> Option<Zeroizing<String>> {
    let host = certificate::name_for_clients(config, announced);
    // Of another port than that of implicit TLS these devices know by themselves that it is STARTTLS.
    let (_, incoming) = config.listen.ports(ServerProtocol::Imap).next()?;
    let (_, outgoing) = config.listen.ports(ServerProtocol::Submission).next()?;
    let identity = format!("pillarbox.{host}.{:016x}", account.id);
    let trust = ca.map_or_else(String::new, |ca| {
        format!(
            "<dict>{}<key>PayloadCertificateFileName</key><string>pillarbox.crt</string><key>PayloadContent</key><data>{}</data></dict>",
            payload("com.apple.security.root", &format!("{identity}.ca"), &host),
            BASE64.encode(ca)
        )
    });
    let server = |which: &str, port: u16| {
        format!(
            "<key>{which}MailServerAuthentication</key><string>EmailAuthPassword</string>\
             <key>{which}MailServerHostName</key><string>{}</string>\
             <key>{which}MailServerPortNumber</key><integer>{port}</integer>\
             <key>{which}MailServerUseSSL</key><true/>\
             <key>{which}MailServerUsername</key><string>{}</string>",
            escaped(&host),
            escaped(&account.address)
        )
    };
    let password = Zeroizing::new(password.map_or_else(String::new, |password| {
        format!("<key>IncomingPassword</key><string>{}</string>", escaped(password))
    }));
    Some(Zeroizing::new(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\"><dict><key>PayloadContent</key><array>{trust}\
         <dict>{mail}<key>EmailAccountType</key><string>EmailTypeIMAP</string>\
         <key>EmailAccountDescription</key><string>{host}</string>\
         <key>EmailAddress</key><string>{address}</string>{incoming}{outgoing}\
         {password}<key>OutgoingPasswordSameAsIncomingPassword</key><true/></dict></array>{whole}</dict></plist>\n",
        mail = payload("com.apple.mail.managed", &format!("{identity}.mail"), &account.address),
        host = escaped(&host),
        address = escaped(&account.address),
        incoming = server("Incoming", incoming),
        outgoing = server("Outgoing", outgoing),
        password = *password,
        whole = payload("Configuration", &identity, &format!("{} · {host}", account.address)),
    )))
}

/// What every payload has.
fn payload(kind: &str, identity: &str, name: &str) -> String {
    format!(
        "<key>PayloadType</key><string>{kind}</string><key>PayloadVersion</key><integer>1</integer>\
         <key>PayloadIdentifier</key><string>{}</string><key>PayloadUUID</key><string>{}</string>\
         <key>PayloadDisplayName</key><string>{}</string>",
        escaped(identity),
        uuid(identity),
        escaped(name)
    )
}

/// The same one for the same identity (RFC 9562 section 5.8).
fn uuid(identity: &str) -> String {
    let hash = digest(&SHA256, identity.as_bytes());
    let mut octets: [u8; 16] = std::array::from_fn(|n| hash.as_ref().get(n).copied().unwrap_or_default());
    octets[6] = octets[6] & 0x0F | 0x80;
    octets[8] = octets[8] & 0x3F | 0x80;
    let hex: String = octets.iter().map(|octet| format!("{octet:02X}")).collect();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Verifier;

    /// Catches: a device that asks at another name or port, one that installs a second account where the first one changed, and an
    /// address that breaks the document.
    #[test]
    fn a_device_finds_everything_in_it() {
        let mut config = Config::demonstration(Verifier::new("x"));
        config.identify(&Config::default());
        config.accounts[0].address = "o'b&c@home.example".try_into().unwrap();
        let profile = |config: &Config| {
            of(config, &config.accounts[0], Some("pillarbox-2.local"), Some(b"DER"), None)
                .map(|it| String::clone(&it))
        };
        let text = profile(&config).unwrap();
        for part in [
            "<string>pillarbox-2.local</string>",
            "<key>IncomingMailServerPortNumber</key><integer>1993</integer>",
            "<key>OutgoingMailServerPortNumber</key><integer>1465</integer>",
            "<string>o&#39;b&amp;c@home.example</string>",
            "<data>REVS</data>",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(!text.contains("b&c") && !text.contains("<key>IncomingPassword"), "{text}");
        let with = of(&config, &config.accounts[0], None, None, Some("a<b")).unwrap();
        assert!(with.contains("<key>IncomingPassword</key><string>a&lt;b</string>"), "{}", *with);
        let uuids = |text: &str| -> Vec<String> {
            let parts = text.split("<key>PayloadUUID</key><string>").skip(1);
            parts.map(|part| part.split('<').next().unwrap().to_owned()).collect()
        };
        let before = uuids(&text);
        assert!(before.len() == 3 && before[0].len() == 36 && before[0] != before[1], "{before:?}");
        config.listen.imaps.clear();
        let text = profile(&config).unwrap();
        assert!(text.contains("<integer>1143</integer>") && uuids(&text) == before, "{text}");
        config.listen.imap.clear();
        assert_eq!(profile(&config), None);
    }
}
