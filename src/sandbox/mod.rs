//! All that the running appliance may still do: the files it reaches, and the system calls it makes.
//!
//! Whoever takes over the daemon by a defect finds a process that cannot start a program, cannot see files
//! besides the mail and the configuration, and cannot ask the kernel for anything that serving mail does not
//! need. Applied before the first thread is started, and for good; children would inherit it, if there were any. Its memory
//! is in no core file, and no other process of its user may read it.
//!
//! Both halves are best effort: an older kernel has neither (Landlock came with Linux 5.13), and the
//! appliance serves mail there all the same, and says so in its log.

#[cfg(debug_assertions)]
pub mod attempts;
mod calls;
pub mod owner;
mod seccomp;

use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    Scope, path_beneath_rules,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// What is read besides the data folder: names, time zones, certificate authorities, what the system says of the
/// process and its disks, and how the image was built.
const READ: [&str; 3] = ["/etc", "/proc", "/sys"];
/// The Landlock that is asked for (Linux 6.12); an older kernel is asked for what it has.
const LANDLOCK: ABI = ABI::V6;

/// What is done to files of one's own: nothing is started, and nothing is made that leads elsewhere.
fn own_access() -> landlock::BitFlags<AccessFs> {
    let elsewhere = AccessFs::MakeSym | AccessFs::MakeBlock | AccessFs::MakeChar;
    AccessFs::from_all(LANDLOCK) & !(elsewhere | AccessFs::Execute)
}

/// Limits the process to the system calls that it makes, and keeps its memory to itself.
pub fn system_calls() {
    let to_itself = set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .and_then(|()| setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }));
    if let Err(error) = to_itself {
        log::warn!("its memory may be in a core file: {error}");
    }
    let limited = rustix::thread::set_no_new_privs(true).map_err(Into::into).and_then(|()| seccomp::apply());
    if let Err(error) = limited {
        log::warn!("system calls are not limited: {error}");
    }
}

/// Limits the process to the files in and below `own`, and to reading those in and below `readable` and what an
/// appliance has to read of the system. Paths that do not exist are passed over.
pub fn files(readable: impl IntoIterator<Item = PathBuf>, own: impl IntoIterator<Item = PathBuf>) {
    let readable = READ.into_iter().map(PathBuf::from).chain(readable);
    let restrict = || {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(LANDLOCK))?
            .scope(Scope::AbstractUnixSocket | Scope::Signal)?
            .create()?
            .add_rules(path_beneath_rules(readable, AccessFs::ReadFile | AccessFs::ReadDir))?
            .add_rules(path_beneath_rules(own, own_access()))?
            .restrict_self()
    };
    match restrict().map(|status| status.ruleset) {
        Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced) => {}
        Ok(RulesetStatus::NotEnforced) => log::info!("this kernel has no Landlock: files are not limited"),
        Err(error) => {
            let error: landlock::RulesetError = error;
            log::warn!("files are not limited: {error}");
        }
    }
}
