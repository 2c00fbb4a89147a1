//! What a sender asks for about delivery status notifications (RFC 3461 section 4).

use serde::{Deserialize, Serialize};

/// The NOTIFY parameter of RCPT (RFC 3461 section 4.1): when its sender is told what became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Notify {
    /// Nothing was said: about failures, and about delays.
    #[default]
    Unsaid,
    /// Not at all.
    Never,
    /// When one of these has come about.
    When {
        /// It was delivered, or handed to a server that says nothing of it later.
        success: bool,
        /// It will not be delivered.
        failure: bool,
        /// It waits for longer than usual.
        delay: bool,
    },
}

impl Notify {
    /// Whether a delivery is told.
    pub fn success(self) -> bool {
        matches!(self, Notify::When { success: true, .. })
    }

    /// Whether a failure is told.
    pub fn failure(self) -> bool {
        matches!(self, Notify::Unsaid | Notify::When { failure: true, .. })
    }

    /// Whether a delay is told.
    pub fn delay(self) -> bool {
        matches!(self, Notify::Unsaid | Notify::When { delay: true, .. })
    }
}

/// The RET parameter of MAIL (RFC 3461 section 4.3): how much of the message goes back with a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ret {
    /// All of it.
    Full,
    /// Its header.
    Headers,
}

/// What MAIL asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Request {
    /// RET, where it was said.
    pub ret: Option<Ret>,
    /// The value of ENVID (RFC 3461 section 4.4) as it came, in xtext; empty where it was not said.
    pub envid: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a sender who said nothing and hears nothing of a failure, or hears of each delivery.
    #[test]
    fn who_says_nothing_hears_of_failures_and_delays() {
        let told = |notify: Notify| (notify.success(), notify.failure(), notify.delay());
        assert_eq!(told(Notify::Unsaid), (false, true, true));
        assert_eq!(told(Notify::Never), (false, false, false));
        let success = Notify::When { success: true, failure: false, delay: false };
        assert_eq!(told(success), (true, false, false));
    }
}
