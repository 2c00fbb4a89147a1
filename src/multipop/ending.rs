//! How a poll ended: for the mailbox as a whole, or for some messages only.

use super::Error;
use super::collection::Outcome;

/// How a poll ended.
#[derive(Debug)]
pub enum Ending {
    /// Everything that was wanted was collected.
    Well,
    /// Everything was collected except messages that cannot be had; the error of the first one.
    Partly(Error),
    /// There was no room for some messages.
    Full(Error),
    /// The mailbox could not be collected.
    Failed(Error),
}

impl Ending {
    /// The ending that follows from the `result` and the `outcome` of a poll.
    pub fn of(result: Result<(), Error>, outcome: &mut Outcome) -> Ending {
        match (result, outcome.problem.take()) {
            (Ok(()), None) => Ending::Well,
            (Ok(()), Some(error)) if !error.is_of_the_store() => Ending::Partly(error),
            (Ok(()), Some(error)) => Ending::Full(error),
            // All other messages had been collected by then.
            (Err(error), _) if outcome.left_for_last && error.is_of_the_server() => Ending::Partly(error),
            // What was collected is only not deleted there.
            (Err(error), _) if error.is_of_deletions() => Ending::Partly(error),
            (Err(error), _) => Ending::Failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outgoing;
    use crate::store;

    /// Catches: a message that cannot be had and is reported as if nothing had come, and a full account that is
    /// reported as if it were one message.
    #[test]
    fn one_message_is_not_the_mailbox() {
        let of = |result, problem, left_for_last| {
            let mut outcome = Outcome { problem, left_for_last, ..Outcome::default() };
            match Ending::of(result, &mut outcome) {
                Ending::Well => "well",
                Ending::Partly(_) => "partly",
                Ending::Full(_) => "full",
                Ending::Failed(_) => "failed",
            }
        };
        let closed = || Err(outgoing::Error::Closed.into());
        let refused = |command: &str| Error::Refused { command: command.to_owned(), reason: "no".to_owned() };
        for (result, problem, last, expected) in [
            (Ok(()), None, false, "well"),
            (Ok(()), Some(Error::NotSent), false, "partly"),
            (Ok(()), Some(store::Error::OverQuota.into()), false, "full"),
            (closed(), None, false, "failed"),
            (closed(), Some(Error::NotSent), false, "failed"),
            (closed(), None, true, "partly"),
            (Err(refused("QUIT")), None, false, "partly"),
            (Err(refused("SELECT x")), None, false, "failed"),
            (Err(store::Error::ReadOnly.into()), None, true, "failed"),
        ] {
            assert_eq!(of(result, problem, last), expected);
        }
    }
}
