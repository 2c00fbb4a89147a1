//! The `show` commands that need no more than a look.

use super::session::{Session, Step};
use super::show;
use crate::certificate::in_lines;
use crate::config::{export, path, shown};
use crate::message::date::rfc5322;
use crate::net::certificate::Certificate;
use crate::operator::World;

impl Session {
    pub(super) fn show_status(&mut self, world: &dyn World, words: &[&str]) -> Step {
        let status = world.status();
        Step::Say(if words.is_empty() { status.to_string() } else { status.to_json() + "\n" })
    }
    pub(super) fn show_accounts(&mut self, _: &dyn World, _: &[&str]) -> Step {
        Step::Say(show::accounts(&self.candidate))
    }
    pub(super) fn show_sources(&mut self, world: &dyn World, _: &[&str]) -> Step {
        Step::Say(show::sources(&world.status()))
    }
    pub(super) fn show_flash(&mut self, world: &dyn World, _: &[&str]) -> Step {
        Step::Say(show::flash(&world.status()))
    }
    pub(super) fn show_refusals(&mut self, world: &dyn World, _: &[&str]) -> Step {
        let refusals = world.refusals();
        Step::Say(match refusals.is_empty() {
            true => "no login was refused since the start\n".to_owned(),
            false => refusals.join("\n") + "\n",
        })
    }
    pub(super) fn show_sessions(&mut self, world: &dyn World, _: &[&str]) -> Step {
        Step::Say(show::sessions(&world.sessions()))
    }
    pub(super) fn disconnect(&mut self, world: &dyn World, words: &[&str]) -> Step {
        let number = words.concat();
        match number.parse().is_ok_and(|id| world.disconnect(id)) {
            true => Step::Say(String::new()),
            false => Step::Refuse(format!("there is no session {number}: see `show sessions`")),
        }
    }
    pub(super) fn show_config(&mut self, _: &dyn World, words: &[&str]) -> Step {
        match words.first() {
            None => Step::Say(export::to_toml(&self.candidate, false)),
            Some(path) => match shown::at(&self.candidate, path) {
                Ok(lines) => Step::Say(lines),
                Err(error) => Step::Refuse(error.to_string()),
            },
        }
    }
    pub(super) fn show_account(&mut self, world: &dyn World, words: &[&str]) -> Step {
        let name = words.concat();
        match self.candidate.account(&name) {
            Some(account) => Step::Say(show::account(account, &self.candidate, &world.status())),
            None => Step::Refuse(path::no_such_account(&self.candidate, &name).to_string()),
        }
    }
    pub(super) fn show_changes(&mut self, _: &dyn World, _: &[&str]) -> Step {
        let changes = shown::changes(&self.base, &self.candidate);
        Step::Say(match changes.is_empty() {
            true => "nothing was changed since the last `commit`\n".to_owned(),
            false => changes.join("\n") + "\n",
        })
    }

    pub(super) fn show_certificate(&mut self, world: &dyn World, _: &[&str]) -> Step {
        let [server, ca] = world.certificates();
        let Some(server) = server else {
            return Step::Refuse("there is no certificate that can be read: see the log".to_owned());
        };
        let mut text = certificate("server", &server);
        match ca {
            Some(ca) => text += &format!("\n{}", certificate("CA", &ca)),
            None => text += "\nit comes from elsewhere, not from a CA of this appliance\n",
        }
        Step::Say(text)
    }
}

/// All about a certificate.
fn certificate(title: &str, of: &Certificate) -> String {
    let date = |time: u64| rfc5322(i64::try_from(time).unwrap_or(i64::MAX));
    let unknown = || "unknown".to_owned();
    let or_none = |text: &str| if text.is_empty() { unknown() } else { text.to_owned() };
    let signed = match of.is_self_signed() {
        true => "itself".to_owned(),
        false => or_none(&of.issuer),
    };
    let names = if of.names.is_empty() { "-".to_owned() } else { of.names.join(", ") };
    let (from, until) = of.period.map_or((unknown(), unknown()), |(from, until)| (date(from), date(until)));
    let fingerprint = in_lines(&of.fingerprint, "             ");
    format!(
        "{title:11}  {}\nnames        {names}\nvalid from   {from}\nvalid until  {until}\nsigned by    {signed}\nSHA-256      {}",
        or_none(&of.subject),
        fingerprint.trim_start()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a fingerprint that cannot be compared, and a period that nobody understands.
    #[test]
    fn a_certificate_is_told_as_people_compare_it() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(["mail.example".to_owned()]).unwrap();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "mail.example");
        parameters.not_after = rcgen::date_time_ymd(2027, 1, 2);
        let made = parameters.self_signed(&key).unwrap();
        let of = Certificate::of(made.der());
        let text = certificate("server", &of);
        let wanted = ["server       mail.example", "names        mail.example", "signed by    itself"];
        assert!(wanted.iter().all(|line| text.lines().any(|told| told == *line)), "{text}");
        assert!(
            text.contains("valid until  Sat, 2 Jan 2027") || text.contains("valid until  Sat, 02 Jan 2027"),
            "{text}"
        );
        let told: String = text.split_once("SHA-256").unwrap().1.split_whitespace().collect();
        assert_eq!(told, of.fingerprint);
        assert!(text.lines().all(|line| line.len() < 80), "{text}");
    }
}
