//! The pages: one file each. The template of a page has the same name and stands beside it.
//!
//! Templates escape what they show (askama), so that text from others never becomes markup. No page needs a script.

mod account;
mod accounts;
mod backup;
mod certificate;
pub(super) mod fields;
mod first;
mod login;
mod mine;
mod people;
pub(super) mod permission;
mod queue;
mod server;
mod sessions;
mod source;
mod start;
pub(super) mod update;

use askama::Template;
use data_encoding::BASE64;
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::session::Person;
use super::visit::{FieldErrors, Outcome, Visit};
use super::words::Words;
use super::{GET, Response, autoconfig, profile};
use crate::operator::qr;
use crate::operator::reach::Scheme;
use crate::operator::status::span;
use fields::STARS;

/// The one style sheet, inside each page: another request would cost another TLS handshake.
const STYLE: &str = include_str!("style.css");

/// The source expression that allows this style sheet and no other (CSP level 3 section 2.3.1).
pub fn style_hash() -> String {
    format!("sha256-{}", BASE64.encode(digest(&SHA256, STYLE.as_bytes()).as_ref()))
}

/// The beginning of all pages. Its template is in the binary once, as a template of its own: `extends` alone would copy it
/// into each.
#[derive(Template)]
#[template(path = "top.html")]
struct Frame {
    words: &'static Words,
    title: String,
    style: &'static str,
    token: String,
    /// The tabs: address, name, and whether it is this page.
    tabs: Vec<(&'static str, &'static str, bool)>,
    logged_in: bool,
    notice: Option<Zeroizing<String>>,
    /// How long the settings in force stay on trial, for a person who may confirm them.
    on_trial: Option<String>,
}

impl Frame {
    fn new(visit: &Visit<'_>, title: &str) -> Frame {
        let words = visit.words;
        let tabs: &[(&str, &str)] = match visit.person() {
            Some(Person::Operator) => &[
                ("/", words.start),
                ("/accounts", words.accounts),
                ("/server", words.server),
                ("/queue", words.queue),
                ("/sessions", words.sessions),
            ],
            Some(Person::User(_)) => &[("/", words.start), ("/mine", words.mine)],
            None => &[("/", words.start)],
        };
        let path = visit.request.path.as_str();
        let is_here = |tab: &str| path == tab || tab != "/" && path.starts_with(&format!("{tab}/"));
        let on_trial = visit.operator().on_trial().filter(|_| visit.is_operator());
        Frame {
            words,
            title: title.to_owned(),
            style: STYLE,
            token: visit.token(),
            tabs: tabs.iter().map(|(path, name)| (*path, *name, is_here(path))).collect(),
            logged_in: visit.person().is_some(),
            notice: visit.notice(),
            on_trial: on_trial.map(|time| span(time.as_secs())),
        }
    }
}

/// A response with the page that `template` makes.
fn shown(template: &impl Template) -> Response {
    shown_as("200 OK", template)
}

/// A response with a page where something has to be mended (RFC 9110 section 15.5.21).
fn to_be_mended(template: &impl Template) -> Response {
    shown_as("422 Unprocessable Content", template)
}

fn shown_as(status: &'static str, template: &impl Template) -> Response {
    match template.render() {
        Ok(page) => Response::new(status, "text/html; charset=utf-8", page),
        Err(error) => {
            log::error!("a page cannot be made: {error}");
            Response::error("500 Internal Server Error")
        }
    }
}

/// A link as a picture for the camera of a telephone (QR code).
struct Code {
    link: String,
    /// The attribute `d` of the picture's SVG path. The picture is `width` wide and high.
    path: String,
    width: i32,
}

impl Code {
    /// The picture of `link`; `None` where `link` is empty, or too long for any code.
    fn of(link: String) -> Option<Code> {
        let (path, width) = Some(&link).filter(|link| !link.is_empty()).and_then(|link| qr::path(link))?;
        Some(Code { link, path, width })
    }
}

