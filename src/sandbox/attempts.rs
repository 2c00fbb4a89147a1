//! For the tests of the sandbox, in builds for tests only: tries forbidden operations from inside.
#![allow(unsafe_code, reason = "nobody offers safe calls for what is forbidden")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it tries what is forbidden")]

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::ptr::null;

/// One line for each attempt: its name, and `done` or the system's error.
pub fn all(data: &Path) -> impl Iterator<Item = String> {
    deeds().into_iter().map(move |(name, deed)| match deed(data) {
        Ok(()) => format!("{name}: done"),
        Err(error) => format!("{name}: {error}"),
    })
}

type Deed = fn(&Path) -> io::Result<()>;

fn deeds() -> Vec<(&'static str, Deed)> {
    vec![
        // What the appliance needs is still possible.
        ("allowed: write mail", |data| fs::write(data.join("attempt"), "x")),
        ("allowed: a thread", |_| {
            std::thread::Builder::new().name("attempt".into()).spawn(|| ())?.join().map_err(|_| failed())
        }),
        ("allowed: a UDP socket", |_| UdpSocket::bind("127.0.0.1:0").map(drop)),
        ("allowed: a TCP socket", |_| {
            // SAFETY: the call takes numbers only.
            let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) };
            if socket < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
        }),
        ("allowed: more memory", |_| {
            let memory = vec![1u8; 8 << 20];
            if memory.len() == 8 << 20 { Ok(()) } else { Err(failed()) }
        }),
        ("allowed: a terminal asked for its settings", |_| match rustix::termios::tcgetattr(io::stdin()) {
            Err(rustix::io::Errno::PERM) => Err(rustix::io::Errno::PERM.into()),
            _ => Ok(()),
        }),
        // Starting programs and processes.
        ("start a program", |_| Command::new("/bin/true").status().map(drop)),
        ("fork", |_| call(libc::SYS_clone, &[libc::SIGCHLD as usize])),
        ("a user namespace", |_| call(libc::SYS_clone, &[(libc::SIGCHLD | libc::CLONE_NEWUSER) as usize])),
        ("a thread in a network namespace", |_| {
            let thread = libc::CLONE_THREAD | libc::CLONE_VM | libc::CLONE_SIGHAND;
            call(libc::SYS_clone, &[(thread | libc::CLONE_NEWNET) as usize])
        }),
        ("unshare", |_| call(libc::SYS_unshare, &[libc::CLONE_NEWUSER as usize])),
        ("trace", |_| call(libc::SYS_ptrace, &[0])),
        ("a signal to the parent", |_| {
            // SAFETY: the call has no arguments.
            let parent = unsafe { libc::getppid() } as usize;
            call(libc::SYS_tgkill, &[parent, parent, 0])
        }),
        ("kill the parent", |_| {
            // SAFETY: as above. Signal 0 has no effect.
            let parent = unsafe { libc::getppid() } as usize;
            call(libc::SYS_kill, &[parent, 0])
        }),
        ("the limits of another process", |_| call(libc::SYS_prlimit64, &[1, 7, 0, 0])),
        ("read another process", |_| call(libc::SYS_process_vm_readv, &[1, 0, 0, 0, 0, 0])),
        ("be dumped again", |_| call(libc::SYS_prctl, &[libc::PR_SET_DUMPABLE as usize, 1])),
        // Kernel interfaces.
        ("another io_uring", |_| {
            let mut parameters = [0u64; 15];
            call(libc::SYS_io_uring_setup, &[1, parameters.as_mut_ptr() as usize])
        }),
        ("io_uring_register", |_| call(libc::SYS_io_uring_register, &[0, 0, 0, 0])),
        ("bpf", |_| call(libc::SYS_bpf, &[0, 0, 0])),
        ("keyctl", |_| call(libc::SYS_keyctl, &[0, 0])),
        ("a userfaultfd", |_| call(libc::SYS_userfaultfd, &[0])),
        ("a performance counter", |_| call(libc::SYS_perf_event_open, &[0, 0, 0, 0, 0])),
        ("mount", |_| call(libc::SYS_mount, &[0, 0, 0, 0, 0])),
        // Sockets.
        ("a packet socket", |_| socket(libc::AF_PACKET, libc::SOCK_RAW)),
        ("a raw socket", |_| socket(libc::AF_INET, libc::SOCK_RAW)),
        ("a netlink socket", |_| socket(libc::AF_NETLINK, libc::SOCK_DGRAM)),
        ("a Bluetooth socket", |_| socket(libc::AF_BLUETOOTH, libc::SOCK_STREAM)),
        ("a crypto socket", |_| socket(libc::AF_ALG, libc::SOCK_SEQPACKET)),
        // Memory that is both written and executed.
        ("memory to run", |_| {
            let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
            map(protection).map(drop)
        }),
        ("run what was written", |_| {
            let page = map(libc::PROT_READ | libc::PROT_WRITE)?;
            call(libc::SYS_mprotect, &[page, 4096, (libc::PROT_READ | libc::PROT_EXEC) as usize])
        }),
        // Text typed into a terminal for its next reader.
        ("TIOCSTI", |_| call(libc::SYS_ioctl, &[0, libc::TIOCSTI as usize, c"x".as_ptr() as usize])),
        // Files that lead elsewhere.
        ("a symbolic link", |data| std::os::unix::fs::symlink("/etc/passwd", data.join("link"))),
        ("a hard link", |data| fs::hard_link(data.join("attempt"), data.join("again"))),
        ("a device", |data| {
            let path = std::ffi::CString::new(data.join("device").to_string_lossy().as_bytes())?;
            let at = libc::AT_FDCWD as usize;
            call(libc::SYS_mknodat, &[at, path.as_ptr() as usize, (libc::S_IFCHR | 0o600) as usize, 0x103])
        }),
        ("another root", |_| call(libc::SYS_chroot, &[c"/".as_ptr() as usize])),
        // Files and ports where these are limited (on a board).
        ("board: a file elsewhere", |_| fs::write("/var/tmp/pillarbox-attempt", "x")),
        ("board: listen on another port", |_| TcpListener::bind("127.0.0.1:0").map(drop)),
        ("board: connect to another port", |_| match TcpStream::connect("127.0.0.1:9") {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            other => other.map(drop),
        }),
    ]
}

fn failed() -> io::Error {
    io::Error::other("it failed")
}

fn call(number: libc::c_long, arguments: &[usize]) -> io::Result<()> {
    let at = |n: usize| arguments.get(n).copied().unwrap_or(0);
    // SAFETY: the filter refuses all these calls; if it lets one through, the test that asked for it fails.
    let result = unsafe { libc::syscall(number, at(0), at(1), at(2), at(3), at(4), at(5)) };
    if result == 0 && number == libc::SYS_clone {
        // The child of a fork that was not prevented.
        std::process::exit(0);
    }
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn socket(family: i32, kind: i32) -> io::Result<()> {
    call(libc::SYS_socket, &[family as usize, kind as usize, 0])
}

fn map(protection: i32) -> io::Result<usize> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: it is a new mapping, which nothing else uses.
    let page = unsafe { libc::mmap(null::<u8>().cast_mut().cast(), 4096, protection, flags, -1, 0) };
    if page == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(page as usize) }
}
