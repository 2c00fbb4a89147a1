//! The way out of every client: from a server's name to a connection that may carry a login. MultiPOP's collectors and the
//! smarthost's couriers go it alike.
//!
//! [`Route`] dials and secures, [`Login`] decides how to log in. What the server says from its greeting on is each protocol's
//! own: a state machine over its lines that says one [`Step`] after the other. How long a server is waited for each caller
//! says, and what else ends the wait.

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