/// A page with a short text, and addresses where the visitor can continue.
#[derive(Template)]
#[template(path = "told.html")]
struct Told<'a> {
    frame: Frame,
    /// The class in the style sheet: `good`, `bad`, or empty for neither.
    kind: &'static str,
    text: &'a str,
    addresses: Vec<String>,
}

/// The response to a form that is no longer accepted: a visitor whose session has ended has to log in again.
pub(super) fn stale(visit: &Visit<'_>) -> Response {
    match visit.person() {
        None => login::again(visit),
        Some(_) => {
            let frame = Frame::new(visit, visit.words.not_saved);
            shown_as(
                "403 Forbidden",
                &Told { frame, kind: "bad", text: visit.words.form_is_old, addresses: Vec::new() },
            )
        }
    }
}

/// A question before a change that would shut out whoever makes it. It holds the whole form once more, except its secrets.
#[derive(Template)]
#[template(path = "sure.html")]
struct Sure<'a> {
    frame: Frame,
    why: &'static str,
    path: &'a str,
    fields: Vec<(&'a str, &'a str)>,
}

/// The addresses of the pages with the settings in force now.
fn addresses(visit: &Visit<'_>) -> Vec<String> {
    let context = &visit.operator().context;
    let config = context.config();
    let host = crate::certificate::name_for_clients(&config, context.announced().as_deref());
    let ports =
        config.listen.https.iter().map(std::net::SocketAddr::port).collect::<std::collections::BTreeSet<_>>();
    ports.into_iter().map(|port| Scheme::Https.site(&host, port) + "/").collect()
}

/// The response to changes that the form of this visit has made. `mended` makes it where something is wrong.
fn after(
    visit: &Visit<'_>,
    outcome: Outcome,
    location: &str,
    mended: impl FnOnce(FieldErrors) -> Response,
) -> Response {
    match outcome {
        Outcome::Done(warnings) if warnings.is_empty() => visit.go(location, visit.words.saved),
        Outcome::Done(warnings) => {
            visit.go(location, &format!("{} {}", visit.words.saved, warnings.join("; ")))
        }
        Outcome::FieldErrors(wrong) => mended(wrong),
        Outcome::ShutsOut(why) => {
            // The session keeps the secret that was typed, so the page need not hold it.
            let is_secret = |name: &str| {
                !name.starts_with("was.") && (name.ends_with("password") || name.ends_with("secret"))
            };
            let hidden = |(name, typed)| match name {
                "token" => None,
                name if is_secret(name) && !str::is_empty(typed) => Some((name, STARS)),
                name => Some((name, typed)),
            };
            let fields = visit.form.fields().filter_map(hidden).collect();
            let frame = Frame::new(visit, visit.words.are_you_sure);
            shown(&Sure { frame, why, path: &visit.request.path, fields })
        }
        Outcome::OnTrial => {
            let frame = Frame::new(visit, visit.words.on_trial);
            shown(&Told { frame, kind: "", text: visit.words.trial_how, addresses: addresses(visit) })
        }
    }
}

