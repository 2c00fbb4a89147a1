//! `commit confirmed` and `confirm`: settings in force for a while, which come back to what they were unless somebody says that
//! they are right. For changes that may shut out whoever makes them.

use std::time::Duration;

use super::session::{Session, Step};
use crate::operator::status::span;
use crate::operator::{TRIAL, World};

/// How short and how long a trial may be.
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A device sets up its network once.
const NEEDS_A_RESTART: &str =
    "[network] comes into force with a restart, which takes back what is on trial: use `commit` for it";

impl Session {
    pub(super) fn commit_confirmed(&mut self, world: &dyn World, words: &[&str]) -> Step {
        let time = match words.first() {
            None => TRIAL,
            Some(word) => match time(word) {
                Some(time) => time,
                None => {
                    return Step::Refuse(format!(
                        "{word}: a time such as 90s, 5m or 1h is wanted, 10s to 24h"
                    ));
                }
            },
        };
        if world.board().is_some() && self.candidate.network != self.base.network {
            return Step::Refuse(NEEDS_A_RESTART.to_owned());
        }
        match self.commit(world, &[]) {
            Step::Commit { base, warnings } => Step::TryOut { base, warnings, time },
            other => other,
        }
    }

    pub(super) fn confirm(&mut self, _: &dyn World, _: &[&str]) -> Step {
        Step::Confirm
    }

    /// How a [`Step::TryOut`] ended.
    pub fn tried_out(
        &mut self,
        world: &dyn World,
        outcome: Result<(), String>,
        warnings: String,
        time: Duration,
    ) -> Step {
        match self.committed(world, outcome, warnings) {
            Step::Say(words) => Step::Say(format!(
                "{words}on trial: taken back in {} unless somebody types `confirm`, on this console or another one; a restart \
                 takes it back, too\n",
                span(time.as_secs())
            )),
            other => other,
        }
    }
}

/// What `confirm` says.
pub(super) fn confirmed(outcome: Result<bool, String>) -> Step {
    match outcome {
        Ok(true) => Step::Say("confirmed: it is stored, and stays\n".to_owned()),
        Ok(false) => Step::Refuse(
            "nothing is on trial: it was confirmed already, or taken back; `show config` tells what is in force".to_owned(),
        ),
        Err(why) => Step::Refuse(why),
    }
}

/// `90s`, `5m`, `1h`.
fn time(word: &str) -> Option<Duration> {
    let unit = match word.bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 60 * 60,
        _ => return None,
    };
    let number: u64 = word.get(..word.len() - 1)?.parse().ok()?;
    let time = Duration::from_secs(number.checked_mul(unit)?);
    (SHORTEST..=LONGEST).contains(&time).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::tests::Pretended;

    #[test]
    fn times_are_read_as_settings_are() {
        let seconds = |word| time(word).map(|time| time.as_secs());
        assert_eq!(["90s", "5m", "1h", "24h"].map(seconds), [90, 300, 3600, 86_400].map(Some));
        for wrong in ["", "5", "m", "0m", "9s", "25h", "-5m", "5 m", "5d", "99999999999999999999h", "ü"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    /// Catches a trial without a check, one of nothing, and one of settings that need the restart which ends it.
    #[test]
    fn what_is_on_trial_is_a_change_that_could_be_committed() {
        let world = Pretended::new();
        let mut session = Session::new(&world);
        assert!(
            matches!(session.line(&world, "commit confirmed"), Step::Say(words) if words.contains("nothing has changed"))
        );
        session.line(&world, "set server.hostname box.home.arpa");
        assert!(matches!(session.line(&world, "commit confirmed soon"), Step::Refuse(_)));
        let step = session.line(&world, "commit confirmed 90s");
        assert!(matches!(step, Step::TryOut { time, .. } if time.as_secs() == 90), "{step:?}");
        assert!(
            matches!(session.line(&world, "commit confirmed"), Step::TryOut { time, .. } if time == TRIAL)
        );
        let told = session.tried_out(&world, Ok(()), String::new(), TRIAL);
        assert!(
            matches!(&told, Step::Say(words) if words.contains("`confirm`") && words.contains("restart")),
            "{told:?}"
        );
        *world.board.borrow_mut() = Some(crate::board::device::Standing::default());
        session.line(&world, "set network.dns 192.0.2.1");
        assert!(
            matches!(session.line(&world, "commit confirmed"), Step::Refuse(why) if why == NEEDS_A_RESTART)
        );
        assert!(matches!(session.line(&world, "confirm"), Step::Confirm));
    }
}
