//! `board …`: what the scripts of a card image ask for. They run as root, before and beside the daemon.

use std::path::PathBuf;

use pillarbox::board;
use pillarbox::failure::Failure;

use super::arguments::{DATA, Given, Verb};
use super::print;

/// What a verb of this family asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    Time { data: PathBuf },
}

/// The verbs, in the order of `help board`.
pub const VERBS: &[Verb] = &[Verb {
    name: "board time",
    operands: &[],
    options: &[DATA],
    help: "print the last known time in seconds since 1970: that of the image or of the newest file in DIR",
    request: |given: &Given| super::Request::Board(Request::Time { data: given.data() }),
}];

/// Does it.
pub fn carry_out(request: Request) -> Result<(), Failure> {
    match request {
        Request::Time { data } => {
            let time = board::time::newest(&board::etc(), &data).map_err(Failure::at(&data))?;
            print(&format!("{time}\n"))
        }
    }
}
