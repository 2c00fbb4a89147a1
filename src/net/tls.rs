//! Certificates: the server's own, and the trust that clients put in others.

use std::sync::Arc;

use rustls::{ClientConfig, ServerConfig};

use crate::config::Config;
use crate::flash::Flash;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file that cannot be used.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// The server's configuration from `[tls]`; with nothing configured, from `tls/` in the data folder,
/// where a local CA (`ca.pem`) and a certificate signed by it are made at the first start.
///
/// # Errors
/// A file that cannot be read or does not fit.
pub async fn server_config(_config: &Config, _flash: &dyn Flash) -> Result<Arc<ServerConfig>, TlsError> {
    todo!()
}

/// Trust in the built-in roots and in the PEM file `ca` (empty: none). A certificate in the file that
/// is the server's own pins exactly that certificate.
///
/// # Errors
/// A file that cannot be read or holds no certificate.
pub fn client_config(_ca: &str) -> Result<Arc<ClientConfig>, TlsError> {
    todo!()
}
