//! The commands of a device that boots from a card image: its board, updates, and its end.

use super::session::{Expecting, Session, Step};
use super::work::Work;
use crate::board::device::{Ending, Memory};
use crate::clock::unix_now;
use crate::message::date::rfc5322;
use crate::operator::status::{ago, size};
use crate::operator::{self, World};

const CHANGES: &str = "there are changes: `commit` or `rollback` them first";

impl Session {
    pub(super) fn show_board(&mut self, world: &dyn World, _: &[&str]) -> Step {
        let Some(board) = world.board() else { return Step::Refuse(operator::NO_DEVICE.to_owned()) };
        let slot = board.slot.map_or("unknown".to_owned(), |slot| slot.to_string());
        let mut text = format!("board    {}\nversion  {}\n", board.board, board.version);
        if let Some(made) = board.made.and_then(|made| i64::try_from(made).ok()) {
            let moment = rfc5322(made);
            let day = moment.get(..16).unwrap_or(&moment);
            text += &format!(
                "made     {day}, {}: kernel and packages are of that day or older\n",
                ago(unix_now(), made)
            );
        }
        text += &format!("slot     {slot}\n");
        text += match board.trial {
            true => "trial    yes: it is kept when it has worked for a moment\n",
            false => "trial    no\n",
        };
        if let Some(Memory { total, used }) = board.memory {
            text += &format!("memory   {} of {} in use\n", size(used), size(total));
        }
        if let Some(stick) = board.stick {
            text += &format!("stick    {stick}, at /usb\n");
        }
        if let Some(why) = board.fallback {
            text += &format!("update   the last one was not kept: {why}\n");
        }
        Step::Say(text)
    }

    pub(super) fn show_log(&mut self, world: &dyn World, _: &[&str]) -> Step {
        match world.log() {
            Some(lines) => Step::Say(lines),
            None => Step::Refuse(operator::NO_LOG.to_owned()),
        }
    }

    pub(super) fn log_follow(&mut self, world: &dyn World, _: &[&str]) -> Step {
        match world.board() {
            Some(_) => Step::Work(Work::Follow),
            None => Step::Refuse(operator::NO_LOG.to_owned()),
        }
    }

    pub(super) fn update(&mut self, world: &dyn World, words: &[&str]) -> Step {
        match self.forbids_an_end(world) {
            Some(why) => Step::Refuse(why.to_owned()),
            None => Step::Update(words.concat()),
        }
    }

    pub(super) fn switch_slot(&mut self, world: &dyn World, _: &[&str]) -> Step {
        if let Some(why) = self.forbids_an_end(world) {
            return Step::Refuse(why.to_owned());
        }
        let board = world.board().unwrap_or_default();
        if board.trial {
            return Step::Refuse(
                "the present version is on trial: `restart` goes back to the one before it".to_owned(),
            );
        }
        let slot = board.slot.map_or("the other slot".to_owned(), |slot| format!("slot {}", slot.other()));
        self.expecting = Expecting::Yes;
        Step::Say(format!(
            "the device restarts with the version in {slot}; when that does not work, it comes back with the present one\n"
        ))
    }

    pub(super) fn restart(&mut self, world: &dyn World, words: &[&str]) -> Step {
        match (self.forbids_an_end(world), words.is_empty()) {
            (Some(why), _) => Step::Refuse(why.to_owned()),
            (None, true) => Step::End("the device restarts\n".to_owned(), Ending::Restart),
            (None, false) => Step::End("the daemon restarts\n".to_owned(), Ending::RestartDaemon),
        }
    }

    pub(super) fn power_off(&mut self, world: &dyn World, _: &[&str]) -> Step {
        match self.forbids_an_end(world) {
            Some(why) => Step::Refuse(why.to_owned()),
            None => Step::End("the device switches itself off\n".to_owned(), Ending::PowerOff),
        }
    }

    pub(super) fn forbids_an_end(&self, world: &dyn World) -> Option<&'static str> {
        match world.board() {
            None => Some(operator::NO_DEVICE),
            Some(_) if self.changed() => Some(CHANGES),
            Some(_) => None,
        }
    }
}

/// The answer to [`Session::switch_slot`].
pub(super) fn confirmed(line: &str) -> Step {
    match line.trim() {
        "yes" => Step::End("the device restarts\n".to_owned(), Ending::Switch),
        _ => Step::Refuse("nothing was done".to_owned()),
    }
}
