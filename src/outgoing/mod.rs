//! The way out of every client: from a server's name to a connection that may carry a login. MultiPOP's collectors and the
//! smarthost's couriers go it alike.
//!
//! [`Route`] dials and secures; what the server then says is each protocol's own. How long a server is waited for each caller
//! says, and what else ends the wait.

mod error;
mod route;

pub use error::Error;
pub use route::Route;
