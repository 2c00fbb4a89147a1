//! The authors that a message may name, and what is done with the fields that name them.

use super::{Fault, FieldAction, HeaderFilter, MAX_NAME, State};
use crate::smtp::Mailbox;
use crate::smtp::originator::mailboxes;

/// Whether an address is allowed as an author.
pub type Allowed = Box<dyn Fn(&Mailbox) -> bool>;

/// The authors that a message may name.
pub enum Authors {
    /// Anyone: the message is from a device, and stays in this house.
    Anyone,
    /// The addresses of one account only; a message with another one is refused.
    Own(Allowed),
    /// For a device that writes to others: only addresses of this house. Another author is replaced by `sender`, and
    /// that author's From becomes Original-From (RFC 5703 section 5), so that nobody replies to the address.
    House {
        /// Whether an address is one of this house.
        here: Allowed,
        /// The address in `server.lan_smtp_sender`.
        sender: Mailbox,
    },
}

/// A field that names an author or sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Originator {
    From,
    Sender,
    ResentFrom,
    ResentSender,
}

impl Originator {
    fn name(self) -> &'static str {
        match self {
            Originator::From => "From",
            Originator::Sender => "Sender",
            Originator::ResentFrom => "Resent-From",
            Originator::ResentSender => "Resent-Sender",
        }
    }

    /// Whether the field names exactly one person: several people may be authors, one is the sender (RFC 5322 section
    /// 3.6.2).
    fn is_one(self) -> bool {
        matches!(self, Originator::Sender | Originator::ResentSender)
    }
}

impl HeaderFilter {
    pub(super) fn originator(&mut self, originator: Originator) -> FieldAction {
        match self.authors {
            Authors::Anyone => {
                self.has_from |= originator == Originator::From;
                FieldAction::Pass
            }
            Authors::Own(_) => FieldAction::Judge(originator),
            Authors::House { .. } => FieldAction::Hold(originator),
        }
    }

    /// Judges an originator field that is complete.
    pub(super) fn end_of_field(&mut self, out: &mut Vec<u8>) {
        let field = std::mem::take(&mut self.value);
        let value = field.get(std::mem::take(&mut self.value_at)..).unwrap_or_default();
        let is_cut = std::mem::take(&mut self.is_cut);
        let State::LineStart(Some(FieldAction::Judge(originator) | FieldAction::Hold(originator))) =
            self.state
        else {
            return;
        };
        let found = mailboxes(value).filter(|found| !is_cut && (found.len() == 1 || !originator.is_one()));
        let known = match originator {
            Originator::From => Some(&mut self.has_from),
            Originator::Sender => Some(&mut self.has_sender),
            // A message that is sent again gets another block of these fields on top.
            Originator::ResentFrom | Originator::ResentSender => None,
        };
        let is_second = known.as_deref().is_some_and(|&known| known);
        match &self.authors {
            Authors::Anyone => {}
            Authors::Own(own) => {
                known.into_iter().for_each(|known| *known = true);
                let stranger =
                    found.as_ref().and_then(|found| found.iter().find(|author| !own(author)).cloned());
                let fault = match (is_second, &found, stranger) {
                    (true, _, _) => Fault::Twice(originator.name()),
                    (false, None, _) => Fault::Unclear(originator.name()),
                    (false, Some(_), Some(stranger)) => Fault::NotYours(originator.name(), stranger),
                    (false, Some(_), None) => return,
                };
                self.fault.get_or_insert(fault);
            }
            Authors::House { here, .. } => {
                if !is_second && found.is_some_and(|found| found.iter().all(here)) {
                    known.into_iter().for_each(|known| *known = true);
                    out.extend_from_slice(&field);
                } else if originator == Originator::From
                    && !std::mem::replace(&mut self.from_is_replaced, true)
                    && !is_cut
                    // The first line gets longer, and must not become too long.
                    && memchr::memchr(b'\n', value).is_some_and(|end| end <= MAX_NAME)
                {
                    out.extend_from_slice(b"Original-From:");
                    out.extend_from_slice(value);
                }
            }
        }
    }
}
