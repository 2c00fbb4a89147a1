//! A filter for system calls, in the language of the kernel's packet filters (seccomp(2)).
//!
//! Some calls are allowed only with certain arguments: sockets only for TCP, UDP and the console, no memory that is
//! both writable and executable, no namespaces, no signals to other processes. Every other call fails with EPERM. The
//! process is not killed: a call that was forgotten here must not stop the mail service, and an error does not help
//! an attacker. The crates for such filters do not support 32-bit ARM, or need a C library; the program is a list of
//! numbers with one jump each.
#![allow(unsafe_code, reason = "libc has no safe call that installs a filter; see apply()")]

use std::io;

use libc::sock_filter;

use super::calls::{CALLS, MMAP, MORE};

/// The architecture whose calls the numbers mean (linux/audit.h): a process may also make the calls of another one.
const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") {
    0xc000_003e
} else if cfg!(target_arch = "aarch64") {
    0xc000_00b7
} else {
    0x4000_0028
};

/// The offset of the call's number in the filter's input (struct seccomp_data).
const NUMBER: u32 = 0;
/// The offset of the architecture in the filter's input.
const ARCH: u32 = 4;
/// The offset of the lower half of argument `n`: no call below uses more of it.
const fn argument(n: u32) -> u32 {
    16 + 8 * n
}

/// What an argument must be for a call to be allowed.
#[derive(Clone)]
enum Is {
    /// One of these values.
    OneOf(&'static [u32]),
    /// This value.
    Just(u32),
    /// None of these bits may be set.
    Without(u32),
    /// One of these bits must be set.
    With(u32),
    /// One of these values after masking with these bits.
    Masked(u32, &'static [u32]),
}

/// The bits of the socket type. The kernel also takes SOCK_NONBLOCK and SOCK_CLOEXEC in this argument.
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
/// Requests for terminals and serial lines, and for std's non-blocking files. TIOCSTI, which types text for others to
/// read, is not among them.
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
/// The names of a thread, and the names that glibc and the kernel give to memory.
const NAMES: &[u32] = &[libc::PR_SET_NAME as u32, libc::PR_GET_NAME as u32, libc::PR_SET_VMA as u32];

/// Calls that are allowed with certain arguments; each pair begins with the number of the argument. A call may be
/// listed twice.
fn conditions(process: u32) -> Vec<(libc::c_long, Vec<(u32, Is)>)> {
    const TCP_UDP: &[u32] = &[libc::SOCK_STREAM as u32, libc::SOCK_DGRAM as u32];
    const STREAM: &[u32] = &[libc::SOCK_STREAM as u32];
    const INTERNET: &[u32] = &[libc::AF_INET as u32, libc::AF_INET6 as u32];
    vec![
        (libc::SYS_socket, vec![(0, Is::OneOf(INTERNET)), (1, Is::Masked(SOCK_TYPE, TCP_UDP))]),
        (libc::SYS_socket, vec![(0, Is::Just(libc::AF_UNIX as u32)), (1, Is::Masked(SOCK_TYPE, STREAM))]),
        (libc::SYS_socketpair, vec![(0, Is::Just(libc::AF_UNIX as u32))]),
        // Only threads.
        (libc::SYS_clone, vec![(0, Is::With(libc::CLONE_THREAD as u32)), (0, Is::Without(NAMESPACES))]),
        (MMAP, vec![(2, Is::Without(libc::PROT_EXEC as u32))]),
        (libc::SYS_mprotect, vec![(2, Is::Without(libc::PROT_EXEC as u32))]),
        (libc::SYS_ioctl, vec![(1, Is::OneOf(REQUESTS))]),
        (libc::SYS_prctl, vec![(0, Is::OneOf(NAMES))]),
        (libc::SYS_prlimit64, vec![(0, Is::Just(0))]),
        (libc::SYS_prlimit64, vec![(0, Is::Just(process))]),
        (libc::SYS_tgkill, vec![(0, Is::Just(process))]),
        // musl uses this to abort.
        (libc::SYS_tkill, vec![(0, Is::Just(process))]),
    ]
}

/// Installs the filter for the calling thread and the threads that it starts.
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

/// The program compares the number of a call with one number after the other. The kernel computes once which calls
/// always pass, and runs the program only for the others (Linux 5.11), so its length costs nothing.
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
    // The flags of clone3 are in memory, where a filter cannot look. C libraries use clone if clone3 is missing.
    program.extend([
        jump_if(libc::SYS_clone3 as u32, 0, 1),
        answer(libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
    ]);
    for (call, arguments) in conditions(process) {
        // Each test that is met skips the following step, a jump behind the call's part, which is `None` until its
        // length is known.
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

/// Tests that skip the following step if one of `values` is met.
fn among(values: &[u32], jump_if: impl Fn(u32, u8, u8) -> sock_filter) -> Vec<sock_filter> {
    values.iter().enumerate().map(|(n, &value)| jump_if(value, (values.len() - n) as u8, 0)).collect()
}
