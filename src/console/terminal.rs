//! Moves octets between an operator and a [`Session`]: with line editing for a terminal, plainly for a script.

use std::io;

use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::command::complete;
use super::line::{Editor, Event, Input};
use super::probe;
use super::session::{Session, Step};
use super::{permission, queue, trial, work};
use crate::board::device::Ending;
use crate::certificate;
use crate::operator::{Operator, World};

/// What is said first when it will take a while.
const COPYING: &str = "the update is copied and verified, which takes a moment\n";

/// What a wrong password is answered with.
pub(super) const WRONG: &str = "that is not the operator's password";

/// Passwords that an operator may try in a row.
const TRIES: usize = 3;

/// Octets of one line of a script.
const LONGEST_LINE: usize = 64 << 10;

/// Serves an operator at a terminal until he quits or goes away, when he has given his password; `admitted`: he has
/// already. `editor` knows the terminal; `pending` has come from him before.
pub(super) async fn interactive(
    operator: &Operator,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    mut editor: Editor,
    pending: Vec<u8>,
    admitted: bool,
) -> io::Result<()> {
    let mut keys = pending.into_iter();
    editor.greet();
    stream.write_all(&editor.take_output()).await?;
    stream.write_all(&for_terminal(&banner(operator))).await?;
    if !admitted && operator.is_locked() && !unlock(operator, &mut stream, &mut editor, &mut keys).await? {
        return stream.flush().await;
    }
    let mut session = Session::at_a_terminal(operator, editor.is_dumb);
    stream.write_all(&for_terminal(session.begin(operator))).await?;
    loop {
        let (prompt, input) = session.prompt();
        editor.begin(prompt, input);
        let complete = |before: &str| complete(&session, before);
        let Some(event) = next_event(&mut stream, &mut editor, &mut keys, &complete).await? else {
            return Ok(());
        };
        let step = match event {
            Event::Line(line) => session.line(operator, &Zeroizing::new(line)),
            Event::End if input == Input::Command => session.line(operator, "quit"),
            // At a question it gives up, as Control-C does: it is neither an answer nor an empty password.
            Event::Interrupted | Event::End => session.interrupted(),
        };
        if input == Input::Command && session.asks_for_a_secret() && matches!(step, Step::Refuse(_)) {
            editor.forget_latest();
        }
        if let Step::Update(_) = &step {
            stream.write_all(&for_terminal(COPYING)).await?;
            stream.flush().await?;
        }
        let step = match step {
            Step::Ask(holder) => permission::ask(operator, &mut session, &mut stream, holder, true).await?,
            Step::Test(trial) => probe::run(operator, &mut stream, for_terminal, &trial).await?,
            Step::Work(job) => {
                Box::pin(work::run(operator, &mut session, &mut stream, work::At::Terminal, job)).await?
            }
            step => step,
        };
        let said = match perform(operator, &mut session, step).await {
            Step::Say(text) => text,
            Step::Refuse(why) => why + "\n",
            Step::End(words, ending) => {
                stream.write_all(&for_terminal(&words)).await?;
                stream.flush().await?;
                operator.end(ending);
                return Ok(());
            }
            _ => return stream.flush().await,
        };
        stream.write_all(&for_terminal(&said)).await?;
    }
}

/// Takes keys until they make something; `None` when the other end has gone.
async fn next_event(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    editor: &mut Editor,
    keys: &mut std::vec::IntoIter<u8>,
    complete: &dyn Fn(&str) -> Vec<String>,
) -> io::Result<Option<Event>> {
    let event = loop {
        let Some(key) = keys.next() else {
            stream.write_all(&editor.take_output()).await?;
            stream.flush().await?;
            let mut piece = vec![0; 256];
            let read = stream.read(&mut piece).await?;
            if read == 0 {
                return Ok(None);
            }
            piece.truncate(read);
            *keys = piece.into_iter();
            continue;
        };
        if let Some(event) = editor.advance(key, complete) {
            break event;
        }
    };
    stream.write_all(&editor.take_output()).await?;
    Ok(Some(event))
}

