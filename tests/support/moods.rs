//! Smarthosts that are real servers, and have the same moods: what each does with a message depends on whom it goes to,
//! so that one scenario is played with all of them.

use std::io;
use std::thread::sleep;
use std::time::Duration;

use super::loopback::{Loopback, Wire};
use super::{Dovecot, Postfix, Relayed};

/// The local part of who is refused, with 550.
pub const NOBODY: &str = "nobody";
/// What local parts begin with that are put off with 451 for the first time.
pub const GREY: &str = "grey";
/// Of a message to one like this the connection ends instead of an answer to its content, for the first time.
pub const CLOSES: &str = "closes";
/// The content of a message to one like this is answered after [`LATENESS`].
pub const LATE: &str = "late";
pub const LATENESS: Duration = Duration::from_secs(6);

/// A server that has them.
pub trait Moods {
    /// Everyone outside lives at `outside.example`.
    fn start() -> Self;
    /// Host, port, security and login, for the table `[smarthost]`.
    fn settings(&self) -> String;
    /// All that arrived so far, in no order.
    fn relayed(&self) -> Vec<Relayed>;
    /// Ends; nothing answers on its port.
    fn down(&mut self);
    /// Starts again as it was.
    fn up(&mut self);
    /// What it wrote down.
    fn log(&self) -> String;
}

/// Postfix asks a policy server (its SMTPD_POLICY_README), which is this.
pub struct MoodyPostfix {
    postfix: Postfix,
    _dovecot: Dovecot,
    _policy: Loopback,
}

impl Moods for MoodyPostfix {
    fn start() -> MoodyPostfix {
        let dovecot = Dovecot::start(&[("box", "global")]);
        let seen = std::sync::Mutex::new(Vec::new());
        let policy = Loopback::serve(None, move |wire| {
            judge(wire, |key| {
                let mut seen = seen.lock().unwrap();
                let is_new = !seen.contains(&key);
                seen.push(key);
                is_new
            })
        });
        let postfix = Postfix::with_policy(&dovecot, policy.address);
        MoodyPostfix { postfix, _dovecot: dovecot, _policy: policy }
    }
    fn settings(&self) -> String {
        format!(
            "host = \"localhost\"\nport = {}\nsecurity = \"tls\"\nca = \"{}\"\nusername = \"box\"\npassword = \"global\"\n",
            self.postfix.submissions.number,
            self.postfix.ca.display()
        )
    }
    fn relayed(&self) -> Vec<Relayed> {
        self.postfix.relayed()
    }
    fn down(&mut self) {
        self.postfix.down();
    }
    fn up(&mut self) {
        self.postfix.up();
    }
    fn log(&self) -> String {
        self.postfix.log()
    }
}

/// Answers Postfix's questions, one after the other: lines `NAME=VALUE` and an empty one.
fn judge(mut wire: Wire, is_new: impl Fn(String) -> bool) -> io::Result<()> {
    let (mut recipient, mut is_end) = (String::new(), false);
    while let Some(line) = wire.command()? {
        match line.split_once('=') {
            Some(("recipient", to)) => recipient = to.to_owned(),
            Some(("protocol_state", state)) => is_end = state == "END-OF-MESSAGE",
            Some(_) => {}
            None => {
                if is_end && recipient.starts_with(LATE) {
                    sleep(LATENESS);
                }
                let put_off = recipient.starts_with(if is_end { CLOSES } else { GREY });
                let action = match put_off && is_new(std::mem::take(&mut recipient)) {
                    // Postfix closes after 421.
                    true if is_end => "421 4.3.2 going down",
                    true => "451 4.7.1 greylisted",
                    false => "DUNNO",
                };
                wire.say(format!("action={action}\n\n"))?;
            }
        }
    }
    Ok(())
}
