//! Extensions that a client has to ask for, since they change what it hears (RFC 5161).

/// What ENABLE can name here. A new one is a line here and one in [`Extension::name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// RFC 7162 section 3.1: MODSEQ in all FETCH responses that nobody asked for.
    Condstore,
    /// RFC 7162 section 3.2: VANISHED in the place of EXPUNGE, and all of CONDSTORE.
    Qresync,
    /// RFC 6855: UTF-8 in names and quoted strings.
    Utf8Accept,
    /// RFC 9051: the same, ESEARCH in the place of SEARCH, LIST where a mailbox is selected, a UID in each FETCH response, and
    /// nothing of what is recent.
    Imap4Rev2,
}

impl Extension {
    /// All of them.
    pub const ALL: [Extension; 4] =
        [Extension::Condstore, Extension::Qresync, Extension::Utf8Accept, Extension::Imap4Rev2];

    /// As CAPABILITY has it.
    pub fn name(self) -> &'static str {
        match self {
            Extension::Condstore => "CONDSTORE",
            Extension::Qresync => "QRESYNC",
            Extension::Utf8Accept => "UTF8=ACCEPT",
            Extension::Imap4Rev2 => "IMAP4rev2",
        }
    }

    /// The extension of this name, in any case.
    pub fn named(name: &str) -> Option<Extension> {
        Extension::ALL.into_iter().find(|extension| extension.name().eq_ignore_ascii_case(name))
    }
}

/// The extensions in force; they stay so until the connection ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Enabled(u8);

impl Enabled {
    /// Whether this one is in force.
    pub fn has(self, extension: Extension) -> bool {
        self.0 & bit(extension) != 0
    }

    /// Whether names and quoted strings are UTF-8, in both directions; else names are modified UTF-7.
    pub fn utf8(self) -> bool {
        self.has(Extension::Utf8Accept) || self.rev2()
    }

    /// Whether the session is one of IMAP4rev2, else it is one of IMAP4rev1 (RFC 9051 appendix A).
    pub fn rev2(self) -> bool {
        self.has(Extension::Imap4Rev2)
    }

    /// One more. RFC 7162 section 3.2.3: QRESYNC is CONDSTORE, too.
    pub fn insert(&mut self, extension: Extension) {
        self.0 |= bit(extension);
        if extension == Extension::Qresync {
            self.0 |= bit(Extension::Condstore);
        }
    }
}

fn bit(extension: Extension) -> u8 {
    1 << extension as u8
}