/// Asks for the operator's password, [`TRIES`] times at the most.
async fn unlock(
    operator: &Operator,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    editor: &mut Editor,
    keys: &mut std::vec::IntoIter<u8>,
) -> io::Result<bool> {
    for _ in 0..TRIES {
        editor.begin("operator's password: ", Input::Secret);
        match next_event(stream, editor, keys, &|_| Vec::new()).await? {
            Some(Event::Line(password)) => {
                let password = Zeroizing::new(password);
                if operator.unlocks(password.as_bytes()).await {
                    return Ok(true);
                }
                stream.write_all(&for_terminal(&format!("{WRONG}\n"))).await?;
            }
            Some(Event::Interrupted | Event::End) | None => return Ok(false),
        }
    }
    Ok(false)
}

/// What tells an operator before the login where he is; and whoever was warned by a browser, that it is the right device.
fn banner(operator: &Operator) -> String {
    let mut text = format!(
        "\nPillarbox {} on {}: `help` lists the commands, the tab key completes\n",
        env!("CARGO_PKG_VERSION"),
        operator.context.config().server.hostname
    );
    if let [_, Some(ca)] = operator.certificates() {
        text += "SHA-256 fingerprint of its CA, for whom a browser warns:\n";
        text += &certificate::in_lines(&ca.fingerprint, "  ");
    }
    text
}

/// Serves a script: each line a command, no prompts and no echo. Ends with the input or at the first refusal, whose
/// words are the error.
pub(super) async fn script(
    operator: &Operator,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    mut pending: Vec<u8>,
) -> io::Result<Result<(), String>> {
    let mut session = Session::new(operator);
    let mut at_end = false;
    loop {
        let line = match pending.iter().position(|&octet| octet == b'\n') {
            Some(end) => pending.drain(..=end).collect::<Vec<u8>>(),
            None if at_end && pending.is_empty() => return Ok(session.ended()),
            None if at_end => std::mem::take(&mut pending),
            None if pending.len() > LONGEST_LINE => return Ok(Err("a line is too long".to_owned())),
            None => {
                let mut piece = [0; 4096];
                let read = stream.read(&mut piece).await?;
                pending.extend(&piece[..read]);
                at_end = read == 0;
                continue;
            }
        };
        let line = String::from_utf8_lossy(&line);
        let step = session.line(operator, line.trim_end_matches(['\r', '\n']));
        let step = match step {
            Step::Ask(holder) => permission::ask(operator, &mut session, &mut stream, holder, false).await?,
            Step::Test(trial) => {
                let plain = |text: &str| text.as_bytes().to_vec();
                probe::run(operator, &mut stream, plain, &trial).await?
            }
            Step::Work(job) => {
                Box::pin(work::run(operator, &mut session, &mut stream, work::At::Script, job)).await?
            }
            step => step,
        };
        match perform(operator, &mut session, step).await {
            Step::Say(text) => stream.write_all(text.as_bytes()).await?,
            Step::Refuse(why) => return Ok(Err(why)),
            Step::End(words, ending) => {
                stream.write_all(words.as_bytes()).await?;
                operator.end(ending);
                return Ok(Ok(()));
            }
            _ => return Ok(Ok(())),
        }
    }
}

/// Takes a step to its end: what it asks of the appliance is done here.
async fn perform(operator: &Operator, session: &mut Session, step: Step) -> Step {
    match step {
        Step::Commit { base, warnings } => {
            let outcome = operator.commit(&base, session.candidate().clone()).await;
            session.committed(operator, outcome, warnings)
        }
        Step::TryOut { base, warnings, time } => {
            let outcome = operator.try_out(&base, session.candidate().clone(), time).await;
            session.tried_out(operator, outcome, warnings, time)
        }
        Step::Confirm => trial::confirmed(operator.confirm().await),
        Step::RemoveMessage(number) => match operator.remove_message(number).await {
            Ok(()) => Step::Say(String::new()),
            Err(why) => Step::Refuse(why),
        },
        Step::Queue(act, which) => match operator.relay.operate(act, &which).await {
            Ok(done) => queue::outcome(act, &which, done),
            Err(error) => Step::Refuse(format!("the queue: {error}")),
        },
        Step::Redeem { holder, code, pasted } => permission::redeem(operator, holder, &code, &pasted).await,
        Step::Update(file) => match operator.update(&file).await {
            Ok(words) => Step::End(words, Ending::Update),
            Err(why) => Step::Refuse(why),
        },
        step => step,
    }
}

/// Text as a raw terminal wants it.
pub(super) fn for_terminal(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}
