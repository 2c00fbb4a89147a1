//! The command line's side of the console socket. Blocking: it runs in a process of its own, never in the appliance's.

use std::fs;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Uid, geteuid};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::mail::{Job, hear};
use super::socket::{
    self, DONE, DUMB, FAILED, IMPORT, INTERACTIVE, LOCKED, MAIL, PASSWORD, SCRIPT, STATE, STATUS, STATUS_JSON,
};
use super::{SOCKET, state};
use crate::archive::{Progress, Watch};
use crate::config::{Config, file};
use crate::failure::Failure;
use crate::multipop::state::Taken;

/// How talking to the appliance ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No appliance is running on this data folder.
    #[error("no appliance is running on {0}: start one with `pillarbox run --data {0}`")]
    NotRunning(String),
    /// The appliance refused; its own words.
    #[error("{0}")]
    Refused(String),
    /// The appliance has stopped while somebody was at its console.
    #[error("the appliance has stopped")]
    Stopped,
    /// It belongs to another user.
    #[error("{0}: permission denied: run pillarbox as the user whom it belongs to")]
    NotYours(String),
    /// What the appliance said could not be printed, though it was done.
    #[error("standard output: {0}")]
    Output(io::Error),
    /// The socket failed.
    #[error("{path}: {source}")]
    Io {
        /// The socket.
        path: String,
        /// What the system says.
        source: io::Error,
    },
}

/// The operator's console on the terminal, or with commands from standard input when that is no terminal.
///
/// # Errors
/// As [`run`].
pub fn interactive(data: &Path) -> Result<(), Error> {
    if !io::stdin().is_terminal() {
        return converse(data, &unlocked(data, SCRIPT)?, true);
    }
    let raw = RawTerminal::new().map_err(|source| failed(data, source))?;
    let outcome = connect(data).and_then(|mut socket| {
        let talk = socket.write_all(greeting()).and_then(|()| pump(&socket, true));
        talk.map_err(|source| failed(data, source))
    });
    // Before anything else is said.
    drop(raw);
    let heard = outcome?;
    match heard.verdict.is_empty() && heard.output.is_ok() {
        true => Err(Error::Stopped),
        false => heard.printed(),
    }
}

/// A terminal that says that it is a dumb one is not asked anything.
fn greeting() -> &'static [u8] {
    match std::env::var_os("TERM") {
        Some(kind) if kind.is_empty() || kind == "dumb" => DUMB,
        _ => INTERACTIVE,
    }
}

/// Runs console commands, one after the other until one is refused, and prints what they say.
///
/// # Errors
/// No appliance, or a command was refused.
pub fn run(data: &Path, commands: &[String]) -> Result<(), Error> {
    let script = Zeroizing::new([SCRIPT, commands.join("\n").as_bytes(), b"\n"].concat());
    converse(data, &unlocked(data, &script)?, false)
}

/// Prints how everything stands.
///
/// # Errors
/// No appliance.
pub fn status(data: &Path, json: bool) -> Result<(), Error> {
    converse(data, if json { STATUS_JSON } else { STATUS }, false)
}

/// `request`, after the operator's password where it needs one: from the terminal, or the first line of standard input.
fn unlocked(data: &Path, request: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    match converse(data, LOCKED, false) {
        Ok(()) => return Ok(request.to_vec().into()),
        Err(Error::Refused(_)) => {}
        Err(error) => return Err(error),
    }
    let mut password = Zeroizing::new(Vec::with_capacity(1024));
    let asked = io::stdin().is_terminal().then(|| RawTerminal::silent().ok()).flatten();
    if asked.is_some() {
        eprint_prompt("operator's password: ");
    }
    // Octet by octet: what comes behind it is the script's.
    let mut octet = Zeroizing::new([0; 1]);
    while rustix::io::read(io::stdin(), &mut *octet).is_ok_and(|read| read == 1) && *octet != *b"\n" {
        if password.len() == password.capacity() {
            break;
        }
        password.push(octet[0]);
    }
    if asked.is_some() {
        eprint_prompt("\n");
    }
    if password.last() == Some(&b'\r') {
        password.pop();
    }
    if password.is_empty() {
        let why = "the operator's password is wanted, on the terminal or as the first line of standard input";
        return Err(Error::Refused(why.to_owned()));
    }
    Ok(Zeroizing::new([PASSWORD, password.as_slice(), b"\n", request].concat()))
}

