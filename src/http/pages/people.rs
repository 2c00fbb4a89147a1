//! What the operator's page of an account and the user's own page have in common.

use zeroize::Zeroizing;

use super::{Code, after, profile_of};
use crate::certificate;
use crate::clock::unix_now;
use crate::config::{Account, Config, MIN_PASSWORD, path};
use crate::credential::random_password;
use crate::http::Response;
use crate::http::visit::{FieldErrors, Outcome, Visit};
use crate::operator::World;
use crate::operator::reach::{self, Scheme};

/// The account that a page is about.
pub struct Of<'a> {
    pub name: &'a str,
    /// The path that its pages begin with: `/mine`, or `/accounts/NAME`.
    pub base: String,
    /// Whether it is the user's own page.
    pub is_own: bool,
}

/// An app password in a list.
pub struct App {
    pub name: String,
    pub used: String,
}

/// A good login in a list.
pub struct Login {
    pub service: &'static str,
    pub address: String,
    pub when: String,
}

/// What a mail program asks for, and the picture that leads a telephone to its own profile.
pub struct Servers {
    /// The server's name.
    pub host: String,
    /// Each service: its name, its port, and how it is secured there.
    pub services: Vec<(&'static str, u16, &'static str)>,
    /// A picture of the address at which the account's user logs in.
    pub code: Option<Code>,
}

/// The servers of this appliance.
pub fn servers(visit: &Visit<'_>) -> Servers {
    let announced = visit.operator().context.announced();
    Servers {
        host: certificate::name_for_clients(&visit.config, announced.as_deref()),
        services: reach::services(&visit.config),
        code: visit.site_for_others(Scheme::Https).and_then(|site| Code::of(format!("{site}/mine"))),
    }
}

/// The app passwords of an account.
pub fn apps(visit: &Visit<'_>, account: &Account) -> Vec<App> {
    let now = unix_now();
    let used = |app: &str| match visit.operator().last_use(&account.name, app) {
        Some(at) => format!("{} {}", visit.words.last_used, visit.words.when(now, at)),
        None => visit.words.not_used.to_owned(),
    };
    let apps = account.app_passwords.iter();
    apps.map(|app| App { name: app.name.to_string(), used: used(&app.name) }).collect()
}

/// The latest good logins to an account, the latest first.
pub fn logins(visit: &Visit<'_>, account: &Account) -> Vec<Login> {
    let now = unix_now();
    let latest = visit.operator().context.logins.latest(&account.name);
    let shown = latest.into_iter().take(20);
    shown
        .map(|it| Login {
            service: it.service,
            address: it.address.to_string(),
            when: visit.words.when(now, it.time),
        })
        .collect()
}

/// Changes the password at `path`; the new one is typed twice. `login` is its owner, who has to type the old password, too:
/// somebody who finds the browser open must not take over the account.
pub async fn change_password(
    visit: &Visit<'_>,
    login: Option<&str>,
    path: &str,
    location: &str,
    mended: impl FnOnce(FieldErrors) -> Response,
) -> Response {
    let mut wrong = FieldErrors::new();
    if let Some(login) = login
        && let Err(why) = visit.judge(login, visit.form.get("old_password").unwrap_or_default()).await
    {
        wrong.push((String::new(), why.to_owned()));
    }
    let password = new_password(visit, "password", &mut wrong);
    let mut candidate = Config::clone(&visit.config);
    let set = path::set_secret(&mut candidate, path, password);
    wrong.extend(set.err().map(|error| (String::new(), error.to_string())));
    match wrong.is_empty() {
        true => after(visit, visit.commit(candidate).await, location, mended),
        false => mended(wrong),
    }
}

/// A new password of this appliance, typed twice: in the field `name`, and in `name` followed by `_again`.
pub fn new_password<'v>(visit: &'v Visit<'_>, name: &str, wrong: &mut FieldErrors) -> &'v str {
    let (words, form) = (visit.words, &visit.form);
    let password = form.get(name).unwrap_or_default();
    if password.chars().count() < MIN_PASSWORD {
        wrong.push((String::new(), words.password_is_short.replace("{}", &MIN_PASSWORD.to_string())));
    } else if form.get(&format!("{name}_again")) != Some(password) {
        wrong.push((String::new(), words.passwords_differ.to_owned()));
    }
    password
}

/// Adds an app password, which is shown once or put in a profile, or removes one.
pub async fn change_apps(
    visit: &Visit<'_>,
    of: &Of<'_>,
    mended: impl FnOnce(FieldErrors) -> Response,
) -> Response {
    let mut candidate = Config::clone(&visit.config);
    let home = format!("{}#apps", of.base);
    if let Some(app) = visit.form.get("remove") {
        let removed = path::remove_app_password(&mut candidate, of.name, app);
        return match removed {
            Ok(()) => after(visit, visit.commit(candidate).await, &home, mended),
            Err(error) => mended(vec![(String::new(), error.to_string())]),
        };
    }
    let password = Zeroizing::new(random_password());
    let app = visit.form.text("app");
    if let Err(error) = path::add_app_password(&mut candidate, of.name, app, &password) {
        return mended(vec![(String::new(), error.to_string())]);
    }
    match visit.commit(candidate).await {
        Outcome::Done(_) if visit.form.has("profile") => profile_of(visit, of.name, Some(&password)),
        Outcome::Done(_) => {
            let told = visit.words.app_password_is.replace("{app}", app);
            visit.go(&home, &Zeroizing::new(told.replace("{}", &password)))
        }
        outcome => after(visit, outcome, &home, mended),
    }
}
