//! The system calls that the appliance may make, by number.

/// Calls that exist on every architecture.
pub(super) const CALLS: &[libc::c_long] = &[
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
    // Waiting.
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
    // Memory, threads (async-io has one), time.
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
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
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sigaltstack,
    libc::SYS_uname,
];

/// Calls with other names, or in two versions, on older architectures.
#[cfg(target_arch = "x86_64")]
pub(super) const MORE: &[libc::c_long] = &[
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
    libc::SYS_newfstatat,
    libc::SYS_open,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_rmdir,
    libc::SYS_rseq,
    libc::SYS_stat,
    libc::SYS_statfs,
    libc::SYS_unlink,
];
#[cfg(target_arch = "aarch64")]
pub(super) const MORE: &[libc::c_long] = &[
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_newfstatat,
    libc::SYS_renameat,
    libc::SYS_rseq,
    libc::SYS_statfs,
];
#[cfg(target_arch = "arm")]
pub(super) const MORE: &[libc::c_long] = &[
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
    libc::SYS_open,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_rmdir,
    libc::SYS_sigreturn,
    libc::SYS_stat64,
    libc::SYS_statfs64,
    libc::SYS_ugetrlimit,
    libc::SYS_unlink,
    // With 64-bit times, as musl makes them. libc has no names for them here (asm-generic/unistd.h).
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

/// The call that maps memory.
#[cfg(not(target_arch = "arm"))]
pub(super) const MMAP: libc::c_long = libc::SYS_mmap;
#[cfg(target_arch = "arm")]
pub(super) const MMAP: libc::c_long = libc::SYS_mmap2;
