//! The console's unix socket, for who may open the data folder.
//!
//! A client begins with one line that says what it wants: [`INTERACTIVE`], [`SCRIPT`], [`STATUS`], [`IMPORT`], [`MAIL`], [`BACKUP`], [`STATE`]
//! or [`LOCKED`]. The answer is text, ended by a verdict: [`DONE`], or [`REFUSED`] or [`FAILED`] and why. Without one the appliance
//! has stopped.
//!
//! Where an operator's password is set, the first two want it: a terminal is asked, a script has [`PASSWORD`] before it.

use std::io;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::rc::Rc;

use async_io::Async;
use rustix::net::sockopt::socket_peercred;
use rustix::process::{Uid, geteuid};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use super::line::Editor;
use super::{SOCKET, backup, mail, state, terminal};
use crate::config::file;
use crate::failure::Failure;
use crate::flash;
use crate::operator::Operator;
use crate::pace;
use crate::wiping;

/// Line editing and prompts, for a raw terminal.
pub const INTERACTIVE: &[u8] = b"interactive\n";
/// The same for one without escape sequences.
pub const DUMB: &[u8] = b"interactive dumb\n";
/// Lines of commands follow, up to the end of the stream.
pub const SCRIPT: &[u8] = b"script\n";
/// Settings follow, in the form of their file, which take the place of those in force.
pub const IMPORT: &[u8] = b"import\n";

/// Mail is to be exported or imported: see [`super::mail`].
pub const MAIL: &[u8] = b"mail\n";

/// A backup is to be made: see [`super::backup`].
pub const BACKUP: &[u8] = b"backup\n";

/// What other programs have collected is to be noted: see [`super::state`].
pub const STATE: &[u8] = b"state\n";

/// How everything stands, in words or as JSON. Needs no password: who may open the socket can read it in the folder.
pub const STATUS: &[u8] = b"status\n";
/// See [`STATUS`].
pub const STATUS_JSON: &[u8] = b"status json\n";
/// Whether [`SCRIPT`] needs the operator's password: [`REFUSED`] when it does.
pub const LOCKED: &[u8] = b"locked\n";
/// A line with the operator's password follows, then one of the others.
pub const PASSWORD: &[u8] = b"password\n";

/// Octets of a line before the work begins: a password fits.
const LONGEST_LINE: usize = 1024;

/// Everything was done; what follows are words about it.
pub const DONE: &[u8] = b"\x00+";
/// What follows says what was refused and why.
pub const REFUSED: &[u8] = b"\x00-";
/// What follows says what the system refused.
pub const FAILED: &[u8] = b"\x00!";

/// Binds `console.sock` in the data folder, mode 0600. One left over by a process that is gone is replaced. Where the flash
/// takes no changes, the socket has its `substitute` for a name.
///
/// # Errors
/// `AddrInUse` when another appliance serves on this folder, or what the system says.
pub fn bind(data: &Path) -> io::Result<Async<UnixListener>> {
    match bind_in(data) {
        Err(error) if flash::takes_no_changes(&error) => {
            log::warn!(
                "{SOCKET}: {}; the console is open to this user and root all the same",
                flash::words(&error)
            );
            Async::new(UnixListener::bind_addr(&substitute(data)?)?)
        }
        other => other,
    }
}

/// The name of the socket where there can be no file: an abstract one (unix(7)), which belongs to the data folder and
/// to no file system. It has no mode, so that both ends look who the other one is: see [`is_owner`].
pub(super) fn substitute(data: &Path) -> io::Result<SocketAddr> {
    let folder = std::fs::metadata(data)?;
    SocketAddr::from_abstract_name(format!("pillarbox {SOCKET} {:x}.{:x}", folder.dev(), folder.ino()))
}

/// Whether the other end runs as `user` or as root.
pub(super) fn is_owner(stream: impl AsFd, user: Uid) -> bool {
    socket_peercred(stream).is_ok_and(|peer| peer.uid.is_root() || peer.uid == user)
}

fn bind_in(data: &Path) -> io::Result<Async<UnixListener>> {
    let path = data.join(SOCKET);
    if UnixStream::connect(&path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Async::new(listener)
}

/// Lets operators in, forever.
pub async fn serve(listener: Async<UnixListener>, operator: Rc<Operator>) {
    let sessions = smol::LocalExecutor::new();
    let has_mode = listener.get_ref().local_addr().is_ok_and(|name| name.as_pathname().is_some());
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) if !has_mode && !is_owner(&stream, geteuid()) => {
                    log::warn!("console: another user was turned away");
                }
                Ok((stream, _)) => {
                    let operator = operator.clone();
                    sessions.spawn(async move { converse(&operator, stream).await }).detach();
                }
                Err(error) => {
                    log::warn!("console: {error}");
                    async_io::Timer::after(std::time::Duration::from_secs(1)).await;
                }
            }
        }
    };
    pace::run(&sessions, accept).await
}

