//! Advice on an error on the way to a server, for the person who set the server up.

use std::io;

use super::Error;

/// The advice on an error that nobody here can mend.
pub const PASSES: &str = "This often passes on its own. If it lasts, ask the provider.";

/// The kind of server, which decides what its settings are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// A server that MultiPOP collects from.
    Source,
    /// The server that takes our mail.
    Smarthost,
}

impl Party {
    /// What its settings are called.
    pub fn name(self) -> &'static str {
        match self {
            Party::Source => "source",
            Party::Smarthost => "smarthost",
        }
    }
}

impl Error {
    /// What to do about the error, in whole sentences.
    pub fn advice(&self, party: Party) -> String {
        let name = party.name();
        match self {
            Error::Resolve { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => format!("Check the spelling of the {name}'s host."),
                _ => "No name server answers: check this network's connection to the Internet.".to_owned(),
            },
            Error::Connect { source, .. } => match source.kind() {
                io::ErrorKind::ConnectionRefused => {
                    format!("Nothing listens on that port: check the {name}'s port and host.")
                }
                io::ErrorKind::TimedOut => format!(
                    "Check the {name}'s port and host, and whether a firewall, or the provider of this network's connection, lets \
                     nobody out to that port."
                ),
                _ => "Check the name of the server, its port and this network's connection to the Internet."
                    .to_owned(),
            },
            Error::Tls(problem) => problem.advice(party),
            Error::NoGreeting => format!(
                "On this port TLS may have to come first: set the {name}'s security to \"tls\", or its port to the one \
                 that the provider tells."
            ),
            Error::TlsFirst => {
                format!("Set the {name}'s security to \"tls\": on this port TLS comes first.")
            }
            Error::Trust(_) => format!("Put the file of the {name}'s ca in order."),
            Error::NoStartTls(_) | Error::Injected => {
                format!("Set the {name}'s security to \"tls\", with the port that the provider tells for it.")
            }
            Error::NoMechanism | Error::Method(_) => {
                format!("Set the {name}'s auth to \"auto\", or ask the provider how to log in.")
            }
            Error::Login(_) | Error::Sasl(_) => format!(
                "Check the user name and the password of the {name}. Some providers want POP3 or IMAP to be switched on \
                 first, or a password of its own for each program."
            ),
            Error::Unsendable => "Enter the user name and the password anew.".to_owned(),
            Error::NoToken => {
                "Give a permission, or use a password that the provider makes for programs.".to_owned()
            }
            Error::TokenRefused { .. } => format!(
                "Check that the user name of the {name} is that of the account that gave the permission, and that this \
                 account may use POP3, IMAP or SMTP. If so, give the permission anew."
            ),
            Error::TokenTooLong(_) => {
                "Set the source's protocol to \"imap\", with port 993: IMAP takes it.".to_owned()
            }
            Error::Silence | Error::Closed | Error::Connection(_) | Error::Busy(_) => PASSES.to_owned(),
        }
    }
}
