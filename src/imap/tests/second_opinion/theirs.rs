//! What imap-codec has parsed, converted to our own types.

use std::num::NonZeroU32;

use imap_codec::imap_types::command::{CommandBody, FetchModifier, SelectParameter, StoreModifier};
use imap_codec::imap_types::core::{AString, NString8};
use imap_codec::imap_types::extensions::metadata::{Depth as TheirDepth, GetMetadataOption};
use imap_codec::imap_types::extensions::sort::SortKey as TheirSortKey;
use imap_codec::imap_types::extensions::thread::ThreadingAlgorithm;
use imap_codec::imap_types::fetch::{Macro, MacroOrMessageDataItemNames, MessageDataItemName};
use imap_codec::imap_types::fetch::{Part, Section as TheirSection};
use imap_codec::imap_types::flag::{Flag, StoreResponse, StoreType};
use imap_codec::imap_types::mailbox::{ListMailbox, Mailbox};
use imap_codec::imap_types::sequence::{SeqOrUid, Sequence, SequenceSet as TheirSet};
use imap_codec::imap_types::status::StatusDataItemName;

use super::keys::keys;
use crate::imap::wire::command::{
    Command, Depth, FetchItem, FlagList, GetMetadata, ListArgs, MailboxName, MessageSet, Messages, NO_NAME,
    Section, SectionText, StatusItem, StoreArgs,
};
use crate::imap::wire::extension::Extension;
use crate::imap::wire::field_names::FieldNames;
use crate::imap::wire::modseq::{ChangedSince, Resync, SelectParams};
use crate::imap::wire::search::SearchArgs;
use crate::imap::wire::sequence::SequenceSet;
use crate::imap::wire::sort::{SortArgs, SortCriterion, SortKey, ThreadAlgorithm};
use crate::message::mailbox_name;
use crate::sasl::server::Password;
use crate::store::{FlagChange, Flags};

