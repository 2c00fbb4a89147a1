//! Golden octets of each variant: `tests/data/golden/*.txt` has a line for each.
//!
//! Catches: variants exchanged, fields added, removed or moved, another encoding of a field or of a frame. An
//! existing golden line never changes, since flashes in use hold such octets.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use super::checkpoint::{Counters, MailboxPart, Part, VERSION};
use super::extracts::{self, Entry, whose};
use super::frame::{self, FRAME, FrameHeader};
use super::record::*;
use super::*;

const BOX: MailboxId = MailboxId(300);
const PLACE: Place = Place { segment: 5, offset: 70_000 };

/// A record of every kind. The match in `name` has no wildcard, so that a new kind cannot be forgotten.
fn records() -> Vec<Record> {
    let uids = vec![(1, 3), (9, 900)];
    let copied = MessageRecord {
        mailbox: BOX,
        uid: 200,
        body: 400,
        size: 66_000,
        copy_of: Some(PLACE),
        date: -5,
        flags: 1 << 63 | 9,
        modseq: 1 << 40,
    };
    vec![
        Record::Commit(CommitRecord { durable: PLACE }),
        Record::Body(BodyRecord { body: 400, size: 4, crc: None, summary: b"Subject: x\r\n".to_vec() }),
        Record::Body(BodyRecord { body: 401, size: 66_000, crc: Some(0xdead_beef), summary: Vec::new() }),
        Record::Message(MessageRecord { copy_of: None, ..copied.clone() }),
        Record::Message(copied.clone()),
        Record::Flags(FlagsRecord {
            mailbox: BOX,
            uids: uids.clone(),
            change: FlagChange::Replace,
            flags: 3,
            modseq: 7,
        }),
        Record::Flags(FlagsRecord {
            mailbox: BOX,
            uids: uids.clone(),
            change: FlagChange::Add,
            flags: 3,
            modseq: 7,
        }),
        Record::Flags(FlagsRecord {
            mailbox: BOX,
            uids: uids.clone(),
            change: FlagChange::Remove,
            flags: 3,
            modseq: 7,
        }),
        Record::Expunge(ExpungeRecord { mailbox: BOX, uids, modseq: 8 }),
        Record::MailboxCreated(MailboxCreatedRecord {
            mailbox: BOX,
            name: "a/ü".to_owned(),
            uid_validity: 1_700_000_000,
        }),
        Record::MailboxRenamed(MailboxRenamedRecord { mailbox: BOX, name: "b".to_owned() }),
        Record::MailboxDeleted(MailboxDeletedRecord { mailbox: BOX }),
        Record::Keyword(KeywordRecord { mailbox: BOX, name: "$Junk".to_owned() }),
        Record::Subscribed(SubscribedRecord { name: "b".to_owned(), subscribed: true }),
        Record::Recent(RecentRecord { mailbox: BOX, from: 10 }),
        Record::Note(NoteRecord { mailbox: BOX, uid: 10, note: b"note".to_vec() }),
        Record::Collected(CollectedRecord { source: 1 << 60, identity: [7; 16], date: 1_700_000_000 }),
        Record::Forgotten(ForgottenRecord { source: 9, identities: vec![[1; 16], [2; 16]] }),
        Record::Numbers(NumbersRecord { mailbox: BOX, uid_validity: 6, uid_next: 7, highest_modseq: 8 }),
        Record::Moved(MovedRecord { bodies: vec![1, 128] }),
        Record::Continued(ContinuedRecord { from: PLACE }),
        Record::Annotation(AnnotationRecord {
            mailbox: NO_MAILBOX,
            entry: "/shared/comment".to_owned(),
            value: Some(b"x".to_vec()),
        }),
        Record::Annotation(AnnotationRecord {
            mailbox: BOX,
            entry: "/private/comment".to_owned(),
            value: None,
        }),
        Record::KeywordNamed(KeywordNamedRecord { mailbox: BOX, place: 55, name: "$Junk".to_owned() }),
        Record::KeywordNamed(KeywordNamedRecord { mailbox: BOX, place: 0, name: String::new() }),
        Record::SaveDate(SaveDateRecord { seconds: 1_700_000_000 }),
        Record::CollectedMessage(CollectedMessageRecord {
            source: 1 << 60,
            identity: [7; 16],
            date: 1_700_000_000,
            content: 1 << 63,
        }),
        Record::Unlisted(UnlistedRecord {
            source: 9,
            identities: vec![[1; 16], [2; 16]],
            since: 1_700_000_000,
        }),
        Record::Message(MessageRecord {
            flags: 1 << 63 | 9 | LastLine::Unended.bits(),
            copy_of: None,
            ..copied
        }),
        Record::Flags(FlagsRecord {
            mailbox: BOX,
            uids: vec![(1, 3), (9, 900)],
            change: FlagChange::Add,
            flags: LastLine::Ended.bits(),
            modseq: 0,
        }),
    ]
}