/// One connection. That the other end has gone is its own business.
async fn converse(operator: &Operator, mut stream: Async<UnixStream>) {
    if let Err(error) = answer(operator, &mut stream).await {
        log::debug!("console: {error}");
    }
}

async fn answer(operator: &Operator, stream: &mut Async<UnixStream>) -> io::Result<()> {
    let mut pending = Zeroizing::new(Vec::new());
    let mut admitted = !operator.is_locked();
    let begun = loop {
        let begun = line(stream, &mut pending).await?;
        if begun.as_slice() != PASSWORD {
            break begun;
        }
        let password = line(stream, &mut pending).await?;
        admitted = operator.unlocks(password.strip_suffix(b"\n").unwrap_or(&password)).await;
        if !admitted {
            return stream.write_all(&[REFUSED, terminal::WRONG.as_bytes()].concat()).await;
        }
    };
    let rest = std::mem::take(&mut *pending);
    let outcome = match begun.as_slice() {
        b"" => return Ok(()),
        INTERACTIVE | DUMB => {
            let editor = if begun.as_slice() == DUMB { Editor::dumb() } else { Editor::default() };
            Ok(terminal::interactive(operator, &mut *stream, editor, rest, admitted).await?)
        }
        LOCKED | SCRIPT if !admitted => Err("the operator's password is wanted".to_owned()),
        LOCKED => Ok(()),
        SCRIPT => terminal::script(operator, &mut *stream, rest).await?,
        STATUS | STATUS_JSON => {
            let status = operator.status();
            let text = if begun.as_slice() == STATUS { status.to_string() } else { status.to_json() + "\n" };
            stream.write_all(text.as_bytes()).await?;
            Ok(())
        }
        IMPORT => import(operator, stream, rest).await?,
        MAIL | BACKUP | STATE => {
            let done = match begun.as_slice() {
                MAIL => mail::serve(operator, stream, rest).await?,
                BACKUP => Box::pin(backup::serve(operator, stream)).await?,
                _ => Box::pin(state::serve(operator, stream, rest)).await?,
            };
            let verdict = match done {
                Ok(words) => [DONE, words.as_bytes()].concat(),
                Err(Failure::System(why)) => [FAILED, why.as_bytes()].concat(),
                Err(failure) => [REFUSED, failure.words().as_bytes()].concat(),
            };
            return stream.write_all(&verdict).await;
        }
        _ => Err(
            "this console speaks another language: the appliance and the command are of different versions"
                .to_owned(),
        ),
    };
    match outcome {
        Ok(()) => stream.write_all(DONE).await,
        Err(why) => stream.write_all(&[REFUSED, why.as_bytes()].concat()).await,
    }
}

/// Reads settings behind `pending`, and puts them in force.
async fn import(
    operator: &Operator,
    stream: &mut Async<UnixStream>,
    pending: Vec<u8>,
) -> io::Result<Result<(), String>> {
    let mut octets = Zeroizing::new(pending);
    let mut piece = Zeroizing::new([0; 4096]);
    while octets.len() <= file::LARGEST {
        match stream.read(&mut *piece).await? {
            0 => break,
            read => wiping::append(&mut octets, &piece[..read]),
        }
    }
    Ok(match file::decode(&octets) {
        Ok((config, _)) => operator.import(config).await,
        Err(damage) => Err(format!("the settings did not come over whole: {damage}")),
    })
}

/// One line with its end, or what there is of it at the end of the stream or after too much. What comes behind it is
/// left in `pending`.
async fn line(
    stream: &mut Async<UnixStream>,
    pending: &mut Zeroizing<Vec<u8>>,
) -> io::Result<Zeroizing<Vec<u8>>> {
    while !pending.contains(&b'\n') && pending.len() < LONGEST_LINE {
        let mut piece = Zeroizing::new([0; 256]);
        match stream.read(&mut *piece).await? {
            0 => break,
            read => wiping::append(pending, &piece[..read]),
        }
    }
    let end = pending.iter().position(|&octet| octet == b'\n').map_or(pending.len(), |at| at + 1);
    let rest = Zeroizing::new(pending.split_off(end));
    Ok(std::mem::replace(pending, rest))
}
