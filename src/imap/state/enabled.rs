//! ENABLE (RFC 5161), and what else tells that a client knows of mod-sequences (RFC 7162 section 3.1).

use super::outcome::{Outcome, Reply};
use super::session::{Session, State};
use crate::imap::wire::command::Command;
use crate::imap::wire::extension::Extension;

impl Session {
    /// RFC 5161 section 3.1: what is not known here was passed over by the parser. The response names what the client
    /// did, whether or not it was in force before, so that nobody takes it for refused.
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

    /// RFC 7162 section 3.1: each of the "CONDSTORE enabling commands" does so before it is carried out.
    pub fn hears_of_modseqs(&mut self, command: &Command, out: &mut String) {
        if self.account().is_none() || !command.enables_condstore() {
            return;
        }
        match command {
            // It tells HIGHESTMODSEQ of the mailbox that it opens; that of the one it leaves is of no use.
            Command::Select(..) | Command::Examine(..) => self.enabled.insert(Extension::Condstore),
            _ => self.puts_in_force(Extension::Condstore, out),
        }
    }

    /// A tagged response, with what stands before it. A client takes the largest MODSEQ that it was told for its
    /// HIGHESTMODSEQ. Where it was not told of everything up to there, which it would then never hear of, it is told what it
    /// may take, and later that it may take more (RFC 7162 sections 3.2 and 6).
    pub fn tagged(&mut self, reply: &Reply) -> String {
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

    /// The client hears this MODSEQ of a message.
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
