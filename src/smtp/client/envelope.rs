//! The envelope of a message as a server gets it: MAIL and RCPT with the parameters of the extensions that the server
//! offers, and with addresses that it takes.

use super::Capabilities;
use crate::message::recode::MissingExtension;
use crate::net::idna::to_ascii;
use crate::smtp::dsn::{self, Notify, Ret};
use crate::smtp::{Mailbox, Recipient, Reply, ReversePath};

/// A message to send, without its content.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The address for bounces.
    pub sender: &'a ReversePath,
    /// An address that replaces the sender, also in the header, where the server takes only ASCII and the sender is
    /// not ASCII.
    pub ascii_sender: Option<&'a Mailbox>,
    /// The recipients, at least one.
    pub recipients: &'a [Recipient],
    /// Octets of the content.
    pub size: u64,
    /// Whether the content has octets above 127.
    pub eight_bit: bool,
    /// Whether addresses or the header have characters above ASCII (RFC 6531).
    pub utf8: bool,
    /// The DSN parameters of MAIL (RFC 3461).
    pub dsn: &'a dsn::Request,
}

/// The commands for a message.
#[derive(Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The MAIL command, without SIZE and line end.
    mail: String,
    /// For each recipient the RCPT command, or the reason why the message cannot be offered for it.
    pub recipients: Vec<Result<String, Reply>>,
    /// Whether the server takes over delivery status notifications.
    pub dsn_passed_on: bool,
}

impl<'a> Message<'a> {
    /// Whether the message is sent with SMTPUTF8: it needs that, and the server offers it, together with 8BITMIME
    /// (RFC 6531 section 3.1).
    fn goes_as_utf8(&self, capabilities: &Capabilities) -> bool {
        let beyond = |mailbox: &Mailbox| !mailbox.as_str().is_ascii();
        let sender = self.sender.as_ref().is_some_and(beyond);
        let needs = self.utf8 || sender || self.recipients.iter().any(|recipient| beyond(&recipient.mailbox));
        needs && capabilities.utf8 && capabilities.eight_bit
    }

    /// How the content is to be recoded for this server; `None`: it is sent unchanged.
    pub fn aim(&self, capabilities: &Capabilities) -> Option<MissingExtension> {
        if (self.eight_bit || self.utf8) && !capabilities.eight_bit {
            return Some(MissingExtension::SevenBit);
        }
        (self.utf8 && !self.goes_as_utf8(capabilities)).then_some(MissingExtension::Header)
    }

    /// The sender's address, and the one that replaces it in an ASCII header.
    pub fn replaced(&self) -> Option<(&'a str, &'a str)> {
        let (sender, ascii) = (self.sender.as_ref()?, self.ascii_sender?);
        Some((sender.as_str(), ascii.as_str()))
    }

    /// The commands for a server with these `capabilities`.
    pub fn envelope(&self, capabilities: &Capabilities) -> Envelope {
        let utf8 = self.goes_as_utf8(capabilities);
        let sender = match self.sender {
            None => Ok(String::new()),
            Some(sender) => address(sender, utf8)
                .or_else(|| self.ascii_sender.and_then(|alias| address(alias, utf8)))
                .ok_or_else(|| beyond_ascii("and the sender's address has no other form")),
        };
        let refusal = sender.as_ref().err().cloned();
        let mut mail = format!("MAIL FROM:<{}>", sender.unwrap_or_default());
        // Without 8BITMIME the content is converted (RFC 6152 section 3).
        if capabilities.eight_bit && (self.eight_bit || utf8) {
            mail.push_str(" BODY=8BITMIME");
        }
        if utf8 {
            mail.push_str(" SMTPUTF8");
        }
        if capabilities.dsn {
            mail.push_str(&asked_of_all(self.dsn));
        }
        let recipients = self.recipients.iter().map(|recipient| {
            if let Some(refusal) = &refusal {
                return Err(refusal.clone());
            }
            let address = address(&recipient.mailbox, utf8);
            let address = address.ok_or_else(|| beyond_ascii("and this one has no other form"))?;
            let asked = if capabilities.dsn { asked_of(recipient, utf8) } else { String::new() };
            Ok(format!("RCPT TO:<{address}>{asked}"))
        });
        Envelope { mail, recipients: recipients.collect(), dsn_passed_on: capabilities.dsn }
    }
}

