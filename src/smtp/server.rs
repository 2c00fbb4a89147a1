//! The loop that moves octets between a client and its session.

use std::rc::Rc;

use super::{Post, Role};
use crate::context::Context;
use crate::net::stream::Stream;

/// Serves one connection, from the TLS handshake or the greeting to the goodbye.
pub async fn serve(_stream: Stream, _role: Role, _context: Rc<Context>, _post: Rc<dyn Post>) {
    todo!()
}
