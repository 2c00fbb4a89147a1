//! The system calls of the appliance, as a filter in the kernel's packet-filter language (seccomp(2)).
//!
//! Some are made with certain arguments only: no sockets but those of TCP, UDP and the console, no memory that is both
//! filled and run, no namespaces, no word to another process. Every other call fails with EPERM. Not killed: a call that was forgotten here must not take the mail
//! service down, and whoever took over the process is not helped by an error. The crates for such filters
//! know no 32-bit ARM, or want a C library; the program is a list of numbers and one jump for each.
#![allow(unsafe_code, reason = "libc has no safe call that installs a filter; see apply()")]

use std::io;

use libc::sock_filter;

use super::calls::{CALLS, MMAP, MORE};

/// Which calls the numbers mean (linux/audit.h): a process may make the calls of another architecture, too.
const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") {
    0xc000_003e
} else if cfg!(target_arch = "aarch64") {
    0xc000_00b7
} else {
    0x4000_0028
};

/// Where in what the filter looks at the call's number and its architecture stand (struct seccomp_data).
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
/// The lower half of an argument: no call below takes more of it into account.
const fn argument(n: u32) -> u32 {
    16 + 8 * n
}

/// What an argument must be for a call to be made.
#[derive(Clone)]
enum Is {
    /// One of these.
    OneOf(&'static [u32]),
    /// This.
    Just(u32),
    /// None of these bits is set.
    Without(u32),
    /// One of these bits is set.
    With(u32),
    /// One of these once these bits are masked.
    Masked(u32, &'static [u32]),
}

/// The kernel takes more bits than the type: SOCK_NONBLOCK and SOCK_CLOEXEC.
const SOCK_TYPE: u32 = 0xf;
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32
    | CLONE_NEWTIME;
const CLONE_NEWTIME: u32 = 0x80;
/// Terminals and serial lines, and how std makes a file non-blocking. Not TIOCSTI, which types what others read.
const REQUESTS: &[u32] = &[
    libc::FIONBIO as u32,
    libc::TCGETS as u32,
    libc::TCSETS as u32,
    libc::TCSETSW as u32,
    libc::TCSETSF as u32,
    libc::TCGETS2 as u32,
    libc::TCSETS2 as u32,
    libc::TCSETSW2 as u32,
    libc::TCSETSF2 as u32,
    libc::TIOCGWINSZ as u32,
];
/// A thread's name, and glibc's and the kernel's name for memory.
const NAMES: &[u32] = &[libc::PR_SET_NAME as u32, libc::PR_GET_NAME as u32, libc::PR_SET_VMA as u32];

/// Calls that are made with certain arguments: of each pair the number of the argument. A call may stand here twice.
fn conditions(process: u32) -> Vec<(libc::c_long, Vec<(u32, Is)>)> {
    const TCP_UDP: &[u32] = &[libc::SOCK_STREAM as u32, libc::SOCK_DGRAM as u32];
    const STREAM: &[u32] = &[libc::SOCK_STREAM as u32];
    const INTERNET: &[u32] = &[libc::AF_INET as u32, libc::AF_INET6 as u32];
    vec![
        (libc::SYS_socket, vec![(0, Is::OneOf(INTERNET)), (1, Is::Masked(SOCK_TYPE, TCP_UDP))]),
        (libc::SYS_socket, vec![(0, Is::Just(libc::AF_UNIX as u32)), (1, Is::Masked(SOCK_TYPE, STREAM))]),
        (libc::SYS_socketpair, vec![(0, Is::Just(libc::AF_UNIX as u32))]),
        // Threads, and nothing else.
        (libc::SYS_clone, vec![(0, Is::With(libc::CLONE_THREAD as u32)), (0, Is::Without(NAMESPACES))]),
        (MMAP, vec![(2, Is::Without(libc::PROT_EXEC as u32))]),
        (libc::SYS_mprotect, vec![(2, Is::Without(libc::PROT_EXEC as u32))]),
        (libc::SYS_ioctl, vec![(1, Is::OneOf(REQUESTS))]),
        (libc::SYS_prctl, vec![(0, Is::OneOf(NAMES))]),
        (libc::SYS_prlimit64, vec![(0, Is::Just(0))]),
        (libc::SYS_prlimit64, vec![(0, Is::Just(process))]),
        (libc::SYS_tgkill, vec![(0, Is::Just(process))]),
        // How musl aborts.
        (libc::SYS_tkill, vec![(0, Is::Just(process))]),
    ]
}

/// Installs the filter for the calling thread and those that it will start.
///
/// # Errors
/// The kernel has no filters, or refuses this one.
pub fn apply() -> io::Result<()> {
    let mut program = program(std::process::id());
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let filter = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    // SAFETY: the kernel copies the program, whose length and place are those of the vector above.
    let refused = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_LOG,
            &filter,
        )
    };
    if refused == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Compares the number with one after the other. The kernel works out once which numbers always pass, and asks the
/// program for the others only (Linux 5.11), so that its length costs nothing.
fn program(process: u32) -> Vec<sock_filter> {
    use libc::{
        BPF_ABS, BPF_ALU, BPF_AND, BPF_JA, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W,
    };
    let step = |code: u32, k: u32, jt: u8, jf: u8| sock_filter { code: code as u16, jt, jf, k };
    let load = |offset| step(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
    let answer = |answer| step(BPF_RET | BPF_K, answer, 0, 0);
    let jump_if = |value, jt, jf| step(BPF_JMP | BPF_JEQ | BPF_K, value, jt, jf);
    let refused = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    let mut program = vec![load(ARCH), jump_if(ARCHITECTURE, 1, 0), answer(refused), load(NUMBER)];
    for &call in CALLS.iter().chain(MORE) {
        program.extend([jump_if(call as u32, 0, 1), answer(libc::SECCOMP_RET_ALLOW)]);
    }
    // Its flags are in memory, where no filter looks. C libraries take clone where it is not there.
    program.extend([
        jump_if(libc::SYS_clone3 as u32, 0, 1),
        answer(libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
    ]);
    for (call, arguments) in conditions(process) {
        // Each test passes over the step behind it when it is met: a jump behind the call's part, `None` so far.
        let mut part: Vec<Option<sock_filter>> = Vec::new();
        for (number, is) in arguments {
            part.push(Some(load(argument(number))));
            let test = match is {
                Is::Just(value) => vec![jump_if(value, 1, 0)],
                Is::OneOf(values) => among(values, jump_if),
                Is::Masked(mask, values) => {
                    let mut steps = vec![step(BPF_ALU | BPF_AND | BPF_K, mask, 0, 0)];
                    steps.extend(among(values, jump_if));
                    steps
                }
                Is::Without(bits) => vec![step(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1)],
                Is::With(bits) => vec![step(BPF_JMP | BPF_JSET | BPF_K, bits, 1, 0)],
            };
            part.extend(test.into_iter().map(Some));
            part.push(None);
        }
        part.push(Some(answer(libc::SECCOMP_RET_ALLOW)));
        let len = part.len();
        program.push(jump_if(call as u32, 0, len as u8));
        let jump = |at: usize| step(BPF_JMP | BPF_JA | BPF_K, (len - at - 1) as u32, 0, 0);
        program.extend(part.into_iter().enumerate().map(|(at, step)| step.unwrap_or_else(|| jump(at))));
        program.push(load(NUMBER));
    }
    program.push(answer(refused));
    program
}

/// Passes over the step behind it where one of `values` is met.
fn among(values: &[u32], jump_if: impl Fn(u32, u8, u8) -> sock_filter) -> Vec<sock_filter> {
    values.iter().enumerate().map(|(n, &value)| jump_if(value, (values.len() - n) as u8, 0)).collect()
}
