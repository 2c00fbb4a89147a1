//! The operator's console: on the unix socket `console.sock` in the data folder and on a serial line.
//!
//! [`client`] is the other side of the socket, for the verbs of the command line.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use crate::config::Config;
use crate::flash::Space;

pub mod client;
pub mod line;

/// The socket's name in the data folder.
pub const SOCKET: &str = "console.sock";

/// What the console asks of the appliance that it operates.
pub trait Operator {
    /// Stores `config` with one write and puts it in force, without dropping sessions that keep their
    /// right. The error says in one line what forbids it; the configuration before it stays in force then.
    fn apply(&self, config: Config) -> Pin<Box<dyn Future<Output = Result<(), String>> + '_>>;
    /// Puts in force what another process has stored.
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + '_>>;
    /// How long the appliance has been running.
    fn uptime(&self) -> Duration;
    /// Every listener that is bound, by the names of `[listen]`.
    fn listeners(&self) -> Vec<(&'static str, SocketAddr)>;
    /// Room on the flash, where the system tells.
    fn space(&self) -> Option<Space>;
}
