//! The content of a message as this server gets it: as it is, or made fit while it is read.

use std::io;

use crate::flash::ReadAt;
use crate::message::recode::{Aim, Plan, Recoder, Refusal, Survey};
use crate::pace::Pace;
use crate::smtp::Reply;

/// Octets of the content that are read at once.
const PIECE: usize = 16 * 1024;

/// A content, and what is made of it.
pub struct Content<'a> {
    octets: &'a dyn ReadAt,
    plan: Option<Plan<'a>>,
    /// Octets of what is sent.
    pub size: u64,
}

/// A content that is read.
pub struct Reading<'a> {
    from: Octets<'a>,
    pace: Pace,
}

enum Octets<'a> {
    AsIs(&'a dyn ReadAt, u64),
    Recoded(Recoder<'a>),
}

impl<'a> Content<'a> {
    /// A content of `size` octets, which is made fit for a server as `aim` says. In its header the first address of `replaced`
    /// becomes the other one where it has to be in ASCII.
    ///
    /// # Errors
    /// What the content's source says; within that, why it cannot be made fit.
    pub async fn new(
        octets: &'a dyn ReadAt,
        size: u64,
        aim: Option<Aim>,
        replaced: Option<(&'a str, &'a str)>,
    ) -> io::Result<Result<Content<'a>, Refusal>> {
        let mut content = Content { octets, plan: None, size };
        let Some(aim) = aim else { return Ok(Ok(content)) };
        let (mut survey, pace) = (Survey::new(octets, aim, replaced), Pace::new());
        loop {
            match survey.step()? {
                Ok(Some(passed)) => pace.did(passed).await,
                Ok(None) => break,
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        content.plan = Some(survey.finish()?);
        content.size = 0;
        let (mut reading, mut piece, mut size) = (content.read(), Vec::new(), 0);
        while reading.next(&mut piece).await? {
            size += piece.len() as u64;
            piece.clear();
        }
        drop(reading);
        content.size = size;
        Ok(Ok(content))
    }

    /// Reads it from its beginning.
    pub fn read(&self) -> Reading<'_> {
        let from = match &self.plan {
            None => Octets::AsIs(self.octets, 0),
            Some(plan) => Octets::Recoded(Recoder::new(self.octets, plan)),
        };
        Reading { from, pace: Pace::new() }
    }

    /// All of it as lines that end with CR LF, as DATA would bring it. For what is short.
    ///
    /// # Errors
    /// What the source says.
    pub async fn whole(&self) -> io::Result<Vec<u8>> {
        let (mut reading, mut all) = (self.read(), Vec::new());
        while reading.next(&mut all).await? {}
        Ok(lines(all))
    }
}

impl Reading<'_> {
    /// Appends the next octets. `false`: there were no more.
    ///
    /// # Errors
    /// What the source says.
    pub async fn next(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        let passed = match &mut self.from {
            Octets::Recoded(recoder) => recoder.step(out)?,
            Octets::AsIs(octets, at) => {
                let before = out.len();
                out.resize(before + PIECE, 0);
                let n = octets.read_at(*at, out.get_mut(before..).unwrap_or_default())?.min(PIECE);
                out.truncate(before + n);
                *at += n as u64;
                (n > 0).then_some(n as u64)
            }
        };
        let Some(passed) = passed else { return Ok(false) };
        self.pace.did(passed).await;
        Ok(true)
    }
}

/// What the smarthost is told on behalf of whom cannot be helped: RFC 3463's `X.6.3` and `X.6.7`.
pub fn refused(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::Address => Reply::new(
            550,
            (6, 7),
            format!("Your provider's server does not take addresses beyond ASCII (SMTPUTF8): {refusal}"),
        ),
        Refusal::Signed | Refusal::Malformed => Reply::new(
            554,
            (6, 3),
            format!("Your provider's server takes 7-bit content only (it has no 8BITMIME): {refusal}"),
        ),
    }
}

/// Every line end becomes CR LF, any other CR a blank, as [`crate::smtp::data`] has it, and there is one at the end.
fn lines(all: Vec<u8>) -> Vec<u8> {
    let is_clean = |at: usize| match all.get(at) {
        Some(b'\n') => at > 0 && all.get(at - 1) == Some(&b'\r'),
        _ => all.get(at + 1) == Some(&b'\n'),
    };
    if memchr::memchr2_iter(b'\r', b'\n', &all).all(is_clean) && (all.is_empty() || all.ends_with(b"\r\n")) {
        return all;
    }
    let mut out = Vec::with_capacity(all.len() + 2);
    for line in all.split_inclusive(|&octet| octet == b'\n') {
        let text = line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line));
        out.extend(text.iter().map(|&octet| if octet == b'\r' { b' ' } else { octet }));
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a line end that another server takes for something else, which is how messages are smuggled in; and a message
    /// without one, to which the next command would be added.
    #[test]
    fn a_chunk_has_clean_lines() {
        for (all, expected) in [
            ("", ""),
            ("a\r\nb\r\n", "a\r\nb\r\n"),
            ("a\nb", "a\r\nb\r\n"),
            ("a\rb\r\n", "a b\r\n"),
            ("a\r\r\n", "a \r\n"),
            ("a\r", "a \r\n"),
            ("\n.\n", "\r\n.\r\n"),
        ] {
            assert_eq!(lines(all.into()), expected.as_bytes(), "{all:?}");
        }
    }

    /// Catches: a size that is announced and is another one, and a piece that is lost or comes twice.
    #[test]
    fn the_size_is_that_of_what_is_sent() {
        let text = format!("Subject: \u{fc}\r\n\r\n{}", "caf\u{e9}\r\n".repeat(10_000));
        let octets = text.as_bytes();
        for aim in [None, Some(Aim::Header), Some(Aim::SevenBit)] {
            let all = async_io::block_on(async {
                let content = Content::new(&octets, text.len() as u64, aim, None).await.unwrap().unwrap();
                let all = content.whole().await.unwrap();
                assert_eq!(content.size, all.len() as u64);
                all
            });
            assert_eq!(all == octets, aim.is_none());
            assert_eq!(all.is_ascii(), aim == Some(Aim::SevenBit));
        }
    }
}
