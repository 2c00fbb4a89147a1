//! The first start: an operator's password, the house's name, an account, a mailbox at a provider, and a test mail.
//!
//! A device without accounts, as it comes out of its box, can be set up by the first visitor on the LAN. A device that has
//! accounts, from a file or from the console, but no operator's password, first asks for the password of one of them: nobody
//! else may take over other people's mail.

use askama::Template;

use super::fields::{Field, Fields, others, take};
use super::people::new_password;
use super::{Frame, Told, addresses, shown, shown_as, to_be_mended};
use crate::config::{Config, path};
use crate::http::Response;
use crate::http::session::Person;
use crate::http::visit::{FieldErrors, Outcome, Visit};
use crate::net::mdns::local_name;

/// The settings of a source on this page; the source's own page has the others.
const SOURCE: &[&str] = &["protocol", "host", "username", "password"];

/// Whether nobody has set the device up.
pub fn is_new(config: &Config) -> bool {
    !config.server.operator_verifier.is_set() && config.accounts.is_empty()
}

/// The only page of a device that nobody has set up.
#[derive(Template)]
#[template(path = "welcome.html")]
struct Welcome {
    frame: Frame,
    /// Where the setup continues, over TLS.
    https: String,
    /// Whether this page came over TLS: then the setup can begin here. Otherwise the page leads to `https`.
    is_tls: bool,
}

/// Greets the visitor, and tells what the browser will warn of.
pub fn welcome(visit: &Visit<'_>) -> Response {
    let https = visit.https().unwrap_or_default();
    let frame = Frame::new(visit, visit.words.welcome);
    shown(&Welcome { frame, https, is_tls: visit.is_tls })
}

#[derive(Template)]
#[template(path = "first.html")]
struct First {
    frame: Frame,
    /// There are accounts: the visitor has to log in to one of them.
    asks_for_account: bool,
    house: String,
    account: String,
    login: String,
    source: Vec<Field>,
    others: Vec<String>,
}

#[derive(Template)]
#[template(path = "done.html")]
struct Done {
    frame: Frame,
    account: String,
    address: String,
    /// The test mail is in the account's INBOX.
    arrived: bool,
    wrong: String,
}

/// Shows the form, takes it over, or sends the test mail.
pub async fn page(visit: &Visit<'_>, path: &str) -> Response {
    if path == "/first/mail" {
        return match visit.person() {
            Some(Person::Operator) => test_mail(visit).await,
            _ => Response::see_other("/login"),
        };
    }
    if visit.config.server.operator_verifier.is_set() {
        return Response::see_other("/login");
    }
    if !visit.is_post() {
        return form(visit, &Vec::new());
    }
    match set_up(visit).await {
        Ok(response) => response,
        Err(wrong) => form(visit, &wrong),
    }
}

fn form(visit: &Visit<'_>, wrong: &FieldErrors) -> Response {
    let mut scratch = Config::clone(&visit.config);
    let asks_for_account = !visit.config.accounts.is_empty();
    let section = new_source(&mut scratch);
    let source = match asks_for_account {
        true => Vec::new(),
        false => {
            Fields::new(&scratch, &section, visit.words, visit.marks()).mended(&visit.form, wrong).of(SOURCE)
        }
    };
    let hostname = &visit.config.server.hostname;
    let house = match visit.form.text("house") {
        "" => hostname.split('.').next().unwrap_or_default(),
        typed => typed,
    };
    let page = First {
        frame: Frame::new(visit, visit.words.i_am_new),
        asks_for_account,
        house: house.chars().take(63).collect(),
        account: visit.form.text("account").chars().take(64).collect(),
        login: visit.form.text("login").chars().take(254).collect(),
        others: others(wrong, source.iter()),
        source,
    };
    if wrong.is_empty() { shown(&page) } else { to_be_mended(&page) }
}

/// Adds an empty source to an account of its own in `scratch`, for the form. Returns the source's path.
fn new_source(scratch: &mut Config) -> String {
    const SCRATCH: &str = "first";
    let added = path::add_account(scratch, SCRATCH).and_then(|()| path::add_source(scratch, SCRATCH));
    format!("account.{SCRATCH}.source.{}", added.unwrap_or_default())
}

