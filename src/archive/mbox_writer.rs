//! A mailbox as an mbox file: mboxrd, with Status, X-Status, X-Keywords and X-UID before each message. The manifest
//! beside it tells where each message begins and ends, so that reading it again does not depend on quoting.
//!
//! A file is rewritten if its mailbox has changed, as HIGHESTMODSEQ tells, and otherwise left alone.

use super::export::{Job, Snapshot};
use super::from_lines::FromLines;
use super::manifest::{self, EXTENSION, Line, Span};
use super::target::Draft;
use super::{flags, names};
use crate::failure::Failure;
use crate::message::date::rfc5322;
use crate::store::Message;

/// Writes the mailbox.
///
/// # Errors
/// What the system says about the target, or two mailboxes whose files would have the same name.
pub async fn write(job: &mut Job<'_>, snapshot: &Snapshot) -> Result<(), Failure> {
    let target = job.target;
    let stem = names::mbox(&snapshot.header.name);
    let (mbox, path) = (format!("{stem}.mbox"), format!("{stem}.{EXTENSION}"));
    if let Some((there, messages)) = target.described(&path) {
        if there.name != snapshot.header.name {
            return Err(Failure::Input(format!(
                "{mbox}: {} and {} are one file there: choose a folder on a file system that tells them apart, or rename one",
                there.name, snapshot.header.name
            )));
        }
        let unchanged = there.numbers == snapshot.header.numbers
            && there.annotations == snapshot.header.annotations
            && messages == snapshot.uids.len()
            && target.len(&mbox) == there.file;
        if unchanged {
            for &uid in &snapshot.uids {
                let octets = job.message(snapshot, uid).map_or(0, |message| message.size);
                job.tally.message(u64::from(octets), false);
            }
            return Ok(());
        }
    }
    let mut draft = target.create(format!("{mbox}.new"))?;
    let mut description = target.create(format!("{path}.new"))?;
    description.write(snapshot.header.text().as_bytes())?;
    for &uid in &snapshot.uids {
        let Some(message) = job.message(snapshot, uid) else { continue };
        let Some(place) = write_message(job, snapshot, &message, &mut draft).await? else { continue };
        let Message { modseq, date, size, flags, .. } = message;
        description.write(
            Line { uid, modseq, date: date.get(), size, flags, place: Some(place) }.text().as_bytes(),
        )?;
    }
    description.write(manifest::file(draft.len()).as_bytes())?;
    // A manifest must never be beside a file that it does not describe.
    target.remove(&path)?;
    target.sync_dir("").await?;
    draft.put_in_place(&mbox).await?;
    target.sync_dir("").await?;
    description.put_in_place(&path).await
}

async fn write_message(
    job: &mut Job<'_>,
    snapshot: &Snapshot,
    message: &Message,
    draft: &mut Draft<'_>,
) -> Result<Option<Span>, Failure> {
    let start = draft.len();
    draft.write(from_line(message.date.get()).as_bytes())?;
    let mut place = Span { offset: draft.len(), added: 0, quoted: 0 };
    let mut quote = FromLines::quote();
    let mut last = b'\n';
    let fields = fields(message, &snapshot.header.keywords);
    let mut begun = false;
    let mut out = Vec::new();
    let begin = |draft: &mut Draft<'_>, first: &[u8]| {
        // The added header lines end as the message's own lines do.
        let crlf =
            first.split_inclusive(|&octet| octet == b'\n').next().is_some_and(|line| line.ends_with(b"\r\n"));
        draft.write(if crlf { fields.replace('\n', "\r\n") } else { fields.clone() }.as_bytes())?;
        Ok::<u64, Failure>(draft.len() - place.offset)
    };
    let whole = job
        .copy(snapshot, message, draft, |draft, piece| {
            if !std::mem::replace(&mut begun, true) {
                place.added = begin(draft, piece)?;
            }
            out.clear();
            quote.push(piece, &mut out);
            last = piece.last().copied().unwrap_or(last);
            draft.write(&out)
        })
        .await?;
    if !whole {
        draft.cut(start)?;
        return Ok(None);
    }
    if !begun {
        place.added = begin(draft, b"")?;
    }
    out.clear();
    quote.finish(&mut out);
    draft.write(&out)?;
    place.quoted = draft.len() - place.offset - place.added;
    draft.write(if last == b'\n' { b"\n" } else { b"\n\n" })?;
    job.tally.message(u64::from(message.size), true);
    Ok(Some(place))
}

/// The line that begins a message, such as `From MAILER-DAEMON Sat Jan  1 00:00:00 2000`: the sender is not known,
/// the time is.
fn from_line(date: i64) -> String {
    let written = rfc5322(date);
    let words: Vec<&str> = written.split(' ').collect();
    let [weekday, day, month, year, time, _] = words[..] else { return "From MAILER-DAEMON\n".to_owned() };
    let (weekday, day) = (weekday.trim_end_matches(','), day.trim_start_matches('0'));
    format!("From MAILER-DAEMON {weekday} {month} {day:>2} {time} {year}\n")
}

fn fields(message: &Message, keywords: &[String]) -> String {
    let (status, x_status) = flags::mbox(message.flags);
    let mut fields = format!("Status: {status}\n");
    if !x_status.is_empty() {
        fields += &format!("X-Status: {x_status}\n");
    }
    let set: Vec<&str> = message
        .flags
        .keywords()
        .filter_map(|bit| keywords.get(bit).map(String::as_str))
        .filter(|k| !k.is_empty())
        .collect();
    if !set.is_empty() {
        fields += &format!("X-Keywords: {}\n", set.join(" "));
    }
    fields + &format!("X-UID: {}\n", { message.uid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_lines_are_asctimes() {
        assert_eq!(from_line(946_684_800), "From MAILER-DAEMON Sat Jan  1 00:00:00 2000\n");
        assert_eq!(from_line(1_700_000_000), "From MAILER-DAEMON Tue Nov 14 22:13:20 2023\n");
    }
}
