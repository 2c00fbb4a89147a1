//! ENABLE (RFC 5161), and the other ways in which a client shows that it supports mod-sequences (RFC 7162 section
//! 3.1).

use super::outcome::{Outcome, Reply};
use super::session::{Session, State};
use crate::imap::wire::command::Command;
use crate::imap::wire::extension::Extension;

impl Session {
    /// ENABLE (RFC 5161 section 3.1). The parser has skipped unknown extensions. The response names all extensions
    /// that the client has named, also those that were in force already, so that no client thinks they were refused.
    pub fn enable(&mut self, tag: String, extensions: &[Extension], out: &mut String) -> Outcome {
        out.push_str("* ENABLED");
        for extension in extensions {
            out.push(' ');
            out.push_str(extension.name());
        }
        out.push_str("\r\n");
        for extension in extensions {
            self.puts_in_force(*extension, out);
        }
        Outcome::reply(tag, "OK ENABLE completed")
    }

    /// Enables CONDSTORE when the command is one of the "CONDSTORE enabling commands", before it is carried out (RFC
    /// 7162 section 3.1).
    pub fn enable_condstore_implicitly(&mut self, command: &Command, out: &mut String) {
        if self.account().is_none() || !command.enables_condstore() {
            return;
        }
        match command {
            // SELECT and EXAMINE report HIGHESTMODSEQ of the mailbox that they open; that of the old mailbox is of no
            // use.
            Command::Select(..) | Command::Examine(..) => self.enabled.insert(Extension::Condstore),
            _ => self.puts_in_force(Extension::Condstore, out),
        }
    }

    /// The tagged response, with the untagged responses that must come before it. A client takes the largest MODSEQ
    /// that it was told for its HIGHESTMODSEQ. When it was not told of all changes up to there, it would never be
    /// told of them later. So it is told which HIGHESTMODSEQ it may take, and later that it may take a larger one
    /// (RFC 7162 sections 3.2 and 6).
    pub fn tagged_response(&mut self, reply: &Reply) -> String {
        let Reply { tag, text, .. } = reply;
        let State::Selected(selected) = &mut self.state else { return format!("{tag} {text}\r\n") };
        let (modseq, told) = (selected.numbers.told_through(), std::mem::take(&mut selected.told));
        let catches_up = selected.lowered.is_some_and(|lowered| lowered < modseq);
        if told > modseq || catches_up {
            selected.lowered = (told > modseq).then_some(modseq);
        }
        match text.strip_prefix("OK ") {
            Some(text) if reply.modseq && self.enabled.has(Extension::Qresync) => {
                format!("{tag} OK [HIGHESTMODSEQ {modseq}] {text}\r\n")
            }
            _ if told > modseq || catches_up => {
                format!("* OK [HIGHESTMODSEQ {modseq}] All changes up to here are told\r\n{tag} {text}\r\n")
            }
            _ => format!("{tag} {text}\r\n"),
        }
    }

    /// Notes that the client is told this MODSEQ of a message.
    pub fn tells_modseq(&mut self, modseq: u64) {
        if let State::Selected(selected) = &mut self.state {
            selected.told = selected.told.max(modseq);
        }
    }

    fn puts_in_force(&mut self, extension: Extension, out: &mut String) {
        let knew = self.enabled.has(Extension::Condstore);
        self.enabled.insert(extension);
        let knows = self.enabled.has(Extension::Condstore);
        let State::Selected(selected) = &mut self.state else { return };
        selected.numbers.enabled = self.enabled;
        if knows && !knew {
            let modseq = selected.numbers.told_through();
            out.push_str(&format!("* OK [HIGHESTMODSEQ {modseq}] All changes up to here are told\r\n"));
        }
    }
}