async fn set_up(visit: &Visit<'_>) -> Result<Response, FieldErrors> {
    let (words, form) = (visit.words, &visit.form);
    let plain = |text: &str| vec![(String::new(), text.to_owned())];
    if !visit.config.accounts.is_empty() {
        // The attempt is counted and slowed down as every login is.
        let password = form.get("account_password").unwrap_or_default();
        visit.judge(form.text("login"), password).await.map_err(plain)?;
    }
    let mut candidate = Config::clone(&visit.config);
    let mut wrong = Vec::new();
    let operator = new_password(visit, "operator_password", &mut wrong);
    set(&mut candidate, "server.operator_password", operator, &mut wrong);
    let mut account = "";
    if visit.config.accounts.is_empty() {
        account = form.text("account");
        let house = form.text("house");
        let hostname = local_name(house);
        set(&mut candidate, "server.hostname", &hostname, &mut wrong);
        if candidate.server.domains.is_empty() || !has_chosen_domain(&visit.config) {
            set(&mut candidate, "server.domains", &hostname, &mut wrong);
        }
        match path::add_account(&mut candidate, account) {
            Ok(()) => {
                let password = new_password(visit, "account_password", &mut wrong);
                set(&mut candidate, &format!("account.{account}.password"), password, &mut wrong);
            }
            Err(error) => wrong.push((String::new(), error.to_string())),
        }
        if wrong.is_empty() && !form.text("host").is_empty() {
            match path::add_source(&mut candidate, account) {
                Ok(number) => {
                    let section = format!("account.{account}.source.{number}");
                    // The mistakes are shown beside the fields of the form, whose paths still have the name of the scratch
                    // account.
                    let told = take(&mut candidate, &section, SOURCE, form);
                    let beside = |(path, what): (String, String)| {
                        (path.replace(&section, "account.first.source.1"), what)
                    };
                    wrong.extend(told.into_iter().map(beside));
                    set(&mut candidate, &format!("account.{account}.multipop"), "true", &mut wrong);
                }
                Err(error) => wrong.push((String::new(), error.to_string())),
            }
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    match visit.commit_and_move(candidate).await {
        Outcome::FieldErrors(wrong) => return Err(wrong),
        Outcome::ShutsOut(why) => return Err(plain(why)),
        Outcome::Done(_) | Outcome::OnTrial => {}
    }
    log::info!("the device was set up on its page");
    if !visit.is_asked_by_name() {
        // The browser would not send the cookie to the house's new name.
        return Ok(moved(visit));
    }
    let next = if account.is_empty() { "/".to_owned() } else { format!("/first/mail?{account}") };
    visit.begin(&Person::Operator, &next).ok_or_else(|| plain(words.login_is_wrong))
}

/// Shows the new addresses, once the house has another name than the one in the request.
fn moved(visit: &Visit<'_>) -> Response {
    let frame = Frame::new(visit, visit.words.set_up);
    shown(&Told { frame, kind: "good", text: visit.words.moved_how, addresses: addresses(visit) })
}

/// Whether the domains are other ones than a device has before anybody has set them.
fn has_chosen_domain(config: &Config) -> bool {
    let given = Config::default();
    config.server.domains != given.server.domains
}

fn set(candidate: &mut Config, path: &str, value: &str, wrong: &mut FieldErrors) {
    if let Err(error) = crate::config::typed::set(candidate, path, value) {
        wrong.push((String::new(), error.to_string()));
    }
}

/// Shows the page of the test mail; a form puts that mail, the account's first one, into its INBOX.
async fn test_mail(visit: &Visit<'_>) -> Response {
    let account = visit.config.account(&visit.request.query).or_else(|| visit.config.accounts.first());
    let Some(account) = account else { return Response::see_other("/") };
    let mut done = Done {
        frame: Frame::new(visit, visit.words.set_up),
        account: account.name.to_string(),
        address: account.address.to_string(),
        arrived: false,
        wrong: String::new(),
    };
    if visit.is_post() {
        match visit.operator().relay.send_test(account).await {
            Ok(()) => done.arrived = true,
            Err(error) => done.wrong = error.to_string(),
        }
    }
    shown_as(if done.wrong.is_empty() { "200 OK" } else { "500 Internal Server Error" }, &done)
}
