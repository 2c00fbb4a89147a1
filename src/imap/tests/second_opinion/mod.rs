//! A second opinion on the grammar: our parser must read a command as imap-codec does, which others have written from
//! the RFCs. Where they differ, `docs/decisions/` says why: "imap-codec is the second opinion on the grammar".

mod keys;
mod lines;
mod theirs;

use imap_codec::CommandCodec;
use imap_codec::decode::Decoder;
use imap_codec::imap_types::command::CommandBody;

use self::lines::Lines;
use crate::flash::sim::Choices;
use crate::imap::wire::command::{Append, Command, FlagList, MailboxName};
use crate::imap::wire::extension::Enabled;
use crate::imap::wire::fragments::{Announced, Fragments, Next};
use crate::imap::wire::grammar::append::{Part, Parts};

/// What a command means. Of an APPEND only what comes before the message.
#[derive(Debug, PartialEq)]
enum Meaning {
    Command(Command),
    Append { mailbox: MailboxName, flags: FlagList, date: Option<i64> },
}

/// What our parser reads.
fn ours(octets: &[u8]) -> Result<(String, Meaning), String> {
    let mut fragments = Fragments::new(64 * 1024, Enabled::default());
    let mut rest = octets;
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").ok_or("no end of line")?;
        let (line, behind) = rest.split_at(end);
        rest = &behind[2..];
        match fragments.line(line, true) {
            Next::Finished => {
                let tagged = fragments.finish().map_err(|refused| refused.problem.to_string())?;
                return Ok((tagged.tag, Meaning::Command(tagged.command)));
            }
            Next::Literal(literal) => {
                let (octets, behind) = rest.split_at(usize::try_from(literal.length).unwrap());
                fragments.literal(octets);
                rest = behind;
            }
            Next::Append(tagged) => {
                let Command::Append(Append { mailbox, text, .. }) = tagged.command else { unreachable!() };
                let mut parts = Parts::new(text, false, Enabled::default());
                let part = parts.next(true).map_err(|problem| problem.to_string())?;
                let Part::Message { flags, date } = part else { return Err(format!("{part:?}")) };
                return match parts.next(true).map_err(|problem| problem.to_string())? {
                    Part::Octets => Ok((tagged.tag, Meaning::Append { mailbox, flags, date })),
                    part => Err(format!("{part:?}")),
                };
            }
            Next::Skip(_) => return Err("skipped".into()),
        }
    }
}

/// What imap-codec reads: `None` when it reads nothing; without a meaning when we have no type for what it reads.
fn theirs(octets: &[u8]) -> Option<(String, Option<Meaning>)> {
    let (rest, command) = CommandCodec::default().decode(octets).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let meaning = match &command.body {
        CommandBody::Append { mailbox, flags, date, .. } => Some(Meaning::Append {
            mailbox: theirs::name(mailbox),
            flags: theirs::flags(flags),
            date: date.as_ref().map(|date| date.as_ref().timestamp()),
        }),
        body => theirs::command(body).map(Meaning::Command),
    };
    Some((command.tag.inner().to_owned(), meaning))
}

/// Writes the INBOX in upper case, since imap-codec does not keep its case.
fn inbox(meaning: &mut Meaning) {
    let command = match meaning {
        Meaning::Append { mailbox, .. } => return upper(&mut mailbox.0),
        Meaning::Command(command) => command,
    };
    match command {
        Command::Select(MailboxName(name), _)
        | Command::Examine(MailboxName(name), _)
        | Command::Create { mailbox: MailboxName(name), .. }
        | Command::Delete(MailboxName(name))
        | Command::Subscribe(MailboxName(name))
        | Command::Unsubscribe(MailboxName(name))
        | Command::Status { mailbox: MailboxName(name), .. }
        | Command::GetQuotaRoot(MailboxName(name))
        | Command::SetMetadata { mailbox: MailboxName(name), .. }
        | Command::Copy { to: MailboxName(name), .. }
        | Command::Move { to: MailboxName(name), .. } => upper(name),
        Command::GetMetadata(args) => upper(&mut args.mailbox.0),
        Command::List(args) | Command::Lsub(args) => upper(&mut args.reference),
        Command::Rename { from, to } => [from, to].into_iter().for_each(|name| upper(&mut name.0)),
        _ => {}
    }
}

fn upper(name: &mut str) {
    if name.eq_ignore_ascii_case("INBOX") {
        name.make_ascii_uppercase();
    }
}

