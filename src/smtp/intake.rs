//! The content of one message on its way from the wire to the store, judged as it passes: size, hops,
//! and whether it says that it is from who sent it. Without I/O.

use super::Reply;
use super::data::Decoder;
use super::header::{Defaults, HeaderFilter};
use super::mailbox::Mailbox;
use super::session::too_large;
use crate::message::header::{MAX_FIELDS, MAX_HEADER};

/// Received fields that mean a loop (RFC 5321 section 6.3 asks for a limit of at least 100 where hosts
/// relay for each other; a submission has come nowhere near).
const MAX_HOPS: u32 = 50;

/// A message coming in.
#[derive(Debug)]
pub struct Intake {
    decoder: Decoder,
    header: HeaderFilter,
    decoded: Vec<u8>,
    size: u64,
    limit: u64,
    eight_bit: bool,
    refusal: Option<Reply>,
}

impl Intake {
    /// A message of `limit` octets at the most. `watched`: at the end the sender is asked for its own addresses.
    pub fn new(defaults: Defaults, limit: u64, watched: bool) -> Intake {
        Intake {
            decoder: Decoder::default(),
            header: HeaderFilter::new(defaults, watched),
            decoded: Vec::new(),
            size: 0,
            limit,
            eight_bit: false,
            refusal: None,
        }
    }

    /// Puts into `out` what is to be stored of `input`, and returns how much of `input` was consumed:
    /// all of it, unless the end comes before.
    pub fn take(&mut self, input: &[u8], out: &mut Vec<u8>) -> usize {
        out.clear();
        self.decoded.clear();
        let consumed = self.decoder.decode(input, &mut self.decoded);
        self.size += self.decoded.len() as u64;
        if self.size > self.limit {
            self.refuse(too_large(self.limit));
        }
        if self.refusal.is_none() {
            self.eight_bit |= !self.decoded.is_ascii();
            self.header.filter(&self.decoded, out);
            if self.header.received() > MAX_HOPS {
                self.refuse(Reply::new(554, (4, 6), "Too many hops: this message goes round in circles"));
            }
            if self.header.is_too_much() {
                self.refuse(header_too_large());
            }
            if self.is_complete() {
                self.header.finish(out);
            }
        }
        consumed
    }

    /// Gives the message up. The rest is received and thrown away, since a client hears no reply
    /// before it has sent all.
    pub fn refuse(&mut self, refusal: Reply) {
        self.refusal.get_or_insert(refusal);
    }

    /// Whether the end has come.
    pub fn is_complete(&self) -> bool {
        self.decoder.is_complete()
    }

    /// Whether so much is thrown away that closing the connection is better for everyone.
    pub fn is_hopeless(&self) -> bool {
        self.size / 2 > self.limit
    }

    /// The verdict at the end; `own` tells whether an address is the sender's, who may be anyone where
    /// there is no `own`. `Ok` with whether the content has octets above 127.
    ///
    /// # Errors
    /// Why the message is not taken.
    pub fn finish(self, own: Option<&dyn Fn(&Mailbox) -> bool>) -> Result<bool, Reply> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        if let Some(own) = own {
            match self.header.originators() {
                None => return Err(Reply::new(550, (6, 0), "Who this message is from cannot be made out")),
                Some(originators) if !originators.iter().all(own) => {
                    return Err(Reply::new(550, (7, 1), "From and Sender must be addresses of yours"));
                }
                Some(_) => {}
            }
        }
        Ok(self.eight_bit)
    }
}

/// RFC 3463 section 3.7: something about the content.
fn header_too_large() -> Reply {
    let (fields, kib) = (MAX_FIELDS, MAX_HEADER / 1024);
    Reply::new(554, (6, 0), format!("A header of up to {fields} fields and {kib} KiB is taken"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: &str = "From: a@b.example\r\nDate: now\r\nMessage-ID: <x@y>\r\n\r\n";

    /// What is stored of `wire`, and the verdict for a sender who is a@b.example.
    fn take(wire: &str, limit: u64) -> (String, Result<bool, Reply>) {
        let defaults = Defaults { from: None, date: 0, domain: "home.example".into() };
        let mut intake = Intake::new(defaults, limit, true);
        let (mut stored, mut out, mut consumed) = (Vec::new(), Vec::new(), 0);
        for piece in wire.as_bytes().chunks(11) {
            consumed += intake.take(piece, &mut out);
            stored.extend_from_slice(&out);
        }
        assert!(intake.is_complete() && consumed == wire.len());
        let own = |mailbox: &Mailbox| mailbox.as_str() == "a@b.example";
        (String::from_utf8(stored).unwrap(), intake.finish(Some(&own)))
    }

    #[test]
    fn a_message_that_is_in_order_passes_as_it_is() {
        let (stored, verdict) = take(&format!("{COMPLETE}..dots\r\n.\r\n"), 1000);
        assert_eq!((stored, verdict), (format!("{COMPLETE}.dots\r\n"), Ok(false)));
        let (_, verdict) = take(&format!("{COMPLETE}Grüße\r\n.\r\n"), 1000);
        assert_eq!(verdict, Ok(true));
    }

    #[test]
    fn the_limit_is_the_last_octet_that_is_taken() {
        let exact = format!("{COMPLETE}x\r\n");
        let limit = exact.len() as u64;
        assert_eq!(take(&format!("{exact}.\r\n"), limit), (exact.clone(), Ok(false)));
        let (stored, verdict) = take(&format!("{exact}y\r\n.\r\n"), limit);
        assert_eq!(verdict, Err(too_large(limit)));
        assert!(stored.len() <= exact.len());
    }

    #[test]
    fn verdicts() {
        for (wire, code) in [
            ("From: Boss <boss@b.example>\r\n\r\n.\r\n", "550 5.7.1"),
            ("From: a@b.example\r\nSender: boss@b.example\r\n\r\n.\r\n", "550 5.7.1"),
            ("From: a@b.example, boss@b.example\r\n\r\n.\r\n", "550 5.7.1"),
            ("From: nobody\r\n\r\n.\r\n", "550 5.6.0"),
            (&format!("{}{COMPLETE}.\r\n", "Received: x\r\n".repeat(51)), "554 5.4.6"),
            (&format!("{}{COMPLETE}.\r\n", "A: x\r\n".repeat(998)), "554 5.6.0"),
        ] {
            let verdict = take(wire, 10_000).1.unwrap_err();
            assert!(verdict.to_string().starts_with(code), "{wire:?}: {verdict}");
        }
        assert_eq!(take(&format!("{}{COMPLETE}.\r\n", "Received: x\r\n".repeat(50)), 10_000).1, Ok(false));
        assert_eq!(take(&format!("{}{COMPLETE}.\r\n", "A: x\r\n".repeat(997)), 10_000).1, Ok(false));
    }

    #[test]
    fn who_sends_without_an_end_is_not_listened_to_for_ever() {
        let mut intake = Intake::new(Defaults { from: None, date: 0, domain: String::new() }, 1000, true);
        let mut out = Vec::new();
        let pieces = (0..).take_while(|_| {
            intake.take(&[b'x'; 100], &mut out);
            !intake.is_hopeless()
        });
        assert_eq!(pieces.count(), 20);
    }
}
