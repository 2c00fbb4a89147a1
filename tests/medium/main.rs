//! What the appliance calls durable is on the medium: the real binary, and `Disk` alone, on a file system that records
//! every write and every sync, and tells what a power cut would leave.
//!
//! A kill leaves the kernel's page cache alone, and the simulated flash has no kernel: what lies between the two, the
//! files of Linux and the syncs through io_uring, is tested here.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

#[path = "../support/mod.rs"]
mod support;

mod acknowledged;
mod day;
mod disk;
mod filesystem;
mod medium;
mod moments;
mod recorder;
mod refused;
mod seen;
mod thread;
mod ways;
