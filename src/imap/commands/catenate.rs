//! CATENATE (RFC 4469): parts of stored messages become parts of a message that is appended.

use super::append::{Refusal, Target};
use super::fetch::section::{self, Octets, PIECE};
use super::lazy_message::{LastStructure, LazyMessage, summaries};
use crate::config::Config;
use crate::flash::ReadAt;
use crate::imap::state::session::Session;
use crate::imap::wire::url::MessageUrl;
use crate::imap::wire::words;
use crate::pace::{Pace, STEP};
use crate::store::{Error, Message};

/// A part that a client names by a URL.
pub struct Part<'a> {
    pub url: &'a [u8],
    pub config: &'a Config,
    pub session: &'a Session,
}

impl Part<'_> {
    /// Appends the part's octets to the message. Other sessions get turns in between.
    pub async fn append_to(
        &self,
        target: &mut Target,
        last: &mut LastStructure,
        pace: &Pace,
    ) -> Result<(), Refusal> {
        let bad = || self.bad();
        let unreadable = |error: Error| Refusal::from(words::refusal(&error));
        let url = MessageUrl::parse(self.url).ok_or_else(bad)?;
        let message = self.find(&url).ok_or_else(bad)?;
        let account = target.account.clone();
        let summaries = summaries(&account);
        let mut opened = LazyMessage::new(&account, message, &summaries);
        let octets = section::octets(&mut opened, &url.section.part, &url.section.text, last, pace).await;
        pace.did(STEP.max(opened.take_octets_read())).await;
        let octets = octets.map_err(unreadable)?.ok_or_else(bad)?;
        let (held, mut places) = match octets {
            Octets::Held(text) => {
                let all = 0..text.len() as u64;
                (Some(text), vec![all])
            }
            Octets::Places(places) => (None, places),
        };
        if let Some((origin, count)) = url.partial {
            section::clip(&mut places, origin, count);
        }
        target.expect(places.iter().map(|place| place.end - place.start).sum())?;
        for place in places {
            let mut at = place.start;
            while at < place.end {
                let mut piece = vec![0; (place.end - at).min(PIECE) as usize];
                match &held {
                    Some(text) => text
                        .as_slice()
                        .read_exact_at(at, &mut piece)
                        .map_err(|error| opened.unreadable(error)),
                    None => opened.ask_body(|body| body.read_exact_at(at, &mut piece)),
                }
                .map_err(unreadable)?;
                target.write(&piece)?;
                at += piece.len() as u64;
                pace.did(PIECE).await;
            }
        }
        Ok(())
    }

    /// The message that the URL names, when it is the account's own.
    fn find(&self, url: &MessageUrl) -> Option<Message> {
        let account = self.session.account()?;
        if let Some((user, host)) = &url.server {
            let own = self.config.account(&account.name());
            let is_user = |user: &String| {
                user.eq_ignore_ascii_case(&account.name())
                    || own.is_some_and(|own| user.eq_ignore_ascii_case(own.address.as_str()))
            };
            if !host.eq_ignore_ascii_case(&self.config.server.hostname) || !user.as_ref().is_none_or(is_user)
            {
                return None;
            }
        }
        let mailbox = match url.mailbox.as_str() {
            "" => self.session.selected()?.numbers().mailbox(),
            name => account.find(name)?,
        };
        let found = account.view(mailbox, |mailbox| {
            let valid = url.uid_validity.is_none_or(|validity| validity == mailbox.uid_validity);
            mailbox.message(url.uid).filter(|_| valid).copied()
        });
        found.flatten()
    }

    /// The refusal with the URL after `BADURL` (RFC 4469 section 4.1). Octets that would end the response code or
    /// the line are left out, and octets that are not ASCII are percent-encoded. When nothing is left there is no
    /// URL, since the grammar does not allow an empty one.
    fn bad(&self) -> Refusal {
        let mut code = String::new();
        for &octet in self.url.iter().filter(|octet| !octet.is_ascii_control() && **octet != b']') {
            match octet {
                b' '..=b'~' => code.push(char::from(octet)),
                _ => code.push_str(&format!("%{octet:02X}")),
            }
        }
        match code.is_empty() {
            true => "NO That is no URL".into(),
            false => format!("NO [BADURL {code}] That names no message here").into(),
        }
    }
}
