//! The grammar of RFC 5465 section 8.

use super::cursor::{Cursor, Parsed};
use super::{Problem, fetch};
use crate::imap::wire::command::{Command, MailboxName};
use crate::imap::wire::notify::{EventGroup, Events, MailboxFilter, NotifySet, SelectedEvents};

/// NOTIFY.
pub fn notify(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    match cursor.atom("SET or NONE")?.to_ascii_uppercase().as_str() {
        "NONE" => return Ok(Command::Notify(None)),
        "SET" => cursor.space()?,
        _ => return Err(Problem::Expected("SET or NONE")),
    }
    let mut set = NotifySet { status: cursor.take_word("STATUS "), ..NotifySet::default() };
    cursor.spaces();
    let mut selected = false;
    loop {
        group(cursor, &mut set, &mut selected)?;
        if !cursor.take(b' ') {
            return Ok(Command::Notify(Some(Box::new(set))));
        }
        cursor.spaces();
        if cursor.peek().is_none() {
            return Ok(Command::Notify(Some(Box::new(set))));
        }
    }
}

/// `event-group`.
fn group(cursor: &mut Cursor<'_>, set: &mut NotifySet, selected: &mut bool) -> Parsed<()> {
    cursor.element()?;
    if !cursor.open() {
        return Err(Problem::Expected("a group of events in parentheses"));
    }
    let filter = cursor.atom("which mailboxes")?.to_ascii_uppercase();
    cursor.space()?;
    let mailboxes = match filter.as_str() {
        "SELECTED" | "SELECTED-DELAYED" => {
            if std::mem::replace(selected, true) {
                return Err(Problem::Expected("one of SELECTED and SELECTED-DELAYED, once"));
            }
            let mut of_selected =
                SelectedEvents { delayed: filter != "SELECTED", ..SelectedEvents::default() };
            of_selected.events = events(cursor, set, Some(&mut of_selected))?;
            set.selected = of_selected;
            return Ok(());
        }
        "PERSONAL" => MailboxFilter::Personal,
        "INBOXES" => MailboxFilter::Inboxes,
        "SUBSCRIBED" => MailboxFilter::Subscribed,
        "SUBTREE" => MailboxFilter::Subtree(names(cursor)?),
        "MAILBOXES" => MailboxFilter::Mailboxes(names(cursor)?),
        _ => return Err(Problem::UnknownItem("mailbox specifier")),
    };
    let events = events(cursor, set, None)?;
    set.groups.push(EventGroup { mailboxes, events });
    Ok(())
}

/// `one-or-more-mailbox`, and the space after it.
fn names(cursor: &mut Cursor<'_>) -> Parsed<Vec<MailboxName>> {
    let mut names = Vec::new();
    let list = cursor.open();
    loop {
        cursor.element()?;
        names.push(cursor.mailbox()?);
        if !list || cursor.close() {
            cursor.space()?;
            return Ok(names);
        }
        cursor.space()?;
    }
}

/// `events`, and the parenthesis that closes their group. In the example of section 3.1 the events have no
/// parentheses of their own, which is accepted.
fn events(
    cursor: &mut Cursor<'_>,
    set: &mut NotifySet,
    mut of_selected: Option<&mut SelectedEvents>,
) -> Parsed<Events> {
    if cursor.take_word("NONE") {
        cursor.expect_close()?;
        return Ok(Events::NONE);
    }
    let list = cursor.open();
    let mut events = Events::NONE;
    loop {
        cursor.element()?;
        let event = Events::named(cursor.atom("an event")?);
        set.unknown |= event.is_none();
        events = events.with(event.unwrap_or_default());
        let mut ends = cursor.close();
        if !ends {
            cursor.space()?;
            if event == Some(Events::MESSAGE_NEW) && cursor.peek() == Some(b'(') {
                let Some(of_selected) = &mut of_selected else {
                    return Err(Problem::Expected("attributes for the selected mailbox only"));
                };
                of_selected.fetch = fetch::items(cursor)?;
                ends = cursor.close();
                if !ends {
                    cursor.space()?;
                }
            }
        }
        if ends {
            break;
        }
    }
    if list {
        cursor.expect_close()?;
    }
    if of_selected.is_some() && events.and(Events::OF_MESSAGES) != events {
        return Err(Problem::Expected("events of messages only for the selected mailbox"));
    }
    if !events.are_complete() {
        return Err(Problem::Expected(
            "MessageNew and MessageExpunge together, and with other events of messages",
        ));
    }
    Ok(events)
}

impl Cursor<'_> {
    fn expect_close(&mut self) -> Parsed<()> {
        if self.close() { Ok(()) } else { Err(Problem::Expected("a closing parenthesis")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::wire::command::FetchItem;
    use crate::imap::wire::extension::Enabled;
    use crate::imap::wire::grammar::parse;

    fn parsed(arguments: &str) -> Result<Option<NotifySet>, Problem> {
        match parse(format!("a NOTIFY {arguments}").as_bytes(), Enabled::default()) {
            Ok(tagged) => match tagged.command {
                Command::Notify(set) => Ok(set.map(|set| *set)),
                other => panic!("{other:?}"),
            },
            Err(refused) => Err(refused.problem),
        }
    }

    #[test]
    fn groups_are_read() {
        assert_eq!(parsed("none"), Ok(None));
        let both = Events::MESSAGE_NEW.with(Events::MESSAGE_EXPUNGE);
        let name = |name: &str| MailboxName(name.into());
        let set = parsed(
            "set status (selected-delayed (MessageNew (uid flags) FlagChange MessageExpunge)) \
             (subtree Lists MessageExpunge messagenew) (mailboxes (a \"b c\") (MailboxName)) (Personal NONE) ",
        );
        let selected = SelectedEvents {
            delayed: true,
            events: both.with(Events::FLAG_CHANGE),
            fetch: vec![FetchItem::Uid, FetchItem::Flags],
        };
        let groups = vec![
            EventGroup { mailboxes: MailboxFilter::Subtree(vec![name("Lists")]), events: both },
            EventGroup {
                mailboxes: MailboxFilter::Mailboxes(vec![name("a"), name("b c")]),
                events: Events::MAILBOX_NAME,
            },
            EventGroup { mailboxes: MailboxFilter::Personal, events: Events::NONE },
        ];
        assert_eq!(set, Ok(Some(NotifySet { status: true, selected, groups, unknown: false })));
        let unknown = parsed("SET (INBOXES (MailboxName Earthquake))").unwrap().unwrap();
        assert!(unknown.unknown && unknown.groups[0].events == Events::MAILBOX_NAME);
    }

    /// Catches: a rule of RFC 5465 that is not enforced.
    #[test]
    fn what_the_rfc_forbids_is_refused() {
        for wrong in [
            "",
            "SET",
            "SET STATUS",
            "SOME",
            "SET personal (MailboxName)",
            "SET (personal)",
            "SET (personal ())",
            "SET (nearby (MailboxName))",
            "SET (mailboxes (MailboxName))",
            "SET (mailboxes () (MailboxName))",
            "SET (personal (MailboxName)",
            "SET (personal (MessageNew))",
            "SET (personal (MessageExpunge))",
            "SET (personal (FlagChange))",
            "SET (personal (MessageNew FlagChange))",
            "SET (personal (AnnotationChange MessageExpunge))",
            "SET (personal (MessageNew (UID) MessageExpunge))",
            "SET (selected (MessageNew MessageExpunge MailboxName))",
            "SET (selected NONE) (selected-delayed NONE)",
            "SET (selected (MessageNew () MessageExpunge))",
            "NONE (personal (MailboxName))",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
