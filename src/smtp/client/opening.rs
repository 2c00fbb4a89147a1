//! From the greeting of another server to the point where it takes mail (RFC 5321 section 3.1, RFC 3207,
//! RFC 4954): a state machine over replies.

use super::{Capabilities, Failure};
use crate::config::Security;
use crate::outgoing::{self, About, Answer, Login, Next, Offer};
use crate::sasl::client::Mechanism;
use crate::smtp::Reply;

/// The server takes mail in the end, and can do this.
type Step = outgoing::Step<Capabilities>;

/// A connection being opened.
pub struct Opening {
    state: State,
    hello: String,
    /// TLS is demanded, and not in force yet.
    wants_tls: bool,
    tls: bool,
    login: Option<Login>,
    capabilities: Capabilities,
}

enum State {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Auth,
}

fn makes_no_sense(reply: &Reply) -> Failure {
    Failure::Unavailable(format!("the smarthost answers {reply}"))
}

impl Opening {
    /// A client that calls itself `hello`, over a connection that is secured as the server's settings say: with STARTTLS nothing
    /// but that is said without TLS. With a login nothing is sent without it.
    pub fn new(hello: &str, security: Security, login: Option<Login>) -> Opening {
        Opening {
            state: State::Greeting,
            hello: hello.to_owned(),
            wants_tls: security == Security::Starttls,
            tls: security == Security::Tls,
            login,
            capabilities: Capabilities::default(),
        }
    }

    /// Takes a reply. It is `async` only because hashing a password takes long enough to let others
    /// work in between.
    ///
    /// # Errors
    /// This server will not take the mail, or not now.
    pub async fn reply(&mut self, reply: &Reply) -> Result<Step, Failure> {
        if reply.code == 421 {
            return Err(makes_no_sense(reply));
        }
        match &mut self.state {
            State::Greeting if reply.code == 220 => Ok(self.ehlo()),
            State::Ehlo if reply.is_positive() => {
                self.capabilities = Capabilities::of(reply);
                self.after_hello()
            }
            // RFC 5321 section 4.1.4, for servers older than EHLO.
            State::Ehlo if reply.is_permanent() && !self.wants_tls && self.login.is_none() => {
                self.state = State::Helo;
                Ok(Step::send(&["HELO ", &self.hello]))
            }
            State::Helo if reply.is_positive() => self.after_hello(),
            State::StartTls if reply.code == 220 => Ok(Step::StartTls),
            State::Auth => self.auth(reply).await,
            _ => Err(makes_no_sense(reply)),
        }
    }

    /// TLS is in force: what was offered before does not count (RFC 3207 section 4.2).
    pub fn secured(&mut self) -> Step {
        (self.wants_tls, self.tls) = (false, true);
        self.capabilities = Capabilities::default();
        self.ehlo()
    }

    fn ehlo(&mut self) -> Step {
        self.state = State::Ehlo;
        Step::send(&["EHLO ", &self.hello])
    }

