//! The system calls of the appliance, as a filter in the kernel's packet-filter language (seccomp(2)).
//!
//! Every other call fails with EPERM. Not killed: a call that was forgotten here must not take the mail
//! service down, and whoever took over the process is not helped by an error. The crates for such filters
//! know no 32-bit ARM, or want a C library; the program is a list of numbers and one jump for each.
#![allow(unsafe_code, reason = "libc has no safe call that installs a filter; see apply()")]

use std::io;

use libc::sock_filter;

/// Calls that exist on every architecture.
const CALLS: &[libc::c_long] = &[
    // Sockets.
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_listen,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_socket,
    libc::SYS_socketpair,
    // Waiting for them.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    // Files.
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_faccessat,
    FADVISE,
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_ioctl,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_renameat2,
    libc::SYS_statx,
    libc::SYS_umask,
    libc::SYS_unlinkat,
    libc::SYS_utimensat,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    // Memory, threads (async-io has one of its own), time.
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_gettimeofday,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_prctl,
    libc::SYS_prlimit64,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
    libc::SYS_tkill,
    libc::SYS_uname,
];

/// Calls that go by another name, or exist twice, where the architecture is old enough.
#[cfg(target_arch = "x86_64")]
const MORE: &[libc::c_long] = &[
    libc::SYS_access,
    libc::SYS_arch_prctl,
    libc::SYS_chmod,
    libc::SYS_epoll_wait,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_getrlimit,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_mmap,
    libc::SYS_newfstatat,
    libc::SYS_open,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_rmdir,
    libc::SYS_rseq,
    libc::SYS_setrlimit,
    libc::SYS_stat,
    libc::SYS_statfs,
    libc::SYS_unlink,
];
#[cfg(target_arch = "aarch64")]
const MORE: &[libc::c_long] = &[
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_mmap,
    libc::SYS_newfstatat,
    libc::SYS_renameat,
    libc::SYS_rseq,
    libc::SYS_statfs,
];
#[cfg(target_arch = "arm")]
const MORE: &[libc::c_long] = &[
    libc::SYS__llseek,
    libc::SYS_access,
    libc::SYS_chmod,
    libc::SYS_epoll_wait,
    libc::SYS_fcntl64,
    libc::SYS_fstat64,
    libc::SYS_fstatat64,
    libc::SYS_fstatfs64,
    libc::SYS_ftruncate64,
    libc::SYS_geteuid32,
    libc::SYS_getuid32,
    libc::SYS_lstat64,
    libc::SYS_mkdir,
    libc::SYS_mmap2,
    libc::SYS_open,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_rmdir,
    libc::SYS_setrlimit,
    libc::SYS_sigreturn,
    libc::SYS_stat64,
    libc::SYS_statfs64,
    libc::SYS_ugetrlimit,
    libc::SYS_unlink,
    // With 64-bit times, as musl makes them; libc has no names for these there (asm-generic/unistd.h).
    403, // clock_gettime64
    406, // clock_getres_time64
    407, // clock_nanosleep_time64
    411, // timerfd_settime64
    412, // utimensat_time64
    414, // ppoll_time64
    417, // recvmmsg_time64
    422, // futex_time64
];

#[cfg(not(target_arch = "arm"))]
const FADVISE: libc::c_long = libc::SYS_fadvise64;
#[cfg(target_arch = "arm")]
const FADVISE: libc::c_long = 270; // arm_fadvise64_64; libc has no name for it with musl

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

/// Installs the filter for the calling thread and those that it will start.
///
/// # Errors
/// The kernel has no filters, or refuses this one.
pub fn apply() -> io::Result<()> {
    let mut program = program();
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
fn program() -> Vec<sock_filter> {
    use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};
    let step = |code: u32, k: u32, jt: u8, jf: u8| sock_filter { code: code as u16, jt, jf, k };
    let load = |offset| step(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
    let answer = |answer| step(BPF_RET | BPF_K, answer, 0, 0);
    let jump_if = |value, jt, jf| step(BPF_JMP | BPF_JEQ | BPF_K, value, jt, jf);
    let mut program = vec![
        load(ARCH),
        jump_if(ARCHITECTURE, 1, 0),
        answer(libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        load(NUMBER),
    ];
    for &call in CALLS.iter().chain(MORE) {
        program.extend([jump_if(call as u32, 0, 1), answer(libc::SECCOMP_RET_ALLOW)]);
    }
    program.push(answer(libc::SECCOMP_RET_ERRNO | libc::EPERM as u32));
    program
}
