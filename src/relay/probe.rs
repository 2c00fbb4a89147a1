//! Tries the smarthost out as the relay would, and reports what is there. Nothing is sent.
//!
//! Each step is reported in one line when it is done; a step that fails is reported with what it means and advice.

use std::cell::Cell;
use std::time::Duration;

use smol::future::or;

use super::Relay;
use super::outgoing::Login;
use super::permission;
use crate::config::{Account, Config, Security};
use crate::net::stream::Stream;
use crate::outgoing::{PASSES, Route, shown};
use crate::smtp::Reply;
use crate::smtp::client::{Failure, Passed};

/// How long a probe may take in all: the operator waits for it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the lookup of the host name may take.
const NAME: Duration = Duration::from_secs(20);
/// Characters of a server's words that are shown, at most.
const WORDS: usize = 200;
/// Extensions (RFC 5321 section 4.1.1.1) that are shown if the server has them, besides SIZE and AUTH.
const EXTENSIONS: [&str; 6] = ["PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING", "STARTTLS"];

impl Relay {
    /// Tries the smarthost of `config`, which need not be in force, with the global login or that of `account`. Each
    /// step is given to `tell` as a line without line end.
    ///
    /// # Errors
    /// The step that failed: what went wrong, and what to do.
    pub async fn test(
        &self,
        config: &Config,
        account: Option<&str>,
        tell: &dyn Fn(String),
    ) -> Result<(), String> {
        let told = |step: &str, words: &str| tell(shown::step(step, words));
        let login = login(config, account, &told)?;
        let step = Cell::new("name");
        let tries = async { self.try_out(config, &login, &told, &step).await };
        let late = async {
            self.context.time.sleep(PATIENCE).await;
            Err(format!(
                "the smarthost has not answered for {} s at this step: {}. {PASSES}",
                PATIENCE.as_secs(),
                step.get()
            ))
        };
        or(tries, late).await
    }

    async fn try_out(
        &self,
        config: &Config,
        login: &Login,
        told: &dyn Fn(&str, &str),
        at: &Cell<&'static str>,
    ) -> Result<(), String> {
        let (smarthost, time) = (&config.smarthost, &self.context.time);
        let judges = smarthost.security != Security::None || permission::client(config).is_some();
        if !self.context.clock.is_known() && judges {
            return Err("the clock does not show the time yet, so no certificate can be judged. Wait until the network has told \
                        the time, or set the clock."
                .to_owned());
        }
        let route = Route::from(smarthost);
        let name = shown::name(&route, NAME, time).await.map_err(|error| in_words(&error.into()))?;
        told("name", &name);
        at.set("connection");
        let passed = |passed: Passed<'_>| match passed {
            Passed::Connected(stream) => {
                told("connection", &shown::peer(stream.peer()));
                if smarthost.security != Security::Starttls {
                    tell_tls(stream, told);
                }
                at.set("greeting");
            }
            Passed::Greeted(reply) => {
                told("greeting", &first_line(reply));
                at.set("EHLO");
            }
            Passed::Hello(reply) => {
                told("EHLO", &extensions(reply));
                at.set("login");
            }
            Passed::Secured(stream) => {
                tell_tls(stream, told);
                at.set("EHLO");
            }
            Passed::LoggedIn(way) => {
                let user =
                    login.credentials(config).map_or_else(String::new, |credentials| credentials.username);
                told("login", &format!("as {user} by {way}"));
            }
        };
        let client = self.connect_and_tell(login, config, &passed).await;
        let client = client.map_err(|failure| in_words(&failure))?;
        if login.credentials(config).is_none() {
            told("login", "none, since smarthost.username is empty");
        }
        client.quit().await;
        Ok(())
    }
}