/// Words that are no output: they go where they do not disturb it.
fn eprint_prompt(words: &str) {
    let _ = io::stderr().lock().write_all(words.as_bytes());
}

/// Whether an appliance runs on this data folder.
pub fn is_running(data: &Path) -> bool {
    !matches!(connect(data), Err(Error::NotRunning(_)))
}

/// Has the running appliance store `config` and put it in force.
///
/// # Errors
/// [`Error::Refused`] says why it does not: then nothing has changed.
pub fn import(data: &Path, config: &Config) -> Result<(), Error> {
    let octets = file::encode(config, 0).map_err(|source| failed(data, source))?;
    converse(data, &Zeroizing::new([IMPORT, &*octets].concat()), false)
}

/// Has the running appliance export or import mail, passes on to `watch` what it tells, and gives its last words.
///
/// # Errors
/// [`Error::NotRunning`]: the caller can do it itself.
pub fn mail(data: &Path, job: &Job, watch: &dyn Watch) -> Result<Result<String, Failure>, Error> {
    work(data, &[MAIL, &job.words()].concat(), watch)
}

/// Has the running appliance note what another program has collected.
///
/// # Errors
/// As [`mail`].
pub fn state(data: &Path, job: &state::Job) -> Result<Result<Taken, Failure>, Error> {
    let done = work(data, &[STATE, &job.words()].concat(), &Silent)?;
    Ok(done.and_then(|words| {
        state::taken(&words).ok_or_else(|| Failure::System(format!("the appliance answers {words:?}")))
    }))
}

/// Nobody looks on.
struct Silent;

impl Watch for Silent {
    fn progress(&self, _: Progress) {}
    fn tell(&self, _: String) {}
}

/// Sends `request`, passes on to `watch` what is told, and gives the verdict.
fn work(data: &Path, request: &[u8], watch: &dyn Watch) -> Result<Result<String, Failure>, Error> {
    let mut socket = connect(data)?;
    let mut talk = || {
        socket.write_all(request)?;
        socket.shutdown(Shutdown::Write)?;
        let mut answer = BufReader::new(&socket);
        let mut line = Vec::new();
        loop {
            line.clear();
            if answer.read_until(b'\n', &mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line.starts_with(&[0]) {
                answer.read_to_end(&mut line)?;
                return Ok(line.clone());
            }
            hear(String::from_utf8_lossy(&line).trim_end_matches('\n'), watch);
        }
    };
    Ok(verdict(&talk().map_err(|source| failed(data, source))?))
}

/// What the appliance has done, or why not.
pub(super) fn verdict(octets: &[u8]) -> Result<String, Failure> {
    let (kind, words) = octets.split_at(DONE.len().min(octets.len()));
    let words = String::from_utf8_lossy(words).into_owned();
    match kind {
        DONE => Ok(words),
        FAILED => Err(Failure::System(words)),
        _ => Err(Failure::Input(words)),
    }
}

/// Sends `request`, and standard input after it when that belongs to it, prints the answer, and takes the verdict at
/// its end.
fn converse(data: &Path, request: &[u8], with_input: bool) -> Result<(), Error> {
    let mut socket = connect(data)?;
    let mut talk = || {
        socket.write_all(request)?;
        if !with_input {
            socket.shutdown(Shutdown::Write)?;
        }
        pump(&socket, with_input)
    };
    let heard = talk().map_err(|source| failed(data, source))?;
    let verdict = &heard.verdict;
    match verdict.strip_prefix(DONE) {
        Some(_) => heard.printed(),
        None if verdict.is_empty() => {
            heard.printed()?;
            Err(failed(data, io::ErrorKind::UnexpectedEof.into()))
        }
        None => {
            let words = String::from_utf8_lossy(verdict.get(DONE.len()..).unwrap_or_default());
            Err(Error::Refused(words.trim_end().to_owned()))
        }
    }
}

pub(super) fn connect(data: &Path) -> Result<UnixStream, Error> {
    match UnixStream::connect(data.join(SOCKET)) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            substitute(data).ok_or_else(|| Error::NotRunning(data.display().to_string()))
        }
        other => other.map_err(|error| failed(data, error)),
    }
}

