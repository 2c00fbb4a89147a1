//! Asks for a permission to log in elsewhere (OAuth 2.0): with a code that the user types at the provider (RFC 8628), or with
//! an address that the user opens, and whose answer is pasted (RFC 8252).
//!
//! No page has a script: while the code is awaited, the browser loads the page anew every few seconds, and each time the
//! appliance asks the provider at most once.

use std::time::Instant;

use askama::Template;

use super::fields::{Field, Fields, others};
use super::{Code, Frame, after, to_be_mended};
use crate::config::{Config, Holder, path};
use crate::http::Response;
use crate::http::visit::Visit;
use crate::oauth2::{Asking, Error};

/// The settings that tell the provider who asks.
const CLIENT: &[&str] = &["provider", "client_id", "client_secret"];
/// The settings for a provider that is not known by name.
const URLS: &[&str] = &["device_url", "auth_url", "token_url", "scope"];
/// The most permissions that are asked for at once. A new one displaces the one that was begun first.
const MOST: usize = 4;
/// Seconds until the page is loaded anew.
const AGAIN: u64 = 5;

/// The permissions that are being asked for.
#[derive(Default)]
pub struct PendingPermissions(Vec<Question>);

struct Question {
    holder: Holder,
    asking: Asking,
    begun: Instant,
    /// When the provider may be asked again.
    next: Instant,
}

impl PendingPermissions {
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
    /// Marks the source that the page is about; empty for the smarthost.
    of: String,
    back: &'a str,
    username: String,
    others: Vec<String>,
    fields: Vec<Field>,
    more: Vec<Field>,
    /// Whether there is a permission already.
    has_one: bool,
    /// The address to open. The user types `user_code` there; it is empty where the answer is pasted.
    link: String,
    user_code: String,
    /// A picture of the address that has the code in it.
    code: Option<Code>,
}

/// Shows the state of the permission, or does what a form says. `back` is the page that leads here. With `is_own`, the page is
/// the user's own. The user cannot set where the permission is asked for: the client's secret, which is the operator's, would
/// go there.
pub async fn page(visit: &Visit<'_>, holder: Holder, back: &str, is_own: bool) -> Response {
    let page = PermissionPage { visit, holder, back, is_own };
    match visit.is_post() {
        true => page.take().await,
        false => page.look().await,
    }
}

/// The page of one permission.
struct PermissionPage<'v> {
    visit: &'v Visit<'v>,
    holder: Holder,
    back: &'v str,
    is_own: bool,
}
/// The path of the holder's OAuth 2.0 settings.
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

impl PermissionPage<'_> {
    /// Does what a form says.
    async fn take(&self) -> Response {
        let PermissionPage { visit, holder, .. } = *self;
        let operator = visit.operator();
        let here = visit.request.path.as_str();
        // Sources are numbered, and one before this one may have been removed meanwhile.
        if visit.form.get("of").is_some_and(|shown| shown != self.mark()) {
            return visit.go(self.back, visit.words.changed_meanwhile);
        }
        let plain = |error: &Error| vec![(String::new(), error.to_string())];
        if visit.form.has("ask") {
            return match Box::pin(operator.tokens.ask(holder)).await {
                Ok(asking) => {
                    let now = operator.context.time.now();
                    let pause = match &asking {
                        Asking::Device(device) => device.pause(),
                        Asking::Code(_) => Default::default(),
                    };
                    visit.asked().borrow_mut().put(Question {
                        holder,
                        asking,
                        begun: now,
                        next: now + pause,
                    });
                    Response::see_other(here)
                }
                Err(error) => self.shown(&plain(&error)),
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
                Ok(()) => self.given(),
                Err(error) => {
                    // The wrong text may have been pasted, so the user may try again.
                    let asking = Asking::Code(code);
                    visit.asked().borrow_mut().put(Question { holder, asking, begun, next });
                    self.shown(&plain(&error))
                }
            };
        }
        if self.is_own {
            return Response::words("403 Forbidden", visit.words.for_the_operator);
        }
        let Some(section) = section(&visit.config, holder) else { return Response::error("404 Not Found") };
        let mut candidate = Config::clone(&visit.config);
        let mut wrong = visit.take(&mut candidate, &section, &[CLIENT, URLS].concat());
        // Whoever sets how the permission is asked for wants to log in with it.
        let auth = format!("{}auth", section.strip_suffix("oauth2").unwrap_or_default());
        wrong.extend(
            path::set(&mut candidate, &auth, "oauth2").err().map(|error| (String::new(), error.to_string())),
        );
        if !wrong.is_empty() {
            return self.shown(&wrong);
        }
        let outcome = visit.commit(candidate).await;
        after(visit, outcome, here, |wrong| self.shown(&wrong))
    }

    /// The mark of the source that the page is about; empty for the smarthost.
    fn mark(&self) -> String {
        match self.holder {
            Holder::Smarthost => String::new(),
            Holder::Source { source, .. } => self.visit.marks().of_identity(source),
        }
    }

    /// Shows the page. Asks the provider first whether the code was typed, where it may be asked again.
    async fn look(&self) -> Response {
        let PermissionPage { visit, holder, .. } = *self;
        let operator = visit.operator();
        let time = &operator.context.time;
        let Some(mut question) = visit.asked().borrow_mut().take(holder) else {
            return self.shown(&[]);
        };
        let outcome = match &mut question.asking {
            Asking::Device(device) if time.since(question.begun) > device.lasts() => Err(Error::Late),
            Asking::Device(device) if time.now() >= question.next => {
                Box::pin(operator.tokens.look(holder, device)).await
            }
            Asking::Device(_) | Asking::Code(_) => Ok(false),
        };
        match outcome {
            Ok(true) => self.given(),
            Ok(false) => {
                if let Asking::Device(device) = &question.asking
                    && time.now() >= question.next
                {
                    question.next = time.now() + device.pause();
                }
                let waits = matches!(question.asking, Asking::Device(_));
                visit.asked().borrow_mut().put(question);
                let page = self.shown(&[]);
                if waits { page.with(format!("Refresh: {AGAIN}\r\n")) } else { page }
            }
            Err(error) => self.shown(&[(String::new(), error.to_string())]),
        }
    }

    /// Ends the page: the permission is stored, and used at once.
    fn given(&self) -> Response {
        let visit = self.visit;
        visit.operator().use_permission(self.holder);
        visit.go(self.back, visit.words.permission_given)
    }

    fn shown(&self, wrong: &[(String, String)]) -> Response {
        let PermissionPage { visit, holder, back, is_own } = *self;

        let config = visit.operator().context.config();
        let Some(section) = section(&config, holder) else { return Response::error("404 Not Found") };
        let all = Fields::new(&config, &section, visit.words, visit.marks()).mended(&visit.form, wrong);
        let (fields, more) = if is_own { Default::default() } else { (all.of(CLIENT), all.of(URLS)) };
        let held = config.settings_of(holder);
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
            of: self.mark(),
            back,
            username: held.as_ref().map(|it| it.username.to_owned()).unwrap_or_default(),
            others: others(wrong, fields.iter().chain(&more)),
            fields,
            more,
            has_one: held.is_some_and(|it| !it.client.refresh_token.is_empty()),
            // Only an address of the web may be opened, whatever a provider answers.
            link: Some(link)
                .filter(|it| it.starts_with("https://") || it.starts_with("http://"))
                .unwrap_or_default(),
            user_code,
            code: Code::of(picture),
        };
        if wrong.is_empty() { super::shown(&page) } else { to_be_mended(&page) }
    }
}
