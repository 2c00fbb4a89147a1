//! The card image, booted in QEMU the way a board boots it: from the SPL on. `make test-image` builds it and runs this;
//! `cargo test` passes it over, as an image takes minutes to build and each boot most of one.
//!
//! The console is printed as it comes, so that a failure shows what the owner would have seen.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

#[path = "../support/mod.rs"]
mod support;

mod device;
mod home;
mod ipv6;
mod mail;
mod ntp;
mod page;
mod recovery;
mod start;
mod stick;
mod trouble;
mod update;
