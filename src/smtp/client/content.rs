//! The content of a message as a server gets it: unchanged, or recoded while it is read.

use std::io;

use crate::flash::ReadAt;
use crate::message::recode::{MissingExtension, Plan, Recoder, Refusal, Survey};
use crate::pace::Pace;
use crate::smtp::Reply;

/// Octets of the content that are read at once.
const PIECE: usize = 16 * 1024;

/// A content, and how it is recoded.
pub struct Content<'a> {
    octets: &'a dyn ReadAt,
    plan: Option<Plan<'a>>,
    /// Octets of the content as it is sent.
    pub size: u64,
}

/// A content that is being read.
pub struct Reading<'a> {
    from: Octets<'a>,
    pace: Pace,
}

enum Octets<'a> {
    AsIs(&'a dyn ReadAt, u64),
    Recoded(Recoder<'a>),
}

impl<'a> Content<'a> {
    /// A content of `size` octets, recoded for the server as `aim` says. In a header that becomes ASCII, the first
    /// address of `replaced` becomes the second one.
    ///
    /// # Errors
    /// Reading the content failed. The inner error tells why it cannot be recoded.
    pub async fn new(
        octets: &'a dyn ReadAt,
        size: u64,
        aim: Option<MissingExtension>,
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

    /// Reads the content from its beginning.
    pub fn read(&self) -> Reading<'_> {
        let from = match &self.plan {
            None => Octets::AsIs(self.octets, 0),
            Some(plan) => Octets::Recoded(Recoder::new(self.octets, plan)),
        };
        Reading { from, pace: Pace::new() }
    }

    /// The whole content as lines that end with CR LF, as DATA would bring it. Only for short contents.
    ///
    /// # Errors
    /// Reading the content failed.
    pub async fn whole(&self) -> io::Result<Vec<u8>> {
        let (mut reading, mut all) = (self.read(), Vec::new());
        while reading.next(&mut all).await? {}
        Ok(lines(all))
    }
}

impl Reading<'_> {
    /// Appends the next octets to `out`. `false` if there are no more.
    ///
    /// # Errors
    /// Reading the content failed.
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

/// The verdict on a message that cannot be recoded (`X.6.3` and `X.6.7` of RFC 3463).
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

/// Makes every line end CR LF and any other CR a blank, like [`crate::smtp::data`], and adds a line end if the last
/// line has none.
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

    /// Catches: a line end that another server reads differently, by which messages are smuggled in; a message
    /// without a final line end, to which the next command would be added.
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

    /// Catches: an announced size other than that of what is sent, and a piece that is lost or comes twice.
    #[test]
    fn the_size_is_that_of_what_is_sent() {
        let text = format!("Subject: \u{fc}\r\n\r\n{}", "caf\u{e9}\r\n".repeat(10_000));
        let octets = text.as_bytes();
        for aim in [None, Some(MissingExtension::Header), Some(MissingExtension::SevenBit)] {
            let all = async_io::block_on(async {
                let content = Content::new(&octets, text.len() as u64, aim, None).await.unwrap().unwrap();
                let all = content.whole().await.unwrap();
                assert_eq!(content.size, all.len() as u64);
                all
            });
            assert_eq!(all == octets, aim.is_none());
            assert_eq!(all.is_ascii(), aim == Some(MissingExtension::SevenBit));
        }
    }
}
