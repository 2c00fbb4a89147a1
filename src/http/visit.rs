//! One request to the pages: who asks, in which language, and whether a form is one of ours.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use data_encoding::BASE64URL_NOPAD;
use ring::hmac;
use zeroize::Zeroizing;

use super::authority::{Authority, Own, Sight};
use super::form::Form;
use super::pages::fields::{self, Marks, STARS};
use super::pages::permission::PendingPermissions;
use super::request::{Method, Request};
use super::session::{self, Person, Seen};
use super::words::{self, Words};
use super::{Response, Site, pages};
use crate::access;
use crate::config::check::check;
use crate::config::problem::{At, Problem};
use crate::config::typed::{self, FormInput};
use crate::config::{Config, OPERATOR};
use crate::operator::reach::{self, Scheme};
use crate::operator::{CHANGED, Operator, TRIAL};

/// Seconds for which a form that nobody is logged in for can be sent.
const FORM: i64 = 3600;

/// A request, and all that its page needs to know.
pub struct Visit<'a> {
    /// The pages.
    site: &'a Site,
    /// What is asked.
    pub request: &'a Request,
    /// What a form sends; empty where none does.
    pub form: Form,
    /// Who asks.
    peer: IpAddr,
    /// Whether it came over TLS.
    pub is_tls: bool,
    /// The settings as the visit found them.
    pub config: Rc<Config>,
    /// In which language is answered.
    pub words: &'static Words,
    /// Who is logged in.
    seen: Option<Seen>,
}

/// Paths of settings and what is wrong with them; an empty path where it is no setting's.
pub type FieldErrors = Vec<(String, String)>;

/// What became of changes.
pub enum Outcome {
    /// They are in force; warnings.
    Done(Vec<String>),
    /// They are in force for [`TRIAL`], since they would shut out whoever made them.
    OnTrial,
    /// They are not.
    FieldErrors(FieldErrors),
    /// They would shut out whoever makes them, for this reason, and he was not asked yet.
    ShutsOut(&'static str),
}

impl<'a> Visit<'a> {
    /// Who asks `request`.
    pub fn new(site: &'a Site, request: &'a Request, form: Form, peer: IpAddr, is_tls: bool) -> Visit<'a> {
        let config = site.operator.context.config();
        let now = site.operator.context.time.now();
        let cookie = request.cookie.as_deref().filter(|_| is_tls);
        let seen = cookie.and_then(|cookie| site.sessions.borrow_mut().find(cookie, &config, now));
        let words = words::preferred(request.language.as_deref().unwrap_or_default());
        Visit { site, request, form, peer, is_tls, config, words, seen }
    }

    /// What is done is done by it.
    pub fn operator(&self) -> &Operator {
        &self.site.operator
    }

    /// Who is logged in.
    pub fn person(&self) -> Option<&Person> {
        self.seen.as_ref().map(|seen| &seen.person)
    }

    /// Whether the operator is.
    pub fn is_operator(&self) -> bool {
        self.person() == Some(&Person::Operator)
    }

    /// Whether it is a form that is sent.
    pub fn is_post(&self) -> bool {
        self.request.method == Method::Post
    }

    /// What each form has to bring: the session's, or, where there is none, one that lasts for an hour.
    pub fn token(&self) -> String {
        match &self.seen {
            Some(seen) => seen.token.clone(),
            None => self.passing_token(crate::clock::unix_now() / FORM),
        }
    }

