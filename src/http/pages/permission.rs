//! A permission to log in elsewhere (OAuth2): asked for with a code that is typed at the provider (RFC 8628), or with an address
//! that is opened and pasted (RFC 8252).
//!
//! No page has a script: while the code is waited for, the page is loaded anew every few seconds, and each time looks once.

use std::time::Instant;

use askama::Template;

use super::fields::{Field, Fields, Input, others};
use super::{Code, Frame, after, shown, to_be_mended};
use crate::config::{Config, Holder};
use crate::http::Response;
use crate::http::visit::Visit;
use crate::oauth2::{Asking, Error};

/// How the provider is told who asks.
const CLIENT: &[&str] = &["provider", "client_id", "client_secret"];
/// Where a provider is none of those that are known by name.
const URLS: &[&str] = &["device_url", "auth_url", "token_url", "scope"];
/// Permissions that are asked for at once: the one that was begun first makes room.
const MOST: usize = 4;
/// Seconds until the page is loaded anew.
const AGAIN: u64 = 5;

/// Those that are being asked for.
#[derive(Default)]
pub struct Asked(Vec<Question>);

struct Question {
    holder: Holder,
    asking: Asking,
    begun: Instant,
    /// When the provider may be asked the next time.
    next: Instant,
}

impl Asked {
    fn put(&mut self, question: Question) {
        self.take(question.holder);
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push(question);
    }

    fn take(&mut self, holder: Holder) -> Option<Question> {
        let position = self.0.iter().position(|it| it.holder == holder)?;
        Some(self.0.remove(position))
    }
}

#[derive(Template)]
#[template(path = "permission.html")]
struct Page<'a> {
    frame: Frame,
    path: &'a str,
    back: &'a str,
    username: String,
    others: Vec<String>,
    fields: Vec<Field>,
    more: Vec<Field>,
    /// There is one already.
    has_one: bool,
    /// What is to be opened; the code that is typed there, or nothing where an address is pasted.
    link: String,
    user_code: String,
    /// The same with the code in it.
    code: Option<Code>,
}

/// Shows how far it is, or does what a form says. `back` is the page that leads here.
pub async fn page(visit: &Visit<'_>, holder: Holder, back: &str) -> Response {
    if !visit.is_post() {
        return look(visit, holder, back).await;
    }
    let operator = visit.operator();
    let here = visit.request.path.as_str();
    let plain = |error: &Error| vec![(String::new(), format!("{error}. {}", error.advice()))];
    if visit.form.has("ask") {
        return match Box::pin(operator.tokens.ask(holder)).await {
            Ok(asking) => {
                let now = operator.context.time.now();
                let pause = match &asking {
                    Asking::Device(device) => device.pause(),
                    Asking::Code(_) => Default::default(),
                };
                visit.asked().borrow_mut().put(Question { holder, asking, begun: now, next: now + pause });
                Response::see_other(here)
            }
            Err(error) => shown_as_is(visit, holder, back, &plain(&error)),
        };
    }
    if visit.form.has("give_up") {
        visit.asked().borrow_mut().take(holder);
        return Response::see_other(here);
    }
    if let Some(pasted) = visit.form.get("pasted") {
        let question = visit.asked().borrow_mut().take(holder);
        let Some(Question { asking: Asking::Code(code), begun, next, .. }) = question else {
            return Response::see_other(here);
        };
        return match Box::pin(operator.tokens.redeem(holder, &code, pasted)).await {
            Ok(()) => given(visit, holder, back),
            Err(error) => {
                // What was pasted may have been the wrong one.
                let asking = Asking::Code(code);
                visit.asked().borrow_mut().put(Question { holder, asking, begun, next });
                shown_as_is(visit, holder, back, &plain(&error))
            }
        };
    }
    let Some(section) = section(&visit.config, holder) else { return Response::error("404 Not Found") };
    let mut candidate = Config::clone(&visit.config);
    let wrong = visit.take(&mut candidate, &section, &[CLIENT, URLS].concat());
    if !wrong.is_empty() {
        return shown_as_is(visit, holder, back, &wrong);
    }
    let outcome = visit.commit(candidate).await;
    after(visit, outcome, here, |wrong| shown_as_is(visit, holder, back, &wrong))
}

