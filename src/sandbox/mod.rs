//! All that the running appliance may still do: the files and the ports it reaches, and the system calls it makes.
//!
//! Whoever takes over the daemon by a defect finds a process that cannot start a program, cannot see files
//! besides the mail and the configuration, cannot connect to other services than those of mail, and cannot ask the kernel for
//! anything that serving mail does not need. Applied before the first thread is started, and for good; children would inherit it, if there were any. Its memory
//! is in no core file, and no other process of its user may read it.
//!
//! Both halves are best effort: an older kernel has neither (Landlock came with Linux 5.13), and the
//! appliance serves mail there all the same, and says so in its log.

#[cfg(debug_assertions)]
pub mod attempts;
mod calls;
pub mod owner;
mod seccomp;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::OnceLock;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// What is read besides the data folder: names, time zones, certificate authorities, what the system says of the
/// process and its disks, and how the image was built.
const READ: [&str; 3] = ["/etc", "/proc", "/sys"];
/// The Landlock that is asked for (Linux 6.12); an older kernel is asked for what it has.
const LANDLOCK: ABI = ABI::V6;

/// TCP ports, by what is done with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ports {
    /// Those that are listened on.
    pub listen: BTreeSet<u16>,
    /// Those of other machines that are connected to.
    pub connect: BTreeSet<u16>,
}

impl Ports {
    /// Whether all of `others` are among these.
    pub fn hold(&self, others: &Ports) -> bool {
        self.listen.is_superset(&others.listen) && self.connect.is_superset(&others.connect)
    }
}

/// What this process is limited to.
static PORTS: OnceLock<Ports> = OnceLock::new();

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
    is_enforced("files", restrict());
}

/// Limits the process to these TCP ports: whoever takes it over cannot reach what else there is at home. It cannot get more
/// before its next start.
pub fn ports(ports: Ports) {
    let restrict = || {
        let rules = [(AccessNet::BindTcp, &ports.listen), (AccessNet::ConnectTcp, &ports.connect)];
        let rules = rules.into_iter().flat_map(|(access, ports)| {
            ports.iter().map(move |port| Ok::<_, RulesetError>(NetPort::new(*port, access)))
        });
        // What says nothing of names that go to another folder forbids them (landlock(7), `LANDLOCK_ACCESS_FS_REFER`).
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessNet::from_all(LANDLOCK))?
            .handle_access(AccessFs::Refer)?
            .create()?
            .add_rules(path_beneath_rules(["/"], AccessFs::Refer))?
            .add_rules(rules)?
            .restrict_self()
    };
    if is_enforced("TCP ports", restrict()) {
        PORTS.get_or_init(|| ports);
    }
}

/// The TCP ports that this process is limited to, if it is.
pub fn limited_to() -> Option<&'static Ports> {
    PORTS.get()
}

/// Whether the kernel limits `what` now.
fn is_enforced(what: &str, outcome: Result<RestrictionStatus, RulesetError>) -> bool {
    match outcome.map(|status| status.ruleset) {
        Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced) => return true,
        Ok(RulesetStatus::NotEnforced) => log::info!("this kernel's Landlock does not limit {what}"),
        Err(error) => log::warn!("{what} are not limited: {error}"),
    }
    false
}
