//! One request to a server of OAuth 2.0.

use std::time::Duration;

use zeroize::Zeroizing;

use super::Error;
use super::answer::Answer;
use super::form::Form;
use crate::clock::Time;
use crate::config::{Endpoint, Security};
use crate::outgoing::{self, Route};

/// The time for the name, for the connection, for TLS, and for the whole exchange.
const PATIENCE: Duration = Duration::from_secs(30);

/// Posts `form` to `url`. Returns the status of the response and its content. `ca` is a PEM file with further trusted
/// certificates.
///
/// # Errors
/// No connection, a server that is not trusted, or an invalid response.
pub async fn post(url: &str, form: &Form, ca: &str, time: &Time) -> Result<(u16, Zeroizing<Vec<u8>>), Error> {
    let endpoint = Endpoint::parse(url).ok_or(Error::Settings("the address of the token server is none"))?;
    if !endpoint.tls && !endpoint.is_loopback() {
        return Err(Error::Settings("the token server's address does not begin with https://"));
    }
    let at = |source| Error::Server { host: endpoint.host.to_owned(), source };
    let security = if endpoint.tls { Security::Tls } else { Security::None };
    let route = Route { host: endpoint.host, port: endpoint.port, security, ca, protocol: "http" };
    let mut stream = route.dial(PATIENCE, time).await.map_err(at)?;
    let head = head(&endpoint, form.text().len());
    let mut answer = Answer::new();
    let exchange = async {
        stream.write(head.as_bytes()).await?;
        stream.write(form.text().as_bytes()).await?;
        stream.flush().await?;
        loop {
            let octets = stream.fill().await?;
            if octets.is_empty() {
                return Ok(Ok(()));
            }
            let (n, taken) = (octets.len(), answer.take(octets));
            stream.consume(n);
            match taken {
                Ok(false) => {}
                Ok(true) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            }
        }
    };
    let exchanged = time.deadline(PATIENCE, exchange).await;
    exchanged.map_err(|error| at(outgoing::Error::from(error)))??;
    answer.end()
}

fn head(endpoint: &Endpoint<'_>, length: usize) -> String {
    let Endpoint { tls, host, port, target } = endpoint;
    let host = if host.contains(':') { format!("[{host}]") } else { (*host).to_owned() };
    let host = match (tls, port) {
        (true, 443) | (false, 80) => host,
        _ => format!("{host}:{port}"),
    };
    format!(
        "POST {target} HTTP/1.1\r\n\
         Host: {host}\r\n\
         User-Agent: Pillarbox\r\n\
         Accept: application/json\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {length}\r\n\
         Connection: close\r\n\
         \r\n"
    )
}
