//! HTTP for the LAN, plain or over TLS: client autoconfiguration, the pages, and updates.
//!
//! One request a connection. Without a login the pages tell nothing of persons, neither accounts nor logins nor who writes to
//! whom. Whoever is outside `server.lan` gets 403, and who asks for somebody else than this device 421. Passwords are
//! taken over TLS only.
//!
//! `request` reads, `authority` knows whom it is for, `session` who asks, `visit` brings these together, `pages` are what is
//! shown and done, and `words` what is said there.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

mod authority;
mod autoconfig;
mod autodiscover;
mod download;
mod form;
mod metrics;
mod multipart;
mod pages;
mod profile;
pub(crate) mod request;
mod session;
mod update;
mod visit;
mod words;

use std::borrow::Cow;
use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::access;
use crate::board::device::Ending;
use crate::clock::Time;
use crate::context::Context;
use crate::credential::random;
use crate::net::stream::Stream;
use crate::operator::Operator;
use authority::{Own, Sight};
use download::Download;
use form::Form;
use pages::permission::PendingPermissions;
use request::{Method, Request};
use session::Sessions;
use visit::Visit;

/// A request that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// RFC 9110 section 10.2.1.
const GET: &str = "Allow: GET, HEAD\r\n";

/// A reply (RFC 9112 section 4).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    status: &'static str,
    content_type: &'static str,
    /// Header fields besides those that every reply has.
    more: Cow<'static, str>,
    content: Vec<u8>,
    /// What follows, instead of a content.
    follows: Option<Download>,
}

impl Response {
    fn new(status: &'static str, content_type: &'static str, content: impl Into<Vec<u8>>) -> Response {
        Response { status, content_type, more: Cow::Borrowed(""), content: content.into(), follows: None }
    }

    fn page(content_type: &'static str, content: impl Into<Vec<u8>>) -> Response {
        Response::new("200 OK", content_type, content)
    }

    /// `download`, as it is made.
    fn download(content_type: &'static str, download: Download) -> Response {
        Response { follows: Some(download), ..Response::page(content_type, "") }
    }

    fn error(status: &'static str) -> Response {
        Response::words(status, status)
    }

    /// One line of text.
    fn words(status: &'static str, words: &str) -> Response {
        Response::new(status, "text/plain; charset=utf-8", format!("{words}\n"))
    }

    /// RFC 9110 section 15.5.6; `allow` is the field that says what is allowed.
    fn not_allowed(allow: &'static str) -> Response {
        Response::error("405 Method Not Allowed").with(allow)
    }

    /// RFC 9110 section 15.4.4: what was asked for is done, and there is what came of it.
    fn see_other(location: &str) -> Response {
        Response::words("303 See Other", location).with(format!("Location: {location}\r\n"))
    }

    /// With further header fields, each with its end.
    fn with(mut self, fields: impl Into<Cow<'static, str>>) -> Response {
        match self.more.is_empty() {
            true => self.more = fields.into(),
            false => self.more.to_mut().push_str(&fields.into()),
        }
        self
    }

    /// The content of one that is made of words.
    fn text(&self) -> Cow<'_, str> {
        match String::from_utf8_lossy(&self.content) {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim_end()),
            Cow::Owned(text) => Cow::Owned(text),
        }
    }

    fn head(&self) -> String {
        let length = match self.follows {
            Some(_) => "Transfer-Encoding: chunked".to_owned(),
            None => format!("Content-Length: {}", self.content.len()),
        };
        format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\n{length}\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nReferrer-Policy: same-origin\r\n\
             Content-Security-Policy: default-src 'none'; style-src '{}'; \
             base-uri 'none'; form-action 'self'; frame-ancestors 'none'\r\n\
             {}Connection: close\r\n\r\n",
            self.status,
            self.content_type,
            pages::style_hash(),
            self.more
        )
    }
}

/// The pages, and who is logged in there.
pub struct Site {
    operator: Rc<Operator>,
    sessions: RefCell<Sessions>,
    /// Of the tokens of forms that nobody is logged in for.
    key: [u8; 32],
    /// Permissions that are being asked for elsewhere.
    asked: RefCell<PendingPermissions>,
}

impl Site {
    /// Nobody is logged in.
    pub fn new(operator: Rc<Operator>) -> Rc<Site> {
        Rc::new(Site { operator, sessions: RefCell::default(), key: random(), asked: RefCell::default() })
    }
}