/// The command; `None` when it contains something that we do not support, or that cannot be compared (a charset that
/// imap-codec leaves undecoded). APPEND is converted by the caller.
pub fn command(body: &CommandBody<'_>) -> Option<Command> {
    use CommandBody as B;
    Some(match body {
        B::Capability => Command::Capability,
        B::Noop => Command::Noop,
        B::Logout => Command::Logout,
        B::StartTLS => Command::StartTls,
        B::Namespace => Command::Namespace,
        B::Idle => Command::Idle,
        B::Check => Command::Check,
        B::Close => Command::Close,
        B::Unselect => Command::Unselect,
        B::Expunge => Command::Expunge(None),
        B::ExpungeUid { sequence_set } => Command::Expunge(Some(numbers(sequence_set))),
        B::Authenticate { mechanism, initial_response } => Command::Authenticate {
            mechanism: mechanism.as_ref().to_ascii_uppercase(),
            initial: initial_response.as_ref().map(|octets| {
                let text = data_encoding::BASE64.encode(octets.declassify());
                Password::from(if text.is_empty() { &b"="[..] } else { text.as_bytes() })
            }),
        },
        B::Login { username, password } => Command::Login {
            username: text(username),
            password: Password::from(password.declassify().as_ref()),
        },
        B::Select { mailbox, parameters } => Command::Select(name(mailbox), params(parameters)),
        B::Examine { mailbox, parameters } => Command::Examine(name(mailbox), params(parameters)),
        B::Create { mailbox } => Command::Create { mailbox: name(mailbox), uses: None },
        B::Delete { mailbox } => Command::Delete(name(mailbox)),
        B::Rename { from, to } => Command::Rename { from: name(from), to: name(to) },
        B::Subscribe { mailbox } => Command::Subscribe(name(mailbox)),
        B::Unsubscribe { mailbox } => Command::Unsubscribe(name(mailbox)),
        B::List { reference, mailbox_wildcard } => Command::List(Box::new(list(reference, mailbox_wildcard))),
        B::Lsub { reference, mailbox_wildcard } => Command::Lsub(Box::new(list(reference, mailbox_wildcard))),
        B::Status { mailbox, item_names } => {
            Command::Status { mailbox: name(mailbox), items: once(item_names.iter().map(status_item)) }
        }
        B::Search { charset, criteria, uid } => {
            let key = keys(charset.as_ref(), criteria.as_ref())?;
            Command::Search(Box::new(SearchArgs { uid: *uid, returns: None, key }))
        }
        B::Sort { sort_criteria, charset, search_criteria, uid } => Command::Sort(Box::new(SortArgs {
            criteria: criteria(sort_criteria.as_ref()),
            search: SearchArgs {
                uid: *uid,
                returns: None,
                key: keys(Some(charset), search_criteria.as_ref())?,
            },
        })),
        B::Thread { algorithm, charset, search_criteria, uid } => Command::Thread {
            uid: *uid,
            algorithm: match algorithm {
                ThreadingAlgorithm::OrderedSubject => ThreadAlgorithm::OrderedSubject,
                ThreadingAlgorithm::References => ThreadAlgorithm::References,
                ThreadingAlgorithm::Other(_) => return None,
            },
            key: keys(Some(charset), search_criteria.as_ref())?,
        },
        B::Fetch { sequence_set, macro_or_item_names, uid, modifiers } => {
            let mut items = match macro_or_item_names {
                MacroOrMessageDataItemNames::Macro(all) => items_of(all)?,
                MacroOrMessageDataItemNames::MessageDataItemNames(names) => once(names.iter().map(item)),
            };
            let mut since = None;
            for modifier in modifiers {
                if let FetchModifier::ChangedSince(modseq) = modifier {
                    let vanished = modifiers.contains(&FetchModifier::Vanished);
                    since = Some(ChangedSince { modseq: modseq.get(), vanished });
                }
            }
            // RFC 7162 section 3.1.4.1: CHANGEDSINCE implies MODSEQ.
            if since.is_some() && !items.contains(&FetchItem::Modseq) {
                items.push(FetchItem::Modseq);
            }
            Command::Fetch { messages: messages(sequence_set, *uid), items, partial: None, since }
        }
        B::Store { sequence_set, kind, response, flags, uid, modifiers } => Command::Store {
            messages: messages(sequence_set, *uid),
            args: StoreArgs {
                change: match kind {
                    StoreType::Replace => FlagChange::Replace,
                    StoreType::Add => FlagChange::Add,
                    StoreType::Remove => FlagChange::Remove,
                },
                silent: *response == StoreResponse::Silent,
                flags: self::flags(flags),
                unchanged_since: modifiers.first().map(|StoreModifier::UnchangedSince(modseq)| *modseq),
            },
        },
        B::Copy { sequence_set, mailbox, uid } => {
            Command::Copy { messages: messages(sequence_set, *uid), to: name(mailbox) }
        }
        B::Move { sequence_set, mailbox, uid } => {
            Command::Move { messages: messages(sequence_set, *uid), to: name(mailbox) }
        }
        B::Enable { capabilities } => Command::Enable(once(
            capabilities.as_ref().iter().filter_map(|name| Extension::named(&name.to_string())),
        )),
        B::GetQuota { root } => Command::GetQuota(text(root)),
        B::GetQuotaRoot { mailbox } => Command::GetQuotaRoot(name(mailbox)),
        B::Id { parameters } => Command::Id(
            parameters
                .iter()
                .flatten()
                .map(|(field, value)| {
                    let value = value.clone().into_option();
                    let value = value.map(|value| String::from_utf8_lossy(&value).into_owned());
                    (String::from_utf8_lossy(field.as_ref()).into_owned(), value)
                })
                .collect(),
        ),
        B::GetMetadata { options, mailbox, entries } => Command::GetMetadata(GetMetadata {
            mailbox: name(mailbox),
            entries: entries.as_ref().iter().map(|entry| text(entry.inner()).to_ascii_lowercase()).collect(),
            max_size: options.iter().find_map(|option| match option {
                GetMetadataOption::MaxSize(octets) => Some(*octets),
                GetMetadataOption::Depth(_) => None,
            }),
            depth: options.iter().fold(Depth::Zero, |depth, option| match option {
                GetMetadataOption::Depth(TheirDepth::Null) => Depth::Zero,
                GetMetadataOption::Depth(TheirDepth::One) => Depth::One,
                GetMetadataOption::Depth(TheirDepth::Infinity) => Depth::Infinity,
                GetMetadataOption::MaxSize(_) => depth,
            }),
        }),
        B::SetMetadata { mailbox, entry_values } => Command::SetMetadata {
            mailbox: name(mailbox),
            values: entry_values
                .as_ref()
                .iter()
                .map(|pair| {
                    let value = match &pair.value {
                        NString8::NString(string) => string.clone().into_option().map(|v| v.into_owned()),
                        NString8::Literal8(literal) => Some(literal.data.to_vec()),
                    };
                    (text(pair.entry.inner()).to_ascii_lowercase(), value)
                })
                .collect(),
        },
        _ => return None,
    })
}

