//! The limits of the running appliance: the files and ports that it can reach, and the system calls that it can make.
//!
//! An attacker who takes over the process by a defect cannot start programs, cannot see files besides the mail and
//! the configuration, cannot connect to services other than mail, and cannot make system calls that serving mail does
//! not need. The limits are set before the first thread starts, cannot be removed, and would hold for child
//! processes. The process's memory is not written to core files, and other processes of its user cannot read it.
//!
//! Both halves are best effort: an older kernel has neither (Landlock came with Linux 5.13). The appliance serves
//! mail there all the same, and says so in its log.

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

/// What is read besides the data folder: host names, time zones, certificate authorities, the system's information
/// about the process and its disks, and how the image was built.
const READ: [&str; 3] = ["/etc", "/proc", "/sys"];
/// The version of Landlock that is used (Linux 6.12); on an older kernel only what it supports.
const LANDLOCK: ABI = ABI::V6;

/// The TCP ports that are used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ports {
    /// Ports that are listened on.
    pub listen: BTreeSet<u16>,
    /// Ports of other machines that are connected to.
    pub connect: BTreeSet<u16>,
}

impl Ports {
    /// Whether these ports include all of `others`.
    pub fn hold(&self, others: &Ports) -> bool {
        self.listen.is_superset(&others.listen) && self.connect.is_superset(&others.connect)
    }
}

/// The ports that this process is limited to.
static PORTS: OnceLock<Ports> = OnceLock::new();

/// The access to the appliance's own files: they cannot be executed, and no links or devices can be made.
fn own_access() -> landlock::BitFlags<AccessFs> {
    let elsewhere = AccessFs::MakeSym | AccessFs::MakeBlock | AccessFs::MakeChar;
    AccessFs::from_all(LANDLOCK) & !(elsewhere | AccessFs::Execute)
}

/// Limits the system calls of the process, and protects its memory.
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

/// Limits the process to the files in and below `own`, and to reading those in and below `readable` and the system
/// files that an appliance needs. Paths that do not exist are ignored.
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

/// Limits the process to these TCP ports, so that an attacker who takes it over cannot reach other services at home.
/// More ports are possible only after a restart.
pub fn ports(ports: Ports) {
    let restrict = || {
        let rules = [(AccessNet::BindTcp, &ports.listen), (AccessNet::ConnectTcp, &ports.connect)];
        let rules = rules.into_iter().flat_map(|(access, ports)| {
            ports.iter().map(move |port| Ok::<_, RulesetError>(NetPort::new(*port, access)))
        });
        // A ruleset that does not allow moves between folders forbids them (landlock(7), `LANDLOCK_ACCESS_FS_REFER`).
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

/// Whether the kernel enforces the limits on `what`.
fn is_enforced(what: &str, outcome: Result<RestrictionStatus, RulesetError>) -> bool {
    match outcome.map(|status| status.ruleset) {
        Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced) => return true,
        Ok(RulesetStatus::NotEnforced) => log::info!("this kernel's Landlock does not limit {what}"),
        Err(error) => log::warn!("{what} are not limited: {error}"),
    }
    false
}