    fn passing_token(&self, hour: i64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.site.key);
        BASE64URL_NOPAD.encode(hmac::sign(&key, &hour.to_be_bytes()).as_ref())
    }

    /// Refuses a form that another site has made (RFC 6454; the double of `SameSite`), or that is too old.
    pub fn foreign_form(&self) -> Option<Response> {
        if !self.is_post() {
            return None;
        }
        // A browser says where the page is from that has the form; a program may say nothing.
        let is_own = |origin: &str| {
            let scheme = if self.is_tls { "https://" } else { "http://" };
            origin.strip_prefix(scheme).and_then(Authority::parse).as_ref() == Some(&self.request.authority)
        };
        if self.request.origin.as_deref().is_some_and(|origin| !is_own(origin)) {
            return Some(Response::words("403 Forbidden", "this form is from another site"));
        }
        let given = self.form.get("token").unwrap_or_default();
        let hour = crate::clock::unix_now() / FORM;
        let is_right = match &self.seen {
            Some(seen) => seen.token == given,
            None => [hour, hour - 1].iter().any(|hour| self.passing_token(*hour) == given),
        };
        (!is_right).then(|| pages::stale(self))
    }

    /// Whose login and password these are; the words where they are nobody's, or were not looked at.
    pub async fn judge(&self, login: &str, password: &str) -> Result<Person, &'static str> {
        let (config, logins) = (&self.config, &self.operator().context.logins);
        let password = password.as_bytes();
        let person = match login.eq_ignore_ascii_case(OPERATOR) {
            true => logins.operator(config, self.peer, login, password).await.map(|()| Person::Operator),
            false => logins.user(config, self.peer, login, password).await.map(Person::User),
        };
        person.map_err(|refusal| match refusal {
            access::Refusal::TooManyWait => self.words.too_many_logins,
            _ => self.words.login_is_wrong,
        })
    }

    /// Begins a session of `person`, who has shown the right, and goes to `home`.
    pub fn begin(&self, person: &Person, home: &str) -> Option<Response> {
        let now = self.operator().context.time.now();
        let config = self.operator().context.config();
        let cookie = self.site.sessions.borrow_mut().open(person, &config, now)?;
        Some(Response::see_other(home).with(session::set_cookie(&cookie)))
    }

    /// Ends the session.
    pub fn log_out(&self) -> Response {
        if let Some(cookie) = &self.request.cookie {
            self.site.sessions.borrow_mut().close(cookie);
        }
        Response::see_other("/").with(session::forget_cookie())
    }

    /// The next page, where `notice` is told.
    pub fn go(&self, location: &str, notice: &str) -> Response {
        if let Some(cookie) = &self.request.cookie {
            self.site.sessions.borrow_mut().tell(cookie, notice);
        }
        Response::see_other(location)
    }

    /// What the page before has left to be told.
    pub fn notice(&self) -> Option<Zeroizing<String>> {
        self.site.sessions.borrow_mut().told(self.request.cookie.as_ref()?)
    }

    /// Tries something out, one at a time: what it tells line by line, its end last, and whether it is a good one.
    pub async fn test(
        &self,
        good: &str,
        test: impl AsyncFnOnce(&dyn Fn(String)) -> Result<(), String>,
    ) -> (Vec<String>, bool) {
        let Some(_alone) = self.operator().tests.try_lock() else {
            return (vec![self.words.test_is_busy.to_owned()], false);
        };
        let lines = RefCell::new(Vec::new());
        let outcome = test(&|line| lines.borrow_mut().push(line)).await;
        let mut lines = lines.into_inner();
        let is_good = outcome.is_ok();
        lines.push(outcome.err().unwrap_or_else(|| good.to_owned()));
        (lines, is_good)
    }

    /// The permissions that are being asked for.
    pub fn asked(&self) -> &RefCell<PendingPermissions> {
        &self.site.asked
    }

    /// What tells of each setting whether it was changed since a form was shown.
    pub fn marks(&self) -> Marks<'_> {
        Marks::new(&self.site.key, &self.config)
    }

    /// Takes what the form says of the settings `keys` of the section at `section` over: what is wrong with which. A secret that
    /// was typed is kept for the next page, where stars stand for it.
    pub fn take(&self, config: &mut Config, section: &str, keys: &[&'static str]) -> FieldErrors {
        let mut wrong = fields::take(config, section, keys, &self.form);
        wrong.extend(self.marks().merge(config, section, keys, &self.form, self.words.changed_by_another));
        let Some(cookie) = &self.request.cookie else { return wrong };
        let mut sessions = self.site.sessions.borrow_mut();
        for (key, typed) in keys.iter().filter_map(|key| Some((key, self.form.get(key)?))) {
            let path = format!("{section}.{key}");
            let is_secret = matches!(typed::get(config, &path), Ok((FormInput::Secret(_), _)));
            match typed {
                _ if !is_secret => {}
                STARS => {
                    let kept = sessions.kept(cookie, &path);
                    let set = kept.map(|secret| typed::set(config, &path, &secret));
                    wrong.extend(set.and_then(Result::err).map(|error| (path, error.to_string())));
                }
                typed => sessions.keep(cookie, Some((&path, typed))),
            }
        }
        wrong
    }

    /// Puts `candidate`, made from the settings that the visit found, in force, unless something is wrong with it.
    pub async fn commit(&self, candidate: Config) -> Outcome {
        let shuts_out = self.shuts_out(&candidate);
        self.commit_although(candidate, shuts_out).await
    }

    /// The same where whoever asks knows that he goes on under another name.
    pub async fn commit_and_move(&self, candidate: Config) -> Outcome {
        self.commit_although(candidate, None).await
    }

    async fn commit_although(&self, candidate: Config, shuts_out: Option<&'static str>) -> Outcome {
        let problems = check(&candidate);
        let told = |problem: &Problem| match &problem.at {
            At::Path(path) => (path.clone(), problem.text.clone()),
            At::Line(_) => (String::new(), problem.text.clone()),
        };
        if problems.iter().any(Problem::is_error) {
            return Outcome::FieldErrors(problems.iter().filter(|it| it.is_error()).map(told).collect());
        }
        // What was so before is no news.
        let known = check(&self.config);
        let warnings = problems.iter().filter(|it| !known.contains(it)).map(ToString::to_string).collect();
        let operator = self.operator();
        let outcome = match shuts_out {
            Some(why) if !self.form.has("sure") => return Outcome::ShutsOut(why),
            Some(_) => operator.try_out(&self.config, candidate, TRIAL).await,
            None => operator.commit(&self.config, candidate).await,
        };
        match outcome {
            Ok(()) => {
                if let (Some(cookie), Some(person)) = (&self.request.cookie, self.person()) {
                    let config = operator.context.config();
                    let mut sessions = self.site.sessions.borrow_mut();
                    sessions.renew(cookie, person, &config);
                    sessions.keep(cookie, None);
                }
                if shuts_out.is_some() { Outcome::OnTrial } else { Outcome::Done(warnings) }
            }
            Err(why) if why == CHANGED => {
                Outcome::FieldErrors(vec![(String::new(), self.words.changed_meanwhile.to_owned())])
            }
            Err(why) => Outcome::FieldErrors(vec![(String::new(), why)]),
        }
    }

    /// Whether the name or address that was asked for is one of the device's as it is now.
    pub fn is_asked_by_name(&self) -> bool {
        let context = &self.operator().context;
        Own::now(&context.config(), context).sight(&self.request.authority) == Sight::Everything
    }

    /// Why who asks this would not get an answer with `candidate`, where he gets one now.
    fn shuts_out(&self, candidate: &Config) -> Option<&'static str> {
        let (now, words) = (&self.config, self.words);
        let own = Own::now(candidate, &self.operator().context);
        let is_known =
            Own::now(now, &self.operator().context).sight(&self.request.authority) == Sight::Everything;
        let listeners = |config: &Config| match self.is_tls {
            true => config.listen.https.clone(),
            false => config.listen.http.clone(),
        };
        if access::on_lan(now, self.peer) && !access::on_lan(candidate, self.peer) {
            Some(words.shuts_out_lan)
        } else if listeners(now).iter().any(|it| !listeners(candidate).contains(it)) {
            Some(words.shuts_out_listener)
        } else if own.sight(&self.request.authority) != Sight::Everything && is_known {
            Some(words.shuts_out_name)
        } else if now.server.operator_verifier.is_set() && !candidate.server.operator_verifier.is_set() {
            Some(words.shuts_out_password)
        } else {
            None
        }
    }

    /// How whoever asks reaches the pages over TLS, without a slash at the end.
    pub fn https(&self) -> Option<String> {
        let asked = self.request.authority.to_string();
        // On the device itself any of them is as good; the first may be for it alone.
        let port = match reach::is_known_elsewhere(&asked) {
            true => Scheme::Https.port(&self.config),
            false => self.config.listen.https.first().map(SocketAddr::port),
        };
        Some(Scheme::Https.site(&asked, port?))
    }

    /// How another device reaches them: by the name or address that was asked for, which is known to work, unless that means
    /// nothing there. `None` where there is no way.
    pub fn site_for_others(&self, scheme: Scheme) -> Option<String> {
        let asked = self.request.authority.to_string();
        let announced = self.operator().context.announced();
        let host = match reach::is_known_elsewhere(&asked) {
            true => asked,
            false => reach::host_for_others(&self.config, announced.as_deref())?,
        };
        Some(scheme.site(&host, scheme.port(&self.config)?))
    }
}