/// Serves one request, over TLS from the first octet where `implicit_tls` says so. `busy` is told when the connection is no
/// longer one that nobody would miss: an update comes in, or a backup goes out.
pub async fn serve(mut stream: Stream, implicit_tls: bool, site: &Site, busy: impl Fn()) {
    let context = &site.operator.context;
    let outcome = async {
        let asked = context.time.deadline(PATIENCE, async {
            if implicit_tls {
                stream.accept_tls(context.tls()).await?;
            }
            request::read(&mut stream).await
        });
        let (response, with_content) = match asked.await? {
            None => return Ok(false),
            Some(Err(response)) => (response, true),
            Some(Ok(mut request)) => match refusal(&request, context, stream.peer().ip()) {
                Some(response) => (response, request.method != Method::Head),
                None if request.method == Method::Put || update::is_uploaded(&request) => {
                    busy();
                    // Apart, as below: every connection, of any service, has room for the largest future.
                    let (taken, response) = match request.method {
                        Method::Put => Box::pin(update::put(&mut stream, context, &mut request)).await?,
                        _ => Box::pin(update::upload(&mut stream, site, &mut request)).await?,
                    };
                    let heard = answer(&mut stream, &response, true, &context.time).await;
                    return if taken { Ok(true) } else { heard.map(|()| false) };
                }
                None => {
                    let response = match Box::pin(respond(&mut stream, &mut request, site)).await? {
                        Response { follows: Some(_), .. } if request.is_http_1_0 => {
                            download::in_chunks_only()
                        }
                        response => response,
                    };
                    (response, request.method != Method::Head)
                }
            },
        };
        if let Some(download) = response.follows {
            busy();
            return Box::pin(download::send(&mut stream, site, &response, download)).await.map(|()| false);
        }
        answer(&mut stream, &response, with_content, &context.time).await.map(|()| false)
    };
    let outcome: io::Result<bool> = outcome.await;
    if let Err(error) = &outcome {
        log::debug!("http: {error}");
    }
    stream.close().await;
    if let (Ok(true), Some(device)) = (outcome, &context.device) {
        device.end(Ending::Update);
    }
}

async fn answer(stream: &mut Stream, response: &Response, with_content: bool, time: &Time) -> io::Result<()> {
    time.deadline(PATIENCE, async {
        stream.write(response.head().as_bytes()).await?;
        if with_content {
            stream.write(&response.content).await?;
        }
        stream.flush().await
    })
    .await
}

/// What who may not ask this gets.
fn refusal(request: &Request, context: &Context, peer: IpAddr) -> Option<Response> {
    let config = context.config();
    if !access::on_lan(&config, peer) {
        return Some(Response::error("403 Forbidden"));
    }
    let sight = Own::now(&config, context).sight(&request.authority);
    let is_settings = autoconfig::PATHS.contains(&request.path.as_str())
        || request.path.eq_ignore_ascii_case(autodiscover::PATH);
    let allowed = sight == Sight::Everything || sight == Sight::Autoconfiguration && is_settings;
    // RFC 9110 section 15.5.20. Its words are read by the page that asked, and so name nothing.
    let words = "this is no name of the appliance: ask for it by its host name or its address";
    (!allowed).then(|| Response::words("421 Misdirected Request", words))
}

/// What Outlook asks; a question without content gets the settings without a login.
async fn discover(stream: &mut Stream, request: &mut Request, site: &Site) -> io::Result<Response> {
    let context = &site.operator.context;
    let mut question = Default::default();
    if request.method == Method::Post {
        let content = request::content(stream, request, autodiscover::LONGEST);
        question = match context.time.deadline(PATIENCE, content).await? {
            Ok(content) => content,
            Err(response) => return Ok(response),
        };
    }
    let settings = autodiscover::settings(&context.config(), context.announced().as_deref(), &question);
    Ok(Response::page("text/xml; charset=utf-8", settings))
}

/// Reads what a form sends, and answers.
async fn respond(stream: &mut Stream, request: &mut Request, site: &Site) -> io::Result<Response> {
    let mut form = Form::default();
    if request.path.eq_ignore_ascii_case(autodiscover::PATH) {
        return discover(stream, request, site).await;
    }
    if request.path == metrics::PATH && matches!(request.method, Method::Get | Method::Head) {
        return Ok(metrics::page(site.operator.status()));
    }
    if request.method == Method::Post {
        if !pages::takes_forms(&request.path) {
            return Ok(Response::not_allowed(GET));
        }
        let time = &site.operator.context.time;
        let content = time.deadline(PATIENCE, request::content(stream, request, form::LONGEST));
        let content = match content.await? {
            Ok(content) => content,
            Err(response) => return Ok(response),
        };
        let kind = request.content_type.as_deref().unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Ok(Response::error("415 Unsupported Media Type"));
        }
        match Form::parse(&content) {
            Some(fields) => form = fields,
            None => return Ok(Response::error("400 Bad Request")),
        }
    }
    let visit = Visit::new(site, request, form, stream.peer().ip(), stream.is_tls());
    Ok(pages::respond(&visit).await)
}

#[cfg(test)]
pub(in crate::http) mod tests;
