//! What the thread of a test gives up, for good, and with it the threads and programs that it will start.
#![allow(unsafe_code, reason = "neither has a safe call; each tells why it is right")]

use std::cell::Cell;
use std::io;

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, set_no_new_privs, unshare_unsafe};

thread_local!(static APART: Cell<bool> = const { Cell::new(false) });

/// Mounts nothing any more that others see. What it has mounted goes away with it, also when the test is killed.
pub fn mount_apart() -> io::Result<()> {
    if APART.get() {
        return Ok(());
    }
    // SAFETY: only the table of mounts and the current folder become the thread's own, not its file descriptors.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    APART.set(true);
    Ok(())
}

/// Lets io_uring_setup(2) fail with ENOSYS.
pub fn refuse_io_uring() -> io::Result<()> {
    use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};
    let step = |code: u32, k: u32, jf: u8| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    let mut program = [
        // The number of the call is the first thing in struct seccomp_data.
        step(BPF_LD | BPF_W | BPF_ABS, 0, 0),
        step(BPF_JMP | BPF_JEQ | BPF_K, libc::SYS_io_uring_setup as u32, 1),
        step(BPF_RET | BPF_K, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32, 0),
        step(BPF_RET | BPF_K, libc::SECCOMP_RET_ALLOW, 0),
    ];
    set_no_new_privs(true)?;
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the kernel copies the program, whose length and place are those of the array above.
    let refused =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const filter) };
    if refused == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