/// The socket of an appliance that could make no file. Anybody could have taken that name.
fn substitute(data: &Path) -> Option<UnixStream> {
    let stream = UnixStream::connect_addr(&socket::substitute(data).ok()?).ok()?;
    let owner = Uid::from_raw(fs::metadata(data).ok()?.uid());
    [owner, geteuid()].into_iter().any(|user| socket::is_owner(&stream, user)).then_some(stream)
}

pub(super) fn failed(data: &Path, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::PermissionDenied => Error::NotYours(data.display().to_string()),
        _ => Error::Io { path: data.join(SOCKET).display().to_string(), source },
    }
}

/// What came from the appliance.
struct Heard {
    /// From the NUL on.
    verdict: Vec<u8>,
    /// Whether what came before it could be printed.
    output: io::Result<()>,
}

impl Heard {
    /// A reader that has seen enough is no failure.
    fn printed(self) -> Result<(), Error> {
        match self.output {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
            _ => Ok(()),
        }
    }
}

/// Copies standard input to the socket (if `with_input`) and the socket to standard output, up to a NUL or its end.
/// Where nothing more can be printed, it waits for the verdict all the same; but nobody goes on typing without seeing
/// what comes of it.
fn pump(socket: &UnixStream, with_input: bool) -> io::Result<Heard> {
    let (stdin, mut stdout) = (io::stdin(), io::stdout().lock());
    let (mut reader, mut writer) = (socket, socket);
    let mut input_open = with_input;
    let (mut verdict, mut output) = (Vec::new(), Ok(()));
    let mut buffer = [0; 4096];
    loop {
        let mut ready = [PollFd::new(socket, PollFlags::IN), PollFd::new(&stdin, PollFlags::IN)];
        let watched = if input_open { &mut ready[..] } else { &mut ready[..1] };
        match poll(watched, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let [from_socket, from_stdin] = ready.map(|fd| !fd.revents().is_empty());
        if from_socket {
            let read = reader.read(&mut buffer)?;
            if read == 0 {
                return Ok(Heard { verdict, output });
            }
            let piece = &buffer[..read];
            let text = match verdict.is_empty() {
                true => piece.split(|&octet| octet == 0).next().unwrap_or_default(),
                false => &[],
            };
            verdict.extend(&piece[text.len()..]);
            if output.is_ok() {
                output = stdout.write_all(text).and_then(|()| stdout.flush());
            }
            if output.is_err() && with_input {
                return Ok(Heard { verdict, output });
            }
        }
        if input_open && from_stdin {
            let read = rustix::io::read(&stdin, &mut buffer)?;
            writer.write_all(&buffer[..read])?;
            if read == 0 {
                input_open = false;
                socket.shutdown(Shutdown::Write)?;
            }
        }
    }
}

/// The terminal of standard input, in another mode until dropped. Raw, every key goes to the appliance, which edits the
/// line.
struct RawTerminal(Termios);

impl RawTerminal {
    fn new() -> io::Result<RawTerminal> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(RawTerminal(before))
    }

    /// As it is, but that it does not show what is typed.
    fn silent() -> io::Result<RawTerminal> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &silent)?;
        Ok(RawTerminal(before))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
