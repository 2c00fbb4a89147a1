//! The settings that Outlook asks for: "autodiscover" of its plain form, without Exchange.

use super::autoconfig::escaped;
use crate::certificate;
use crate::config::{Config, Security, ServerProtocol};

/// Where it looks, in any case.
pub const PATH: &str = "/autodiscover/autodiscover.xml";
/// Octets of a question.
pub const LONGEST: usize = 16 << 10;

/// The answer to `question`, which names an address; only that is taken from it.
pub fn settings(config: &Config, announced: Option<&str>, question: &[u8]) -> String {
    let host = certificate::name_for_clients(config, announced);
    let login =
        address(question).map(|it| format!("<LoginName>{}</LoginName>", escaped(it))).unwrap_or_default();
    let mut protocols = String::new();
    for (kind, protocol) in
        [("IMAP", ServerProtocol::Imap), ("POP3", ServerProtocol::Pop3), ("SMTP", ServerProtocol::Submission)]
    {
        let Some((security, port)) = config.listen.ports(protocol).next() else { continue };
        let (ssl, encryption) = if security == Security::Tls { ("on", "SSL") } else { ("off", "TLS") };
        protocols += &format!(
            "<Protocol><Type>{kind}</Type><Server>{}</Server><Port>{port}</Port>{login}<DomainRequired>off</DomainRequired>\
             <SPA>off</SPA><SSL>{ssl}</SSL><Encryption>{encryption}</Encryption><AuthRequired>on</AuthRequired></Protocol>",
            escaped(&host)
        );
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006\">\
         <Response xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a\">\
         <Account><AccountType>email</AccountType><Action>settings</Action>{protocols}</Account></Response></Autodiscover>\n"
    )
}

/// The address in the element `EMailAddress`; `None` where there is none that could be one.
fn address(question: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(question).ok()?;
    let (_, rest) = text.split_once("<EMailAddress>")?;
    let (address, _) = rest.split_once("</EMailAddress>")?;
    let address = address.trim();
    let fits = |c: char| !c.is_control() && !c.is_whitespace() && !"<>&".contains(c);
    (address.len() <= 254 && address.contains('@') && address.chars().all(fits)).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Verifier;

    /// Catches: a port or a way to it that is not so, and a question that writes into its answer.
    #[test]
    fn every_service_is_named_and_the_question_only_by_its_address() {
        let mut config = Config::demonstration(Verifier::new("x"));
        config.listen.pop3s.clear();
        let ask = |question: &str| settings(&config, None, question.as_bytes());
        let answer = ask("<a><EMailAddress> ann@home.example </EMailAddress></a>");
        for part in [
            "<Type>IMAP</Type><Server>pillarbox.local</Server><Port>1993</Port><LoginName>ann@home.example</LoginName>",
            "<Port>1110</Port>",
            "<SSL>off</SSL><Encryption>TLS</Encryption>",
            "<Type>SMTP</Type><Server>pillarbox.local</Server><Port>1465</Port>",
        ] {
            assert!(answer.contains(part), "{part} is missing in {answer}");
        }
        for question in
            ["", "<EMailAddress>", "<EMailAddress>a@b<c></EMailAddress>", "<EMailAddress>a</EMailAddress>"]
        {
            assert!(!ask(question).contains("LoginName"), "{question}");
        }
    }
}
