//! `show connect`: what is typed into a telephone or a mail program, and the page that sets up a device by itself.

use super::session::{Session, Step};
use crate::certificate;
use crate::config::{Security, ServerProtocol};
use crate::operator::{World, qr};

impl Session {
    pub(super) fn show_connect(&mut self, world: &dyn World, words: &[&str]) -> Step {
        let config = world.config();
        let login = match words {
            [name, ..] => match config.account(name) {
                Some(account) => account.address.to_string(),
                None => return Step::Refuse(crate::config::path::no_such_account(&config, name).to_string()),
            },
            [] => "the address of the account".to_owned(),
        };
        let host = certificate::name_for_clients(&config, world.announced().as_deref());
        let mut text = format!(
            "login     {login}\npassword  the account's, or better an app password: `add app-password`\n"
        );
        for (what, protocol) in [
            ("IMAP", ServerProtocol::Imap),
            ("POP3", ServerProtocol::Pop3),
            ("SMTP", ServerProtocol::Submission),
        ] {
            let Some((security, port)) = config.listen.ports(protocol).next() else { continue };
            let security = if security == Security::Tls { "TLS" } else { "STARTTLS" };
            text += &format!("{what:<8}  {host}, port {port}, {security}\n");
        }
        if let Some(ca) = config.listen.http.first().filter(|_| !certificate::is_given(&config)) {
            text += &format!("trust     {}\n", page("http", &host, ca.port(), 80, "ca.crt"));
        }
        let Some(https) = config.listen.https.first() else { return Step::Say(text) };
        let mine = page("https", &host, https.port(), 443, "mine");
        text += &format!("page      {mine}, with a profile for an iPhone, iPad or Mac\n");
        if let Some(code) = qr::half_blocks(&mine).filter(|_| !self.is_dumb) {
            text += &format!("\n{code}");
        }
        Step::Say(text)
    }
}

fn page(scheme: &str, host: &str, port: u16, usual: u16, path: &str) -> String {
    let port = if port == usual { String::new() } else { format!(":{port}") };
    format!("{scheme}://{host}{port}/{path}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::console::tests::Pretended;
    use std::rc::Rc;

    fn said(step: Step) -> String {
        match step {
            Step::Say(text) => text,
            other => panic!("{other:?}"),
        }
    }

    /// Catches: a port that is not served or not the best one, a code that a dumb terminal shows as rubbish, and an account that there
    /// is not.
    #[test]
    fn a_device_is_connected_by_what_is_shown() {
        let world = Pretended::new();
        let mut session = Session::at_a_terminal(&world, false);
        let text = said(session.show_connect(&world, &["demo"]));
        for line in [
            "login     demo@home.example\n",
            "IMAP      pillarbox.local, port 1993, TLS\n",
            "POP3      pillarbox.local, port 1995, TLS\n",
            "SMTP      pillarbox.local, port 1465, TLS\n",
            "trust     http://pillarbox.local:1080/ca.crt\n",
            "page      https://pillarbox.local:1443/mine,",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        let code = qr::half_blocks("https://pillarbox.local:1443/mine").unwrap();
        assert!(text.ends_with(&code), "{text}");
        let mut dumb = Session::at_a_terminal(&world, true);
        let text = said(dumb.show_connect(&world, &["demo"]));
        assert!(text.is_ascii() && text.contains("1443/mine"), "{text}");
        assert!(
            matches!(dumb.show_connect(&world, &["nobody"]), Step::Refuse(why) if why.contains("nobody"))
        );

        let mut config = Config::clone(&world.config());
        config.listen.imaps.clear();
        config.listen.pop3s.clear();
        config.listen.pop3.clear();
        config.listen.https.clear();
        *world.config.borrow_mut() = Rc::new(config);
        let text = said(session.show_connect(&world, &[]));
        assert!(text.contains("IMAP      pillarbox.local, port 1143, STARTTLS\n"), "{text}");
        assert!(!text.contains("POP3") && !text.contains("page"), "{text}");
    }
}