fn name(record: &Record) -> &'static str {
    match record {
        Record::Commit(_) => "Commit",
        Record::Body(_) => "Body",
        Record::Message(_) => "Message",
        Record::Flags(_) => "Flags",
        Record::Expunge(_) => "Expunge",
        Record::MailboxCreated(_) => "MailboxCreated",
        Record::MailboxRenamed(_) => "MailboxRenamed",
        Record::MailboxDeleted(_) => "MailboxDeleted",
        Record::Keyword(_) => "Keyword",
        Record::Subscribed(_) => "Subscribed",
        Record::Recent(_) => "Recent",
        Record::Note(_) => "Note",
        Record::Collected(_) => "Collected",
        Record::Forgotten(_) => "Forgotten",
        Record::Numbers(_) => "Numbers",
        Record::Moved(_) => "Moved",
        Record::Continued(_) => "Continued",
        Record::Annotation(_) => "Annotation",
        Record::KeywordNamed(_) => "KeywordNamed",
        Record::SaveDate(_) => "SaveDate",
        Record::CollectedMessage(_) => "CollectedMessage",
        Record::Unlisted(_) => "Unlisted",
    }
}

fn message() -> Message {
    Message {
        uid: 200,
        size: 300,
        date: (-5).into(),
        flags: Flags(1 << 8),
        modseq: 9,
        body: 400,
        segment: 5,
        offset: 70_000,
        save_date: 0,
        last_line: LastLine::Unknown,
    }
}

fn parts() -> Vec<Part> {
    let message = message();
    let last = Counters { mailbox: 300, body: 401, modseq: 1 << 40, uid_validity: 1_700_000_000 };
    vec![
        Part::Begin { version: VERSION, from: PLACE, last },
        Part::Mailbox(MailboxPart {
            id: BOX,
            name: "a/ü".to_owned(),
            uid_validity: 6,
            uid_next: 201,
            highest_modseq: 9,
            recent_from: 200,
            keywords: vec!["$Junk".to_owned()],
            messages: 1,
        }),
        Part::Messages(vec![message]),
        Part::Subscriptions(vec!["INBOX".to_owned(), "b".to_owned()]),
        Part::Note(BOX, 200, ByteBuf::from(b"note".to_vec())),
        Part::Ledger(vec![(1 << 60, [7; 16], 1_700_000_000)]),
        Part::End { parts: 7 },
        Part::Annotation(NO_MAILBOX, "/shared/comment".to_owned(), ByteBuf::from(b"x".to_vec())),
        Part::SaveDates(BOX, vec![(200, 1_700_000_000)]),
        Part::LedgerDetails(vec![(1 << 60, [7; 16], 1 << 63, 1_700_000_000)]),
        Part::Messages(vec![
            Message { last_line: LastLine::Ended, ..message },
            Message { last_line: LastLine::Unended, ..message },
        ]),
        Part::NotePlaces(BOX, vec![(200, PLACE), (201, Place { segment: 5, offset: 16 })]),
    ]
}

fn part_name(part: &Part) -> &'static str {
    match part {
        Part::Begin { .. } => "Begin",
        Part::Mailbox(_) => "Mailbox",
        Part::Messages(_) => "Messages",
        Part::Subscriptions(_) => "Subscriptions",
        Part::Note(..) => "Note",
        Part::Ledger(_) => "Ledger",
        Part::End { .. } => "End",
        Part::Annotation(..) => "Annotation",
        Part::SaveDates(..) => "SaveDates",
        Part::LedgerDetails(_) => "LedgerDetails",
        Part::NotePlaces(..) => "NotePlaces",
    }
}

fn line<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str, value: &T) -> String {
    let mut octets = Vec::new();
    frame::encode(value, b"body", &mut octets).unwrap();
    let header = FrameHeader::parse(&octets).unwrap();
    let read = header.head::<T>(&octets[FRAME..FRAME + header.head_len]);
    assert_eq!(read.unwrap().known().as_ref(), Some(value));
    format!("{name} {}\n", data_encoding::HEXLOWER.encode(&octets))
}

fn compare(file: &str, lines: String) {
    let path = format!("{}/tests/data/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    for (line, golden) in lines.lines().zip(golden.lines()) {
        assert_eq!(line, golden);
    }
    assert_eq!(lines, golden, "{path}: what is new is appended by hand");
}

#[test]
fn records_have_the_octets_that_they_always_had() {
    compare("records.txt", records().iter().map(|record| line(name(record), record)).collect());
}

#[test]
fn parts_of_a_checkpoint_have_the_octets_that_they_always_had() {
    compare("checkpoint_parts.txt", parts().iter().map(|part| line(part_name(part), part)).collect());
}

/// Catches: changed octets, and a message that is identified by other values than before.
#[test]
fn parts_of_a_file_of_signatures_have_the_octets_that_they_always_had() {
    let message = message();
    let entry = Entry { offset: 70_000, whose: whose(&message), octets: 4 };
    let moved = Message { uid: 1, flags: Flags(0), modseq: 1, segment: 6, offset: 16, ..message };
    assert_eq!(whose(&moved), entry.whose, "what changes in the life of a message does not count");
    let signed = extracts::Part::Extracts { version: 1, entries: vec![entry] };
    compare("extracts.txt", line("Extracts", &signed));
}

#[test]
fn a_segment_begins_as_it_always_did() {
    assert_eq!(segment::header(0x0102), *b"PILLARBX\x01\0\0\0\x02\x01\0\0");
}
