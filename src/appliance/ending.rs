//! How the appliance stops when it is told to: in order, and within seconds.
//!
//! No new connections are accepted. Clients hear a goodbye, and may finish the message that they are sending. A poll ends at
//! its next wait. Where a message has left for the smarthost, the reply is awaited, since without it the message would be sent
//! again. All of this is a courtesy: a power cut at any moment of it loses nothing that was acknowledged.

use std::time::Duration;

use async_io::Timer;
use smol::future::{or, zip};

use super::Appliance;
use crate::say::counted;

/// The longest that a planned end takes, since the smarthost may never answer. Supervisors have to allow a little more.
const PATIENCE: Duration = Duration::from_secs(30);
/// The time that polls have to end: they lose nothing when they are cut off.
const SOON: Duration = Duration::from_secs(1);
/// The time that clients have to close their connections, once nothing more is said to them.
pub(super) const CLOSING: Duration = Duration::from_millis(100);

impl Appliance {
    /// Stops everything that runs. Returns when no message is in doubt, or when `PATIENCE` is over.
    pub(super) async fn stop(&self) {
        let began = self.context.time.now();
        self.stopping.set(true);
        let open = self.listeners.borrow_mut().take_all();
        for accepting in open {
            accepting.cancel().await;
        }
        let Some(parts) = self.parts.get() else { return };
        self.context.places.stop();
        self.poller.stop(None);
        self.announcing.end().await;
        // A provider that replaces a refresh token no longer accepts the old one: the new one that it sends must not be lost.
        let renewals = or(self.tokens.rested(), elapsed(PATIENCE));
        let relayed = or(parts.relay.end(), elapsed(PATIENCE));
        let clients = async {
            or(self.context.places.parted(), elapsed(PATIENCE)).await;
            or(self.context.places.emptied(), elapsed(CLOSING)).await;
        };
        let polls = or(self.poller.rested(), elapsed(SOON));
        zip(zip(relayed, renewals), zip(clients, polls)).await;
        match parts.relay.in_doubt() {
            0 => log::info!(
                "the appliance has stopped after {} ms",
                self.context.time.since(began).as_millis()
            ),
            n => log::warn!(
                "of {} it is not known whether the smarthost has taken all: some may arrive twice",
                counted(n as u64, "message")
            ),
        }
    }
}

pub(super) async fn elapsed(time: Duration) {
    Timer::after(time).await;
}