/// Our reasons for refusing commands that imap-codec accepts, as `docs/decisions/` explains.
const REFUSED: [&str; 3] = [
    "Expected UID FETCH where VANISHED is asked for",
    "Expected an entry below /shared/ or /private/",
    "Expected a 63-bit number",
];

/// How our parser and imap-codec read a command differently; `None` when they agree.
fn difference(octets: &[u8]) -> Option<String> {
    let (their_tag, their_meaning) = theirs(octets)?;
    let theirs = their_meaning?;
    let told = match ours(octets) {
        Err(problem) if REFUSED.contains(&problem.as_str()) => return None,
        Err(problem) => format!("we refuse it: {problem}"),
        Ok((tag, _)) if tag != their_tag => format!("tag {tag:?}, theirs {their_tag:?}"),
        Ok((_, mut meaning)) => {
            inbox(&mut meaning);
            if meaning == theirs {
                return None;
            }
            format!("ours   {meaning:?}\ntheirs {theirs:?}")
        }
    };
    Some(format!("{}\n{told}", octets.escape_ascii()))
}

/// Asserts that no command is read differently, and that imap-codec accepts at least `least` of them, since otherwise
/// this would show nothing.
fn compare(commands: impl Iterator<Item = Vec<u8>>, least: usize) {
    let (mut taken, mut differences) = (0, Vec::new());
    for command in commands {
        taken += usize::from(theirs(&command).is_some());
        differences.extend(difference(&command));
    }
    assert!(differences.is_empty(), "{} of {taken}:\n{}", differences.len(), differences.join("\n\n"));
    assert!(taken >= least, "imap-codec takes no more than {taken}");
}

/// Catches: SENTON read as SENTSINCE, the ends of a range swapped, `BODY.PEEK` read as `BODY`, `-FLAGS` refused.
#[test]
fn commands_made_at_random_are_read_as_imap_codec_reads_them() {
    let mut lines = Lines(Choices::new(1));
    compare((0..20_000).map(|_| lines.next().into_bytes()), 10_000);
}

/// Catches: the ends of a range swapped, `BODY.PEEK` read as `BODY`, `-FLAGS` refused.
#[test]
fn the_commands_of_the_dialogs_are_read_as_imap_codec_reads_them() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialogs/imap");
    let files = std::fs::read_dir(folder).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    compare(files.flat_map(|file| commands_of(&file)), 500);
}

/// The commands of a dialog, with their literals.
fn commands_of(dialog: &[u8]) -> Vec<Vec<u8>> {
    let said = |line: &[u8]| match (line.strip_prefix(b"C: "), line.strip_prefix(b"SEND ")) {
        (Some(text), _) => [unescaped(text), b"\r\n".to_vec()].concat(),
        (_, Some(text)) => unescaped(text),
        _ => Vec::new(),
    };
    let said: Vec<u8> = dialog.split(|&octet| octet == b'\n').flat_map(said).collect();
    let (mut rest, mut commands) = (said.as_slice(), Vec::new());
    while let Some(end) = end_of(rest) {
        let (command, behind) = rest.split_at(end);
        commands.push(command.to_vec());
        rest = behind;
    }
    commands
}

/// Where the first command ends: after the first line that does not announce a literal.
fn end_of(said: &[u8]) -> Option<usize> {
    let mut end = 0;
    loop {
        let line = said.get(end..)?;
        let length = line.windows(2).position(|two| two == b"\r\n")?;
        end += length + 2;
        match Announced::at_end_of(line.get(..length)?, true) {
            Some(announced) => end = end.checked_add(usize::try_from(announced.literal.length).ok()?)?,
            None => return Some(end),
        }
    }
}

/// The octets that `\r`, `\n`, `\t`, `\0`, `\\` and `\xHH` stand for.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let (mut rest, mut octets) = (text, Vec::new());
    loop {
        let (octet, read) = match rest {
            [] => return octets,
            [b'\\', b'r', ..] => (b'\r', 2),
            [b'\\', b'n', ..] => (b'\n', 2),
            [b'\\', b't', ..] => (b'\t', 2),
            [b'\\', b'0', ..] => (0, 2),
            [b'\\', b'\\', ..] => (b'\\', 2),
            [b'\\', b'x', digits @ ..] if digits.len() >= 2 => {
                let digits = std::str::from_utf8(&digits[..2]).unwrap();
                (u8::from_str_radix(digits, 16).unwrap(), 4)
            }
            [octet, ..] => (*octet, 1),
        };
        octets.push(octet);
        rest = &rest[read..];
    }
}