/// The text. Octets that are not UTF-8 are replaced.
pub fn text(string: &AString<'_>) -> String {
    String::from_utf8_lossy(string.as_ref()).into_owned()
}

/// The mailbox name for octets on the wire.
fn decoded(wire: &[u8]) -> String {
    let one_form = |name: &String| !wire.is_ascii() || mailbox_name::encode(name).as_bytes() == wire;
    mailbox_name::decode(wire).filter(one_form).unwrap_or_else(|| NO_NAME.to_owned())
}

/// A mailbox name; the INBOX in upper case.
pub fn name(mailbox: &Mailbox<'_>) -> MailboxName {
    MailboxName(match mailbox {
        Mailbox::Inbox => "INBOX".to_owned(),
        Mailbox::Other(other) => decoded(other.as_ref()),
    })
}

fn list(reference: &Mailbox<'_>, pattern: &ListMailbox<'_>) -> ListArgs {
    let pattern: &[u8] = match pattern {
        ListMailbox::Token(token) => token.as_ref(),
        ListMailbox::String(string) => string.as_ref(),
    };
    ListArgs { reference: name(reference).0, patterns: vec![decoded(pattern)], options: None }
}

fn once<T: PartialEq>(all: impl IntoIterator<Item = T>) -> Vec<T> {
    all.into_iter().fold(Vec::new(), |mut some, next| {
        if !some.contains(&next) {
            some.push(next);
        }
        some
    })
}

fn end(number: SeqOrUid) -> Option<NonZeroU32> {
    match number {
        SeqOrUid::Value(number) => Some(number),
        SeqOrUid::Asterisk => None,
    }
}

/// A sequence set.
pub fn set(theirs: &TheirSet) -> SequenceSet {
    let mut set = SequenceSet::default();
    for range in theirs.0.as_ref() {
        match *range {
            Sequence::Single(number) => set.push(end(number), end(number)),
            Sequence::Range(from, to) => set.push(end(from), end(to)),
        }
    }
    set
}

fn numbers(theirs: &TheirSet) -> MessageSet {
    MessageSet::Numbers(set(theirs))
}

fn messages(theirs: &TheirSet, uid: bool) -> Messages {
    Messages { uid, set: numbers(theirs) }
}

fn params(theirs: &[SelectParameter]) -> SelectParams {
    let mut params = SelectParams::default();
    for param in theirs {
        match param {
            SelectParameter::CondStore => params.condstore = true,
            SelectParameter::QResync { uid_validity, mod_sequence_value, known_uids, seq_match_data } => {
                let matches = seq_match_data.as_ref();
                params.qresync = Some(Box::new(Resync {
                    uid_validity: uid_validity.get(),
                    modseq: mod_sequence_value.get(),
                    known: known_uids.as_ref().map(set),
                    matches: matches.map_or_else(Default::default, |(numbers, uids)| {
                        (
                            set(numbers).ascending().unwrap_or_default(),
                            set(uids).ascending().unwrap_or_default(),
                        )
                    }),
                }));
            }
        }
    }
    params
}

fn status_item(item: &StatusDataItemName) -> StatusItem {
    match item {
        StatusDataItemName::Messages => StatusItem::Messages,
        StatusDataItemName::Recent => StatusItem::Recent,
        StatusDataItemName::UidNext => StatusItem::UidNext,
        StatusDataItemName::UidValidity => StatusItem::UidValidity,
        StatusDataItemName::Unseen => StatusItem::Unseen,
        StatusDataItemName::Deleted => StatusItem::Deleted,
        StatusDataItemName::DeletedStorage => StatusItem::DeletedStorage,
        StatusDataItemName::Size => StatusItem::Size,
        StatusDataItemName::HighestModSeq => StatusItem::HighestModseq,
    }
}