impl Envelope {
    /// The MAIL command for a content of so many octets.
    pub fn mail(&self, size: u64, capabilities: &Capabilities) -> String {
        match capabilities.size {
            Some(_) => format!("{} SIZE={size}", self.mail),
            None => self.mail.clone(),
        }
    }
}

/// An address in the form that the server takes; `None` if it has none. A domain has an ASCII form; what a local part
/// means, only its host knows.
fn address(mailbox: &Mailbox, utf8: bool) -> Option<String> {
    let text = mailbox.as_str();
    if utf8 || text.is_ascii() {
        return Some(text.to_owned());
    }
    let local = text.strip_suffix(mailbox.domain()).filter(|local| local.is_ascii())?;
    Some(format!("{local}{}", to_ascii(mailbox.domain())?))
}

/// The verdict on an address that the server cannot take (RFC 6531 section 3.5, `X.6.7` of RFC 3463).
fn beyond_ascii(which: &str) -> Reply {
    Reply::new(550, (6, 7), format!("Your provider's server does not take addresses beyond ASCII, {which}"))
}

/// The DSN parameters of MAIL (RFC 3461 sections 4.3 and 4.4).
fn asked_of_all(request: &dsn::Request) -> String {
    let mut asked = match request.ret {
        Some(Ret::Full) => " RET=FULL".to_owned(),
        Some(Ret::Headers) => " RET=HDRS".to_owned(),
        None => String::new(),
    };
    if is_value(&request.envid) && request.envid.is_ascii() {
        asked.push_str(&format!(" ENVID={}", request.envid));
    }
    asked
}

/// The DSN parameters of RCPT (RFC 3461 sections 4.1 and 4.2).
fn asked_of(recipient: &Recipient, utf8: bool) -> String {
    let mut asked = match recipient.notify {
        Notify::Unsaid => String::new(),
        Notify::Never => " NOTIFY=NEVER".to_owned(),
        Notify::When { success, failure, delay } => {
            let words = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
            let said: Vec<&str> = words.iter().filter(|(asked, _)| *asked).map(|(_, word)| *word).collect();
            format!(" NOTIFY={}", if said.is_empty() { "NEVER".to_owned() } else { said.join(",") })
        }
    };
    if is_value(&recipient.original) {
        // Without SMTPUTF8 the address has another form (RFC 6533 section 3).
        let original = &recipient.original;
        asked.push_str(" ORCPT=");
        original.chars().for_each(|c| push(c, utf8 || c.is_ascii(), &mut asked));
    } else if recipient.notify != Notify::Unsaid {
        // The address as the client gave it (RFC 3461 section 5.2.1).
        asked.push_str(&original(&recipient.mailbox));
    }
    asked
}

/// Whether a client's value may stand in a command: it is not empty, and has no blank or control character.
fn is_value(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| !c.is_control() && !c.is_whitespace())
}

/// The ORCPT parameter for this address.
fn original(mailbox: &Mailbox) -> String {
    let text = mailbox.as_str();
    if text.is_ascii() {
        // xtext (RFC 3461 section 4).
        let mut asked = " ORCPT=rfc822;".to_owned();
        for octet in text.bytes() {
            match octet {
                b'!'..=b'~' if !b"+=".contains(&octet) => asked.push(char::from(octet)),
                _ => asked.push_str(&format!("+{octet:02X}")),
            }
        }
        return asked;
    }
    // utf-8-addr-xtext, which every server with DSN takes (RFC 6533 section 3).
    let mut asked = " ORCPT=utf-8;".to_owned();
    text.chars().for_each(|c| push(c, c.is_ascii_graphic() && !"+=\\".contains(c), &mut asked));
    asked
}

fn push(c: char, as_it_is: bool, text: &mut String) {
    if as_it_is { text.push(c) } else { text.push_str(&format!("\\x{{{:X}}}", u32::from(c))) }
}

#[cfg(test)]
mod tests;