/// The login to try: that of the account, if it has one that is in use, or the global one.
fn login(config: &Config, account: Option<&str>, told: &dyn Fn(&str, &str)) -> Result<Login, String> {
    let smarthost = &config.smarthost;
    if smarthost.host.is_empty() {
        return Err("there is no smarthost: set smarthost.host".to_owned());
    }
    let Some(name) = account else { return Ok(Login::Global) };
    let account = config.account(name).ok_or_else(|| format!("there is no account `{name}`"))?;
    let why = match (smarthost.per_account_authentication, account.smarthost_password.is_empty()) {
        (true, false) => return Ok(own(account)),
        (_, true) => format!("{name} has no smarthost_password"),
        (false, false) => "smarthost.per_account_authentication is off".to_owned(),
    };
    told("account", &format!("{why}: its mail goes under the global login"));
    Ok(Login::Global)
}

fn own(account: &Account) -> Login {
    Login::Account(account.name.to_string())
}

fn tell_tls(stream: &Stream, told: &dyn Fn(&str, &str)) {
    match stream.server_shown() {
        None => told("TLS", "none: whoever is on the way can read the password and the mail"),
        Some((version, chain)) => {
            for (n, words) in shown::chain(version, &chain).iter().enumerate() {
                told(if n == 0 { "TLS" } else { "" }, words);
            }
        }
    }
}

/// The code of a reply and the words of its first line.
fn first_line(reply: &Reply) -> String {
    let line = reply.lines.first().map_or("", |line| line.as_ref());
    let words: String = line.chars().filter(|c| !c.is_control()).take(WORDS).collect();
    format!("{} {words}", reply.code)
}

/// Which of the extensions that matter the server has, and which it lacks.
fn extensions(reply: &Reply) -> String {
    let mut lines =
        reply.lines.iter().skip(1).map(|line| line.split([' ', '=']).filter(|word| !word.is_empty()));
    let (mut has, mut ways, mut size) = (Vec::new(), Vec::new(), None);
    for words in &mut lines {
        let words: Vec<String> = words.map(str::to_ascii_uppercase).collect();
        let Some((name, rest)) = words.split_first() else { continue };
        match name.as_str() {
            "AUTH" => {
                ways.extend(rest.iter().filter(|way| way.chars().all(|c| c.is_ascii_graphic())).cloned())
            }
            "SIZE" => size = Some(rest.first().and_then(|octets| octets.parse::<u64>().ok()).unwrap_or(0)),
            _ => {}
        }
        has.push(name.clone());
    }
    let of = |wanted: bool| {
        let names = EXTENSIONS.into_iter().filter(|name| has.iter().any(|has| has == name) == wanted);
        // Within TLS no server offers STARTTLS.
        names.filter(|name| wanted || *name != "STARTTLS").collect::<Vec<_>>().join(", ")
    };
    let mut words = vec![match size {
        Some(0) => "messages of any size".to_owned(),
        Some(octets) => format!("messages of up to {} MiB", octets >> 20),
        None => "no word about sizes".to_owned(),
    }];
    words.extend(Some(of(true)).filter(|names| !names.is_empty()));
    words.extend(Some(of(false)).filter(|names| !names.is_empty()).map(|names| format!("without {names}")));
    ways.truncate(20);
    words.push(match ways.is_empty() {
        true => "no login".to_owned(),
        false => format!("login by {}", ways.join(" ")),
    });
    words.join("; ").chars().take(4 * WORDS).collect()
}

/// What a failure means, and what to do.
fn in_words(failure: &Failure) -> String {
    let advice = match failure {
        Failure::Login(_) => {
            "Check the user name and the password. Some providers want a password of its own for each program, or SMTP to be \
             switched on first."
        }
        Failure::Busy(_) => "Wait a while: each try may count. If it lasts, ask the provider.",
        Failure::Token(_) => "`oauth2 smarthost` asks for a new permission.",
        // These messages end with advice of their own.
        Failure::Settings(_) => "",
        Failure::Unavailable(words) if words.ends_with('.') => "",
        Failure::Unavailable(_) | Failure::Again(_) => PASSES,
    };
    match advice {
        "" => failure.to_string(),
        advice => format!("{failure}. {advice}"),
    }
}
