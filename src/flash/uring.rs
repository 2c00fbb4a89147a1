//! One io_uring for syncs.
#![allow(unsafe_code, reason = "submitting to io_uring is unsafe; see submit()")]

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use async_io::Async;
use event_listener::Event;
use io_uring::register::Restriction;
use io_uring::{IoUring, opcode, types};
use rustix::event::{EventfdFlags, eventfd};
use smol::future::or;

/// Syncs under way at once. Further syncs wait.
const ENTRIES: u32 = 16;

/// A sync that was submitted.
struct Ticket {
    /// The file, kept open until the kernel has finished the sync.
    _file: Rc<File>,
    state: State,
}

enum State {
    Waiting,
    /// The future was dropped: nothing waits for the answer.
    Abandoned,
    Done(i32),
}

/// Sends fdatasync to the kernel and waits for the answers.
pub struct Ring {
    uring: RefCell<IoUring>,
    /// The eventfd until it is first waited for: async-io starts its thread with the first descriptor that it gets.
    eventfd: Cell<Option<OwnedFd>>,
    completed: OnceCell<Async<OwnedFd>>,
    /// Wakes all waiters: the one that has read `completed` may have reaped the completions of others, and nothing
    /// else would tell them.
    settled: Event,
    tickets: RefCell<BTreeMap<u64, Ticket>>,
    next: Cell<u64>,
}

impl Ring {
    /// Sets the ring up. It accepts fsync and fdatasync and nothing else, for good (Linux 5.10).
    ///
    /// # Errors
    /// Errors of the kernel: `Unsupported` or `PermissionDenied` when it refuses io_uring.
    pub fn new() -> io::Result<Ring> {
        let uring = IoUring::builder().setup_r_disabled().build(ENTRIES)?;
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let submitter = uring.submitter();
        submitter.register_eventfd(eventfd.as_raw_fd())?;
        submitter.register_restrictions(&mut [Restriction::sqe_op(opcode::Fsync::CODE)])?;
        submitter.register_enable_rings()?;
        Ok(Ring {
            uring: RefCell::new(uring),
            eventfd: Cell::new(Some(eventfd)),
            completed: OnceCell::new(),
            settled: Event::new(),
            tickets: RefCell::default(),
            next: Cell::new(0),
        })
    }

    /// fdatasync(2) of `file`. It blocks when the kernel does not accept it. Dropping the future does not stop the
    /// sync.
    ///
    /// # Errors
    /// The kernel's error for the sync.
    pub async fn fdatasync(&self, file: Rc<File>) -> io::Result<()> {
        self.wait(|| (self.under_way() < ENTRIES as usize).then_some(())).await?;
        let ticket = self.next.get();
        self.next.set(ticket + 1);
        if self.submit(ticket, file.clone()).is_err() {
            // The kernel has no room for the entry now.
            return file.sync_data();
        }
        let waiting = Waiting { ring: self, ticket };
        let result = self.wait(|| waiting.answer()).await?;
        if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(()) }
    }

    /// Reaps completions until `probe` returns something.
    async fn wait<T>(&self, probe: impl Fn() -> Option<T>) -> io::Result<T> {
        loop {
            // Listen first and then look, so that no wake-up is missed.
            let settled = self.settled.listen();
            self.reap();
            if let Some(found) = probe() {
                return Ok(found);
            }
            let settled = async {
                settled.await;
                Ok(())
            };
            or(settled, self.completion()).await?;
        }
    }

    async fn completion(&self) -> io::Result<()> {
        let completed = self.completed()?;
        completed.readable().await?;
        // Resets the counter. Nothing is read when another waiter has read it.
        let mut count = [0; 8];
        let _ = rustix::io::read(completed.get_ref(), &mut count);
        Ok(())
    }

    fn completed(&self) -> io::Result<&Async<OwnedFd>> {
        if let Some(eventfd) = self.eventfd.take() {
            let completed = Async::new_nonblocking(eventfd)?;
            return Ok(self.completed.get_or_init(|| completed));
        }
        self.completed.get().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// The number of syncs that the kernel has not finished.
    fn under_way(&self) -> usize {
        let tickets = self.tickets.borrow();
        tickets.values().filter(|ticket| !matches!(ticket.state, State::Done(_))).count()
    }

    fn submit(&self, ticket: u64, file: Rc<File>) -> io::Result<()> {
        let entry = opcode::Fsync::new(types::Fd(file.as_raw_fd()))
            .flags(types::FsyncFlags::DATASYNC)
            .build()
            .user_data(ticket);
        self.tickets.borrow_mut().insert(ticket, Ticket { _file: file, state: State::Waiting });
        let mut uring = self.uring.borrow_mut();
        // SAFETY: the entry refers to no memory, only to a descriptor, which `tickets` keeps open until
        // the completion is reaped.
        let pushed = unsafe { uring.submission().push(&entry) };
        let submitted = pushed.map_err(io::Error::other).and_then(|()| uring.submit().map(drop));
        if submitted.is_err() {
            self.tickets.borrow_mut().remove(&ticket);
        }
        submitted
    }

    fn reap(&self) {
        let mut uring = self.uring.borrow_mut();
        let mut tickets = self.tickets.borrow_mut();
        let mut any = false;
        for completion in uring.completion() {
            any = true;
            let ticket = completion.user_data();
            match tickets.get_mut(&ticket).map(|ticket| &mut ticket.state) {
                Some(State::Abandoned) => drop(tickets.remove(&ticket)),
                Some(state) => *state = State::Done(completion.result()),
                None => {}
            }
        }
        if any {
            self.settled.notify(usize::MAX);
        }
    }
}

/// A claim on a ticket's answer, which is given up when the value is dropped.
struct Waiting<'a> {
    ring: &'a Ring,
    ticket: u64,
}

impl Waiting<'_> {
    fn answer(&self) -> Option<i32> {
        match self.ring.tickets.borrow().get(&self.ticket)?.state {
            State::Done(result) => Some(result),
            _ => None,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut tickets = self.ring.tickets.borrow_mut();
        match tickets.get_mut(&self.ticket).map(|ticket| &mut ticket.state) {
            Some(state @ State::Waiting) => *state = State::Abandoned,
            _ => drop(tickets.remove(&self.ticket)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a ring with which an attacker who has taken over the process could open or read files, past the
    /// filter of system calls.
    #[test]
    fn the_ring_takes_syncs_and_nothing_else() {
        let Ok(ring) = Ring::new() else { return };
        let mut uring = ring.uring.borrow_mut();
        // SAFETY: the entry refers to no memory and no descriptor.
        unsafe { uring.submission().push(&opcode::Nop::new().build()).unwrap() };
        uring.submit_and_wait(1).unwrap();
        assert_eq!(uring.completion().next().unwrap().result(), -rustix::io::Errno::ACCESS.raw_os_error());
        let refused = uring.submitter().register_files(&[0]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    }
}