/// Answers a request.
pub async fn respond(visit: &Visit<'_>) -> Response {
    let path = visit.request.path.as_str();
    if visit.is_post() && !takes_forms(path) {
        return Response::not_allowed(GET);
    }
    if let Some(response) = open(visit, path) {
        return response;
    }
    if path == "/" {
        return start::page(visit);
    }
    if !takes_forms(path) {
        return Response::error("404 Not Found");
    }
    // The pages from here on have passwords.
    if !visit.is_tls {
        return match visit.https() {
            Some(https) => Response::see_other(&format!("{https}{path}")),
            None => Response::words("403 Forbidden", visit.words.https_is_off),
        };
    }
    if let Some(response) = visit.foreign_form() {
        return response;
    }
    match path {
        "/first" | "/first/mail" => return first::page(visit, path).await,
        "/login" => return login::page(visit).await,
        "/logout" if visit.is_post() => return visit.log_out(),
        _ => {}
    }
    let Some(person) = visit.person() else { return Response::see_other("/login") };
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (person, parts.as_slice()) {
        (person, ["profile", file]) => match file.strip_suffix(".mobileconfig") {
            Some(name) if *person == Person::Operator || *person == Person::User(name.to_owned()) => {
                profile_of(visit, name, None)
            }
            _ => Response::error("404 Not Found"),
        },
        (Person::User(name), ["mine", rest @ ..]) => mine::page(visit, name, rest).await,
        (Person::User(_), _) => Response::words("403 Forbidden", visit.words.for_the_operator),
        (Person::Operator, ["mine", ..]) => Response::see_other("/"),
        (Person::Operator, ["accounts"]) => accounts::page(visit).await,
        (Person::Operator, ["accounts", name, rest @ ..]) => account::page(visit, name, rest).await,
        (Person::Operator, ["server", rest @ ..]) => server::page(visit, rest).await,
        (Person::Operator, ["queue"]) => queue::page(visit).await,
        (Person::Operator, ["sessions"]) => sessions::page(visit),
        (Person::Operator, ["confirm"]) if visit.is_post() => confirm(visit).await,
        _ => Response::error("404 Not Found"),
    }
}

/// Whether `path` is a page with forms, or lies below one.
pub fn takes_forms(path: &str) -> bool {
    const PAGES: [&str; 10] =
        ["first", "login", "logout", "mine", "accounts", "server", "queue", "sessions", "confirm", "profile"];
    PAGES.contains(&path.trim_matches('/').split('/').next().unwrap_or_default())
}

/// The pages that everybody on the LAN may read.
fn open(visit: &Visit<'_>, path: &str) -> Option<Response> {
    let operator = visit.operator();
    let not_found = || Response::error("404 Not Found");
    Some(match path {
        "/status.json" => Response::page("application/json", operator.status().impersonal().to_json()),
        "/ca.pem" => operator
            .local_ca()
            .map_or_else(not_found, |pem| Response::page("application/x-pem-file; charset=utf-8", pem)),
        "/ca.crt" => operator
            .local_ca()
            .and_then(|pem| crate::certificate::der_of(&pem))
            .map_or_else(not_found, |der| Response::page("application/x-x509-ca-cert", der)),
        path if autoconfig::PATHS.contains(&path) => {
            let announced = operator.context.announced();
            let settings = autoconfig::client_config(&visit.config, announced.as_deref());
            Response::page("text/xml; charset=utf-8", settings)
        }
        _ => return None,
    })
}

/// The profile for an Apple device, for the account's user and for the operator. `password` is one that was made for this
/// profile.
fn profile_of(visit: &Visit<'_>, name: &str, password: Option<&str>) -> Response {
    let operator = visit.operator();
    let ca = operator.local_ca().and_then(|pem| crate::certificate::der_of(&pem));
    let announced = operator.context.announced();
    let account = visit.config.account(name);
    let of = |it| profile::of(&visit.config, it, announced.as_deref(), ca.as_deref(), password);
    let made = account.and_then(of);
    let Some(made) = made else { return Response::error("404 Not Found") };
    let signed = operator.signed(made.as_bytes()).unwrap_or_else(|| made.as_bytes().to_vec());
    let name = format!("Content-Disposition: attachment; filename=\"{name}.mobileconfig\"\r\n");
    Response::page(profile::TYPE, signed).with(name)
}

/// Confirms the settings on trial, so that they stay.
async fn confirm(visit: &Visit<'_>) -> Response {
    match visit.operator().confirm().await {
        Ok(true) => visit.go("/", visit.words.confirmed),
        Ok(false) => visit.go("/", visit.words.nothing_on_trial),
        Err(why) => visit.go("/", &why),
    }
}

#[cfg(test)]
mod tests;
