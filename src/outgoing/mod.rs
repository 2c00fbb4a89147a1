//! The way from a server's name to a connection that can carry a login, for every client: MultiPOP's collectors and
//! the relay's connections to the smarthost.
//!
//! [`Route`] dials and secures the connection, [`Login`] decides how to log in. Each protocol has a state machine of
//! its own over the server's lines from the greeting on, which gives one [`Step`] after the other. The caller decides
//! how long a server is waited for, and what else ends the wait.

mod advice;
mod error;
mod login;
pub mod rhythm;
mod route;
pub mod shown;
mod step;
mod tls;

pub use crate::sasl::client::Bearer;
pub use advice::{PASSES, Party};
pub use error::Error;
pub use login::{About, Answer, Credentials, Habit, Login, Next, Offer, Proof};
pub use route::Route;
pub use step::Step;
pub use tls::Problem;
