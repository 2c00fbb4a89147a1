//! Header fields that the appliance itself writes: the trace of a message that passes through it, and the fields that
//! a submitted message may lack (RFC 6409 section 8). Text from the network is made printable first, so that nobody
//! can smuggle in a field.

use data_encoding::BASE32_NOPAD;
use ring::rand::{SecureRandom, SystemRandom};

use super::date;
use crate::clock::unix_now;

/// A Received field (RFC 5321 section 4.4), folded, with its CRLF.
///
/// `from` says who delivered the message, as `client.example ([192.0.2.1])`. `with` is a name of the registry that
/// RFC 3848 began (ESMTP, ESMTPS, ESMTPSA, POP3S…). `recipient` is given only when there is one recipient, since each
/// would be told of the others.
pub fn received(from: &str, by: &str, with: &str, id: &str, recipient: Option<&str>, date: i64) -> String {
    let [from, by, with, id] = [from, by, with, id].map(printable);
    let recipient =
        recipient.map(|address| format!("\r\n\tfor <{}>", printable(address))).unwrap_or_default();
    let date = date::rfc5322(date);
    format!("Received: from {from}\r\n\tby {by} with {with} id {id}{recipient};\r\n\t{date}\r\n")
}

/// A new Message-ID with its angle brackets.
pub fn message_id(domain: &str) -> String {
    let mut random = [0; 15];
    // If the system ever has no random octets, the time still makes the identifiers different.
    let _ = SystemRandom::new().fill(&mut random);
    let unique = BASE32_NOPAD.encode(&random).to_ascii_lowercase();
    format!("<{}.{unique}@{}>", unix_now(), printable(domain))
}

/// The text with `?` for each character that would end a line or is not ASCII.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_field_is_folded_and_cannot_be_forged() {
        assert_eq!(
            received("x ([192.0.2.1])", "pillarbox.local", "ESMTPSA", "7", Some("ann@home.example"), 0),
            "Received: from x ([192.0.2.1])\r\n\tby pillarbox.local with ESMTPSA id 7\r\n\t\
             for <ann@home.example>;\r\n\tThu, 01 Jan 1970 00:00:00 +0000\r\n"
        );
        let forged = received("x\r\nSubject: y\u{e9}", "b", "SMTP", "7", None, 0);
        assert!(forged.starts_with("Received: from x??Subject: y?\r\n\tby b with SMTP id 7;\r\n\tThu"));
    }

    #[test]
    fn message_ids_differ() {
        let (one, two) = (message_id("home.example"), message_id("home.example"));
        assert_ne!(one, two);
        assert!(one.starts_with('<') && one.ends_with("@home.example>"), "{one}");
    }
}