/// Flags in our own type. System flags that do not exist are ignored.
pub fn flags(theirs: &[Flag<'_>]) -> FlagList {
    let mut list = FlagList::default();
    for flag in theirs {
        let flag = match flag {
            Flag::Answered => Flags::ANSWERED,
            Flag::Deleted => Flags::DELETED,
            Flag::Draft => Flags::DRAFT,
            Flag::Flagged => Flags::FLAGGED,
            Flag::Seen => Flags::SEEN,
            Flag::Extension(_) => continue,
            Flag::Keyword(keyword) => {
                list.keywords.push(keyword.to_string());
                continue;
            }
        };
        list.flags = list.flags.with(flag);
    }
    list
}

fn items_of(all: &Macro) -> Option<Vec<FetchItem>> {
    let mut items = vec![FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size];
    match all {
        Macro::Fast => {}
        Macro::All => items.push(FetchItem::Envelope),
        Macro::Full => {
            items.extend([FetchItem::Envelope, FetchItem::BodyStructure { extensible: false }]);
        }
        _ => return None,
    }
    Some(items)
}

fn parts(theirs: &[NonZeroU32]) -> Vec<u32> {
    theirs.iter().map(|number| number.get()).collect()
}

fn binary(theirs: &[NonZeroU32]) -> Section {
    Section { part: parts(theirs), text: SectionText::Whole }
}

fn range(partial: Option<(u32, NonZeroU32)>) -> Option<(u64, u64)> {
    partial.map(|(from, count)| (from.into(), count.get().into()))
}

fn item(theirs: &MessageDataItemName<'_>) -> FetchItem {
    use MessageDataItemName as N;
    match theirs {
        N::Body => FetchItem::BodyStructure { extensible: false },
        N::BodyStructure => FetchItem::BodyStructure { extensible: true },
        N::BodyExt { section, partial, peek } => FetchItem::Body {
            section: section.as_ref().map(self::section).unwrap_or_default(),
            partial: range(*partial),
            peek: *peek,
        },
        N::Binary { section, partial, peek } => {
            FetchItem::Binary { section: binary(section), partial: range(*partial), peek: *peek }
        }
        N::BinarySize { section } => FetchItem::BinarySize { section: binary(section) },
        N::Envelope => FetchItem::Envelope,
        N::Flags => FetchItem::Flags,
        N::InternalDate => FetchItem::InternalDate,
        N::Rfc822 => FetchItem::Rfc822,
        N::Rfc822Header => FetchItem::Rfc822Header,
        N::Rfc822Size => FetchItem::Rfc822Size,
        N::Rfc822Text => FetchItem::Rfc822Text,
        N::Uid => FetchItem::Uid,
        N::ModSeq => FetchItem::Modseq,
    }
}

fn section(theirs: &TheirSection<'_>) -> Section {
    let part = |part: &Option<Part>| part.as_ref().map(|part| parts(part.0.as_ref())).unwrap_or_default();
    let fields = |not, names: &[AString<'_>]| SectionText::HeaderFields {
        not,
        names: FieldNames::new(names.iter().map(text).collect()),
    };
    match theirs {
        TheirSection::Part(some) => Section { part: parts(some.0.as_ref()), text: SectionText::Whole },
        TheirSection::Header(of) => Section { part: part(of), text: SectionText::Header },
        TheirSection::HeaderFields(of, names) => {
            Section { part: part(of), text: fields(false, names.as_ref()) }
        }
        TheirSection::HeaderFieldsNot(of, names) => {
            Section { part: part(of), text: fields(true, names.as_ref()) }
        }
        TheirSection::Text(of) => Section { part: part(of), text: SectionText::Text },
        TheirSection::Mime(of) => Section { part: parts(of.0.as_ref()), text: SectionText::Mime },
    }
}

fn criteria(theirs: &[imap_codec::imap_types::extensions::sort::SortCriterion]) -> Vec<SortCriterion> {
    let mut criteria: Vec<SortCriterion> = Vec::new();
    for criterion in theirs {
        let key = match criterion.key {
            TheirSortKey::Arrival => SortKey::Arrival,
            TheirSortKey::Cc => SortKey::Cc,
            TheirSortKey::Date => SortKey::Date,
            TheirSortKey::From => SortKey::From,
            TheirSortKey::Size => SortKey::Size,
            TheirSortKey::Subject => SortKey::Subject,
            TheirSortKey::To => SortKey::To,
            TheirSortKey::DisplayFrom => SortKey::DisplayFrom,
            TheirSortKey::DisplayTo => SortKey::DisplayTo,
        };
        if criteria.iter().all(|before| before.key != key) {
            criteria.push(SortCriterion { reverse: criterion.reverse, key });
        }
    }
    criteria
}