/// Where its settings are.
fn section(config: &Config, holder: Holder) -> Option<String> {
    match holder {
        Holder::Smarthost => Some("smarthost.oauth2".to_owned()),
        Holder::Source { account, source } => {
            let account = config.account_by_id(account)?;
            let number = account.sources.iter().position(|it| it.id == source)? + 1;
            Some(format!("account.{}.source.{number}.oauth2", account.name))
        }
    }
}

/// Looks whether the code was typed, when it is time to.
async fn look(visit: &Visit<'_>, holder: Holder, back: &str) -> Response {
    let operator = visit.operator();
    let time = &operator.context.time;
    let Some(mut question) = visit.asked().borrow_mut().take(holder) else {
        return shown_as_is(visit, holder, back, &[]);
    };
    let outcome = match &mut question.asking {
        Asking::Device(device) if time.since(question.begun) > device.lasts() => Err(Error::Late),
        Asking::Device(device) if time.now() >= question.next => {
            Box::pin(operator.tokens.look(holder, device)).await
        }
        Asking::Device(_) | Asking::Code(_) => Ok(false),
    };
    match outcome {
        Ok(true) => given(visit, holder, back),
        Ok(false) => {
            if let Asking::Device(device) = &question.asking
                && time.now() >= question.next
            {
                question.next = time.now() + device.pause();
            }
            let waits = matches!(question.asking, Asking::Device(_));
            visit.asked().borrow_mut().put(question);
            let page = shown_as_is(visit, holder, back, &[]);
            if waits { page.with(format!("Refresh: {AGAIN}\r\n")) } else { page }
        }
        Err(error) => {
            let told = vec![(String::new(), format!("{error}. {}", error.advice()))];
            shown_as_is(visit, holder, back, &told)
        }
    }
}

/// It is stored, and used at once.
fn given(visit: &Visit<'_>, holder: Holder, back: &str) -> Response {
    visit.operator().use_permission(holder);
    visit.go(back, visit.words.permission_given)
}

fn shown_as_is(visit: &Visit<'_>, holder: Holder, back: &str, wrong: &[(String, String)]) -> Response {
    let config = visit.operator().context.config();
    let Some(section) = section(&config, holder) else { return Response::error("404 Not Found") };
    let all = Fields::new(&config, &section, visit.words, visit.marks()).mended(&visit.form, wrong);
    let (fields, more) = (all.of(CLIENT), all.of(URLS));
    let held = config.held(holder);
    let asked = visit.asked().borrow();
    let asked = asked.0.iter().find(|it| it.holder == holder).map(|it| &it.asking);
    let (link, picture, user_code) = match asked {
        None => (String::new(), String::new(), String::new()),
        Some(Asking::Device(device)) => {
            (device.uri().to_owned(), device.complete_uri().to_owned(), device.user_code().to_owned())
        }
        Some(Asking::Code(code)) => (code.address().to_owned(), String::new(), String::new()),
    };
    let page = Page {
        frame: Frame::new(visit, visit.words.permission),
        path: &visit.request.path,
        back,
        username: held.as_ref().map(|it| it.username.to_owned()).unwrap_or_default(),
        others: others(wrong, fields.iter().chain(&more)),
        fields,
        more,
        has_one: held.is_some_and(|it| !it.client.refresh_token.is_empty()),
        // Only an address that a browser may open, whatever a provider answers.
        link: Some(link)
            .filter(|it| it.starts_with("https://") || it.starts_with("http://"))
            .unwrap_or_default(),
        user_code,
        code: Code::of(picture),
    };
    if wrong.is_empty() { shown(&page) } else { to_be_mended(&page) }
}
