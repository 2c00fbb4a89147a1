//! Extensions that a client has to enable, since they change the responses that it gets (RFC 5161).

/// The extensions that ENABLE knows. A new one needs a line here and one in [`Extension::name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// CONDSTORE (RFC 7162 section 3.1): MODSEQ in all unsolicited FETCH responses.
    Condstore,
    /// QRESYNC (RFC 7162 section 3.2): VANISHED in place of EXPUNGE, and everything of CONDSTORE.
    Qresync,
    /// UTF8=ACCEPT (RFC 6855): UTF-8 in names and quoted strings.
    Utf8Accept,
    /// IMAP4rev2 (RFC 9051): UTF-8 as well, ESEARCH in place of SEARCH, a LIST response when a mailbox is selected, a
    /// UID in each FETCH response, and no RECENT.
    Imap4Rev2,
}

impl Extension {
    /// All extensions.
    pub const ALL: [Extension; 4] =
        [Extension::Condstore, Extension::Qresync, Extension::Utf8Accept, Extension::Imap4Rev2];

    /// The name as in CAPABILITY.
    pub fn name(self) -> &'static str {
        match self {
            Extension::Condstore => "CONDSTORE",
            Extension::Qresync => "QRESYNC",
            Extension::Utf8Accept => "UTF8=ACCEPT",
            Extension::Imap4Rev2 => "IMAP4rev2",
        }
    }

    /// The extension of this name, in any case of letters.
    pub fn named(name: &str) -> Option<Extension> {
        Extension::ALL.into_iter().find(|extension| extension.name().eq_ignore_ascii_case(name))
    }
}

/// The extensions in force. They stay in force until the connection ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Enabled(u8);

impl Enabled {
    /// Whether the extension is in force.
    pub fn has(self, extension: Extension) -> bool {
        self.0 & bit(extension) != 0
    }

    /// Whether names and quoted strings are UTF-8 in both directions; otherwise names are in modified UTF-7.
    pub fn utf8(self) -> bool {
        self.has(Extension::Utf8Accept) || self.rev2()
    }

    /// Whether the session uses IMAP4rev2; otherwise it uses IMAP4rev1 (RFC 9051 appendix A).
    pub fn rev2(self) -> bool {
        self.has(Extension::Imap4Rev2)
    }

    /// Adds an extension. QRESYNC includes CONDSTORE (RFC 7162 section 3.2.3).
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
