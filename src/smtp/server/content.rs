//! DATA and BDAT: the octets of a message, from the wire to the post.

use std::io;
use std::time::Duration;

use super::Connection;
use crate::clock::unix_now;
use crate::config::Destination;
use crate::message::compose;
use crate::smtp::arrival::Arrival;
use crate::smtp::data::Decoder;
use crate::smtp::header::{Authors, Defaults};
use crate::smtp::intake::{Intake, is_hopeless};
use crate::smtp::{Envelope, Mailbox, Reply};

/// The time from one piece of the content to the next (RFC 5321 section 4.5.3.2.5).
pub(super) const CONTENT: Duration = Duration::from_secs(3 * 60);

impl Connection {
    /// Answers DATA up to the verdict on the message (RFC 5321 section 4.1.1.4).
    pub(super) async fn content(&mut self, envelope: Envelope, size: u64) -> io::Result<Reply> {
        let decoder = match self.session.knows_lf_only() {
            true => Decoder::of_bare_lines(),
            false => Decoder::default(),
        };
        let mut arrival = match self.arrival(envelope, size, decoder).await {
            Ok(arrival) => arrival,
            Err(refusal) => return Ok(refusal),
        };
        self.send(&Reply::plain(354, "Go ahead, and end with a lone dot")).await?;
        self.flush().await?;
        while !arrival.is_complete() {
            let consumed = arrival.take(self.octets().await?);
            self.stream.consume(consumed);
            if arrival.is_hopeless(0) {
                return Ok(far_too_much());
            }
        }
        Ok(self.accept(*arrival).await)
    }

    /// Answers BDAT (RFC 3030 section 2). `begins` is given with the first chunk of a message.
    pub(super) async fn chunk(
        &mut self,
        octets: u64,
        last: bool,
        begins: Option<(Envelope, u64)>,
    ) -> io::Result<Reply> {
        if let Some((envelope, size)) = begins {
            let limit = self.context.config().server.max_message_size;
            // Room is reserved for the announced size, in BDAT or in MAIL.
            let size = if octets <= limit { size.max(octets) } else { size };
            match self.arrival(envelope, size, Decoder::of_chunks()).await {
                Ok(arrival) => self.own.arrival = Some(arrival),
                Err(refusal) => {
                    self.session.chunk_refused();
                    return self.swallow(octets, refusal).await;
                }
            }
        }
        let Some(mut arrival) = self.own.arrival.take() else {
            self.session.chunk_refused();
            return self.swallow(octets, Reply::new(503, (5, 1), "MAIL and RCPT come first")).await;
        };
        let mut left = octets;
        while left > 0 {
            if arrival.is_hopeless(left) {
                return Ok(far_too_much());
            }
            let input = first(self.octets().await?, left);
            let taken = arrival.take(input);
            self.stream.consume(taken);
            left -= taken as u64;
        }
        if last {
            return Ok(self.accept(*arrival).await);
        }
        if let Some(refusal) = arrival.refusal() {
            self.session.chunk_refused();
            return Ok(refusal.clone());
        }
        self.own.arrival = Some(arrival);
        Ok(Reply::new(250, (0, 0), format!("{octets} octets are here")))
    }

    /// Drops octets that were announced: they come whatever the reply is.
    pub(super) async fn swallow(&mut self, octets: u64, reply: Reply) -> io::Result<Reply> {
        if is_hopeless(octets, self.context.config().server.max_message_size) {
            return Ok(far_too_much());
        }
        let mut left = octets;
        while left > 0 {
            let swallowed = first(self.octets().await?, left).len();
            self.stream.consume(swallowed);
            left -= swallowed as u64;
        }
        Ok(reply)
    }

    /// The next octets of the content. The end of the connection is an error.
    async fn octets(&mut self) -> io::Result<&[u8]> {
        let limit = CONTENT.min(self.patience());
        let input = self.fill(limit).await?;
        if input.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(input) }
    }

    /// Hands a complete message to the post.
    async fn accept(&mut self, arrival: Arrival) -> Reply {
        let id = arrival.id.clone();
        let (envelope, content) = match arrival.finish() {
            Ok(message) => message,
            Err(refusal) => return refusal,
        };
        let (sender, recipients) = (envelope.sender.clone(), envelope.recipients.len());
        if let Err(refusal) = self.own.post.accept(envelope, content).await {
            return refusal;
        }
        let (peer, name) = (self.stream.peer(), self.session.client_name());
        let sender = sender.as_ref().map_or("", Mailbox::as_str);
        log::info!("smtp {peer} ({name}): {id} from <{sender}> to {recipients}");
        Reply::new(250, (0, 0), "It is safe with me")
    }

    /// Begins a message with this envelope.
    async fn arrival(&self, envelope: Envelope, size: u64, decoder: Decoder) -> Result<Box<Arrival>, Reply> {
        let content = self.own.post.incoming(&envelope, size).await?;
        let config = self.context.config();
        let hostname = config.server.hostname.to_string();
        let id: String = compose::message_id("").chars().filter(char::is_ascii_alphanumeric).collect();
        // The trace field (RFC 5321 section 4.4) names this host as the origin: names and addresses of the devices at
        // home are nobody's business outside. The log has them under the id. The field names no recipient, which may
        // be a Bcc.
        let with = self.session.protocol(envelope.utf8);
        let trace = compose::received(&hostname, &hostname, with, &id, None, unix_now());
        let authors = self.authors(&envelope);
        let account = envelope.account.and_then(|id| config.account_by_id(id));
        let from = envelope
            .sender
            .clone()
            .or_else(|| account.and_then(|account| Mailbox::parse(&account.address).ok()));
        let defaults = Defaults { from, date: unix_now(), domain: hostname };
        let intake = Intake::new(decoder, defaults, authors, config.server.max_message_size);
        Ok(Box::new(Arrival::new(id, envelope, intake, content, &trace)))
    }

    /// The authors that a message may name. An account may name only itself. A mail server that logs in may send
    /// reports with the null reverse-path in its own name (RFC 3464 section 2). A device may name anyone as long as
    /// the message stays here; outside it must be somebody who has a mailbox here, or the address that the operator
    /// has set.
    fn authors(&self, envelope: &Envelope) -> Authors {
        let config = self.context.config();
        if let Some(id) = envelope.account {
            let is_report = envelope.sender.is_none();
            return Authors::Own(Box::new(move |author| {
                let author = author.as_str();
                config.account_by_id(id).is_some_and(|account| config.may_send_as(account, author))
                    || is_report && config.is_mailer_daemon(author)
            }));
        }
        let leaves = envelope.recipients.iter().any(|to| !config.stays_here(to.mailbox.as_str()));
        match Mailbox::parse(&config.server.lan_smtp_sender) {
            Ok(sender) if leaves => Authors::House {
                sender,
                here: Box::new(move |author| {
                    matches!(config.destination(author.as_str()), Destination::Here(_))
                        || config.server.lan_smtp_sender.eq_ignore_ascii_case(author.as_str())
                }),
            },
            _ => Authors::Anyone,
        }
    }
}

/// The part of `input` that belongs to the `left` octets that are still to come.
fn first(input: &[u8], left: u64) -> &[u8] {
    usize::try_from(left).ok().and_then(|left| input.get(..left)).unwrap_or(input)
}

/// The reply with which a connection is closed that sends far too much.
fn far_too_much() -> Reply {
    Reply::new(421, (3, 4), "That is far too much")
}