    fn after_hello(&mut self) -> Result<Step, Failure> {
        if self.wants_tls {
            if !self.capabilities.starttls {
                return Err(outgoing::Error::NoStartTls("it is not among its extensions".to_owned()).into());
            }
            self.state = State::StartTls;
            return Ok(Step::send(&["STARTTLS"]));
        }
        let Some(login) = &mut self.login else { return Ok(self.ready()) };
        let offered = &self.capabilities.mechanisms;
        let mechanisms = offered.iter().filter_map(|name| Mechanism::named(name)).collect();
        match login.begin(Offer { mechanisms, ..Offer::default() }, self.tls) {
            Ok(next) => self.say(next),
            Err(outgoing::Error::NoMechanism) => {
                let offer = if offered.is_empty() { "none".to_owned() } else { offered.join(", ") };
                let text = format!("the smarthost offers no way to log in that is known here, but {offer}");
                Err(Failure::Login(text))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// RFC 4954 section 4.
    fn say(&mut self, next: Next) -> Result<Step, Failure> {
        self.state = State::Auth;
        Ok(match next {
            Next::Auth(mechanism, Some(initial)) => Step::send(&["AUTH ", mechanism.name(), " ", &initial]),
            Next::Auth(mechanism, None) => Step::send(&["AUTH ", mechanism.name()]),
            Next::Response(line) => Step::Send(line),
            Next::Done => self.ready(),
            // POP3's and IMAP's own.
            Next::Apop(_) | Next::Command | Next::Password => return Err(outgoing::Error::NoMechanism.into()),
        })
    }

    fn ready(&mut self) -> Step {
        Step::Done(std::mem::take(&mut self.capabilities))
    }

    async fn auth(&mut self, reply: &Reply) -> Result<Step, Failure> {
        let Some(login) = &mut self.login else { return Err(makes_no_sense(reply)) };
        let answer = match reply.code {
            235 => Answer::Granted,
            334 => Answer::Challenge(reply.lines.first().map_or("", |line| line.trim())),
            code => Answer::Refused(about(code), reply.to_string()),
        };
        let next = login.answer(answer).await?;
        self.say(next)
    }
}

/// RFC 4954 sections 4 and 6: what the code of a refusal is about. The words do not count: many servers name an address for
/// support where the password is wrong.
fn about(code: u16) -> About {
    match code {
        // 432: first another mechanism, that the server may learn the password for this one; 534: it is too weak.
        432 | 500..=504 | 534 => About::Method,
        400..=499 => About::Now,
        _ => About::Login,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Secret, SourceAuth};
    use crate::outgoing::{Credentials, Proof};
    use crate::smtp::reply::ReplyReader;
    use data_encoding::BASE64;

    fn demo() -> Option<Login> {
        login("demo password")
    }

    fn login(password: &str) -> Option<Login> {
        let password = Secret::new(password).unwrap();
        Some(
            super::super::login(Credentials {
                username: "demo".into(),
                proof: Proof::Password(password, SourceAuth::Auto),
            })
            .unwrap(),
        )
    }

    /// `S:` is a line of the server, `C:` what the client says to a reply, `!` anything else it does.
    fn play(security: Security, login: Option<Login>, transcript: &str) {
        let mut opening = Opening::new("pillarbox.local", security, login);
        let mut reader = ReplyReader::default();
        let mut did = String::new();
        for expected in transcript.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let Some(line) = expected.strip_prefix("S: ") else {
                assert_eq!(std::mem::take(&mut did), expected);
                continue;
            };
            assert_eq!(did, "", "before {expected}");
            let Some(reply) = reader.line(line.as_bytes()).unwrap() else { continue };
            let next = async_io::block_on(opening.reply(&reply));
            did = match next {
                Ok(Step::StartTls) => {
                    let Step::Send(line) = opening.secured() else { panic!("no EHLO") };
                    format!("! handshake, C: {}", *line)
                }
                Ok(Step::Send(line)) => format!("C: {}", *line),
                Ok(Step::Done(found)) => format!("! ready, size {:?}", found.size),
                Ok(Step::Read) => panic!("nothing to say"),
                Err(Failure::Token(reason)) => format!("! token: {reason}"),
                Err(Failure::Login(reason)) => format!("! login: {reason}"),
                Err(Failure::Unavailable(reason)) => format!("! later: {reason}"),
            };
        }
        assert_eq!(did, "");
    }

    #[test]
    fn a_login_over_implicit_tls() {
        play(
            Security::Tls,
            demo(),
            "S: 220-smarthost.example
             S: 220 ESMTP
             C: EHLO pillarbox.local
             S: 250-smarthost.example
             S: 250-SIZE 1000
             S: 250 AUTH LOGIN PLAIN
             C: AUTH PLAIN AGRlbW8AZGVtbyBwYXNzd29yZA==
             S: 235 2.7.0 Welcome
             ! ready, size Some(1000)",
        );
    }

    #[test]
    fn starttls_is_demanded_and_forgets_what_was_offered_before() {
        play(
            Security::Starttls,
            demo(),
            "S: 220 smarthost.example
             C: EHLO pillarbox.local
             S: 250-smarthost.example
             S: 250-SIZE 5
             S: 250-AUTH PLAIN
             S: 250 STARTTLS
             C: STARTTLS
             S: 220 Go
             ! handshake, C: EHLO pillarbox.local
             S: 250-smarthost.example
             S: 250 AUTH=LOGIN
             C: AUTH LOGIN
             S: 334 VXNlcm5hbWU6
             C: ZGVtbw==
             S: 334 UGFzc3dvcmQ6
             C: ZGVtbyBwYXNzd29yZA==
             S: 235 Welcome
             ! ready, size None",
        );
        play(
            Security::Starttls,
            None,
            "S: 220 smarthost.example
             C: EHLO pillarbox.local
             S: 250 AUTH PLAIN
             ! later: the server offers no STARTTLS: it is not among its extensions. Set the smarthost's security to \"tls\", with the port that the provider tells for it.",
        );
        play(
            Security::Starttls,
            None,
            "S: 220 smarthost.example
             C: EHLO pillarbox.local
             S: 250-smarthost.example
             S: 250 STARTTLS
             C: STARTTLS
             S: 454 4.7.0 No entropy today
             ! later: the smarthost answers 454 4.7.0 No entropy today",
        );
    }

    #[test]
    fn logins_that_go_wrong() {
        let start = "S: 220 smarthost.example
             C: EHLO pillarbox.local
             S: 250-smarthost.example\n";
        for rest in [
            "S: 250 AUTH PLAIN
             C: AUTH PLAIN AGRlbW8AZGVtbyBwYXNzd29yZA==
             S: 535 5.7.8 Wrong
             ! login: 535 5.7.8 Wrong",
            "S: 250 AUTH PLAIN
             C: AUTH PLAIN AGRlbW8AZGVtbyBwYXNzd29yZA==
             S: 454 4.7.0 Directory is down
             ! login: 454 4.7.0 Directory is down",
            "S: 250 AUTH PLAIN
             C: AUTH PLAIN AGRlbW8AZGVtbyBwYXNzd29yZA==
             S: 421 4.3.2 Going down
             ! later: the smarthost answers 421 4.3.2 Going down",
            "S: 250 AUTH GSSAPI NTLM
             ! login: the smarthost offers no way to log in that is known here, but GSSAPI, NTLM",
            "S: 250 SIZE
             ! login: the smarthost offers no way to log in that is known here, but none",
            "S: 250 AUTH LOGIN
             C: AUTH LOGIN
             S: 334 !
             C: *
             S: 501 5.0.0 Cancelled
             ! login: the server's challenge makes no sense: not base64",
            "S: 250 AUTH PLAIN
             C: AUTH PLAIN AGRlbW8AZGVtbyBwYXNzd29yZA==
             S: 334
             C: *
             S: 501 5.0.0 Cancelled
             ! login: the server's challenge makes no sense: one more than the mechanism has",
        ] {
            play(Security::Tls, demo(), &format!("{start}{rest}"));
        }
    }

    /// Plays what follows on the offer of these mechanisms.
    fn offered(security: Security, mechanisms: &str, rest: &str) {
        let start = "S: 220 smarthost.example
             C: EHLO pillarbox.local
             S: 250-smarthost.example";
        play(security, demo(), &format!("{start}\nS: 250 AUTH {mechanisms}\n{rest}"));
    }

    /// Catches: a login that gives up when SCRAM is refused at its first message, which the server takes for a user without
    /// a verifier, and never tries PLAIN; and one that takes a wrong password for that.
    #[test]
    fn scram_that_is_refused_at_once_is_followed_by_plain() {
        // The first message holds a nonce.
        let mut opening = Opening::new("pillarbox.local", Security::Tls, demo());
        let mut reader = ReplyReader::default();
        let mut hear = |line: &str| {
            let reply = reader.line(line.as_bytes()).unwrap()?;
            Some(match async_io::block_on(opening.reply(&reply)) {
                Ok(Step::Send(line)) => line.to_string(),
                Ok(_) => "!".to_owned(),
                Err(failure) => failure.to_string(),
            })
        };
        hear("220 smarthost.example");
        hear("250-smarthost.example");
        let first = hear("250 AUTH PLAIN SCRAM-SHA-256 LOGIN").unwrap();
        assert!(first.starts_with("AUTH SCRAM-SHA-256 biws"), "{first}");
        let second = hear("535 5.7.8 Error: authentication failed: no secret in database");
        assert_eq!(second.unwrap(), "AUTH PLAIN AGRlbW8AZGVtbyBwYXNzd29yZA==");
        let end = "535-5.7.8 Username and Password not accepted. For more information, go to";
        assert_eq!(hear(end), None);
        let end = hear("535 5.7.8 https://support.example/mail").unwrap();
        assert!(end.starts_with("the smarthost refuses the login: 535 5.7.8"), "{end}");
    }

    /// Catches: a mechanism that the server takes back, or breaks, and that is the end although there is another; and a
    /// password that is shown without TLS to whoever broke the better mechanism.
    #[test]
    fn cram_md5_that_is_offered_and_broken_is_followed_by_plain_within_tls() {
        let plain = "C: AUTH PLAIN AGRlbW8AZGVtbyBwYXNzd29yZA==";
        let answered = "S: 334 PDFAYj4=\nC: ZGVtbyBiMWUzNWIwNTBjNzExNGQyNTQxZGI1MTMwOWFhMmNhNw==";
        for (broken, without_tls) in [
            ("S: 504 5.5.4 Unrecognized authentication type".to_owned(), plain),
            ("S: 535 5.7.8 No".to_owned(), plain),
            (
                "S: 334 not base64!\nC: *\nS: 501 5.7.0 Cancelled".to_owned(),
                "! login: the server's challenge makes no sense: not base64",
            ),
            (format!("{answered}\nS: 534 5.7.9 Mechanism too weak"), plain),
            (format!("{answered}\nS: 432 4.7.12 Password transition needed"), plain),
        ] {
            let dialog = |then| format!("C: AUTH CRAM-MD5\n{broken}\n{then}");
            offered(Security::Tls, "CRAM-MD5 PLAIN", &dialog(plain));
            offered(Security::None, "CRAM-MD5 PLAIN", &dialog(without_tls));
        }
        let dialog = format!("C: AUTH CRAM-MD5\n{answered}\nS: 535 5.7.8 Wrong\n! login: 535 5.7.8 Wrong");
        offered(Security::Tls, "CRAM-MD5 PLAIN", &dialog);
    }

    #[test]
    fn a_long_password_waits_for_the_challenge() {
        let login = login(&"x".repeat(400));
        let response = BASE64.encode(format!("\0demo\0{}", "x".repeat(400)).as_bytes());
        let transcript = "S: 220 smarthost.example
             C: EHLO pillarbox.local
             S: 250-smarthost.example
             S: 250 AUTH PLAIN
             C: AUTH PLAIN
             S: 334
             C: ";
        play(Security::Tls, login, &format!("{transcript}{response}\nS: 235 Welcome\n! ready, size None"));
    }

    #[test]
    fn servers_that_are_old_or_unwilling() {
        play(
            Security::Tls,
            None,
            "S: 220 old.example
             C: EHLO pillarbox.local
             S: 500 What?
             C: HELO pillarbox.local
             S: 250 old.example
             ! ready, size None",
        );
        play(
            Security::Tls,
            None,
            "S: 554 5.3.2 No service\n! later: the smarthost answers 554 5.3.2 No service",
        );
        play(
            Security::Tls,
            demo(),
            "S: 220 old.example
             C: EHLO pillarbox.local
             S: 500 What?
             ! later: the smarthost answers 500 What?",
        );
    }
}
