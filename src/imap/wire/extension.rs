//! Extensions that a client has to ask for, since they change what it hears (RFC 5161).

/// What ENABLE can name here. A new one is a line here and one in [`Extension::name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// RFC 7162 section 3.1: MODSEQ in all FETCH responses that nobody asked for.
    Condstore,
    /// RFC 7162 section 3.2: VANISHED in the place of EXPUNGE, and all of CONDSTORE.
    Qresync,
}

impl Extension {
    /// All of them.
    pub const ALL: [Extension; 2] = [Extension::Condstore, Extension::Qresync];

    /// As CAPABILITY has it.
    pub fn name(self) -> &'static str {
        match self {
            Extension::Condstore => "CONDSTORE",
            Extension::Qresync => "QRESYNC",
        }
    }

    /// The extension of this name, in any case.
    pub fn named(name: &str) -> Option<Extension> {
        Extension::ALL.into_iter().find(|extension| extension.name().eq_ignore_ascii_case(name))
    }
}
