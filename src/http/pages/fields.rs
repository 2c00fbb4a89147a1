//! Settings as fields of a form, made from the one table of settings: they are shown and taken, with mistakes beside each
//! field.

use askama::Template;
use data_encoding::BASE64URL_NOPAD;
use ring::hmac;

use crate::config::typed::{self, FormInput};
use crate::config::{Config, path};
use crate::http::form::Form;
use crate::http::visit::FieldErrors;
use crate::http::words::Words;

/// What a form shows in place of a secret that is set or was typed before. A field that still holds it leaves the secret as it
/// is.
pub const STARS: &str = "********";

/// Octets of a mark: enough that different values have different marks.
const MARK: usize = 9;

/// One field of a form. Its template is in the binary once, as a template of its own: `include` would copy it into each form.
#[derive(Template)]
#[template(path = "field.html")]
pub struct Field {
    pub name: &'static str,
    /// The field's `id` within the page.
    pub id: String,
    pub label: &'static str,
    /// Whether the field is shown below the label of the one above it.
    pub is_sub: bool,
    /// Whether the field cannot be changed; then the note says why.
    pub is_off: bool,
    pub note: String,
    pub wrong: String,
    pub input: Input,
    /// The mark of the value in force, see [`Marks`]; empty where there is none.
    pub mark: String,
}

/// The kind of input, with the value that it shows.
pub enum Input {
    Check(bool),
    /// The words to choose from, and the chosen one.
    Select(Vec<&'static str>, String),
    Text(String),
    Lines(String),
    Password(&'static str),
}

impl Field {
    /// The `id`s of the texts that describe the field, for people who do not see the page.
    pub fn described_by(&self) -> Option<String> {
        let parts = [(&self.note, "note"), (&self.wrong, "wrong")];
        let ids =
            parts.iter().filter(|(text, _)| !text.is_empty()).map(|(_, is)| format!("{}-{is}", self.id));
        let ids = ids.collect::<Vec<_>>().join(" ");
        (!ids.is_empty()).then_some(ids)
    }

    /// The field with a note.
    pub fn noted(mut self, note: impl Into<String>) -> Field {
        self.note = note.into();
        self
    }

    /// The field, shown below the one above it.
    pub fn sub(mut self) -> Field {
        self.is_sub = true;
        self
    }

    /// The field, which cannot be changed for the reason `why`.
    pub fn off(mut self, why: impl Into<String>) -> Field {
        self.is_off = true;
        self.noted(why)
    }
}

/// Makes marks: each field sends back the mark of the value that was in force when it was shown. So two people who change the
/// same settings at the same time do not undo each other's work. A mark does not reveal the value.
#[derive(Clone, Copy)]
pub struct Marks<'a> {
    key: &'a [u8],
    config: &'a Config,
}

impl<'a> Marks<'a> {
    /// Makes marks of the values in force.
    pub fn new(key: &'a [u8], config: &'a Config) -> Marks<'a> {
        Marks { key, config }
    }

    /// The mark of the setting at `path`.
    fn of(&self, path: &str) -> String {
        self.of_value(path::get(self.config, path, true).ok())
    }

    /// The mark of an account or source with this identity.
    pub fn of_identity(&self, id: u64) -> String {
        self.of_value(Some(format!("identity {id}")))
    }

    fn of_value(&self, value: Option<String>) -> String {
        let Some(value) = value.map(zeroize::Zeroizing::new) else { return String::new() };
        let signed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, self.key), value.as_bytes());
        BASE64URL_NOPAD.encode(signed.as_ref().get(..MARK).unwrap_or_default())
    }

    /// Keeps in `candidate` what somebody else has set since the form was shown, where this form has not changed it. Reports
    /// those of `keys` that both have changed, to different values.
    pub fn merge(
        &self,
        candidate: &mut Config,
        section: &str,
        keys: &[&'static str],
        form: &Form,
        what: &str,
    ) -> FieldErrors {
        let mut wrong = Vec::new();
        for key in keys {
            let path = format!("{section}.{key}");
            let Some(shown) = form.get(&format!("was.{key}")) else { continue };
            let Ok(now) = path::get(self.config, &path, true).map(zeroize::Zeroizing::new) else { continue };
            let typed = self.of_value(path::get(candidate, &path, true).ok());
            let in_force = self.of(&path);
            if shown == in_force || typed == in_force {
                continue;
            }
            if typed != shown {
                wrong.push((path, what.to_owned()));
            } else if let Err(error) = path::set(candidate, &path, &now) {
                wrong.push((path, error.to_string()));
            }
        }
        wrong
    }
}

/// The fields of a form for the settings of one section.
pub struct Fields<'a> {
    config: &'a Config,
    marks: Marks<'a>,
    /// The section's path.
    section: String,
    words: &'static Words,
    /// The form as it was typed, where something in it has to be mended.
    typed: Option<&'a Form>,
    /// The paths of settings, and what is wrong with each.
    wrong: &'a [(String, String)],
}

impl<'a> Fields<'a> {
    /// Fields with the settings in force.
    pub fn new(config: &'a Config, section: &str, words: &'static Words, marks: Marks<'a>) -> Fields<'a> {
        Fields { config, marks, section: section.to_owned(), words, typed: None, wrong: &[] }
    }

    /// Fields as they were typed, with what is wrong, if anything is.
    pub fn mended(self, form: &'a Form, wrong: &'a [(String, String)]) -> Fields<'a> {
        Fields { typed: (!wrong.is_empty()).then_some(form), wrong, ..self }
    }

    /// The field of one setting.
    pub fn field(&self, key: &'static str) -> Field {
        let path = format!("{}.{key}", self.section);
        let (value, help) = typed::get(self.config, &path).unwrap_or((FormInput::Text(String::new()), ""));
        // A box that is not ticked is not sent, but its mark is. If neither was sent, the field is not on the form that was
        // sent.
        let is_on_form = |form: &&Form| form.has(key) || form.has(&format!("was.{key}"));
        let typed = self.typed.filter(is_on_form).map(|form| form.get(key));
        let text = |now: String| typed.map_or(now, |typed| typed.unwrap_or_default().to_owned());
        let input = match value {
            FormInput::Switch(on) => Input::Check(typed.map_or(on, |typed| typed.is_some())),
            FormInput::Choice { words, chosen } => Input::Select(words, text(chosen)),
            FormInput::Text(now) => Input::Text(text(now)),
            FormInput::Lines(now) => Input::Lines(text(now.join("\n"))),
            FormInput::Secret(is_set) => {
                let is_there = typed.map_or(is_set, |typed| typed.is_some_and(|typed| !typed.is_empty()));
                Input::Password(if is_there { STARS } else { "" })
            }
        };
        let wrong = self.wrong.iter().filter(|(at, _)| *at == path).map(|(_, what)| what.as_str());
        Field {
            name: key,
            id: path.replace('.', "-"),
            label: self.words.label(&self.section, key).unwrap_or(help),
            is_sub: false,
            is_off: false,
            note: String::new(),
            wrong: wrong.collect::<Vec<_>>().join("; "),
            input,
            mark: self.marks.of(&path),
        }
    }

    /// The fields of the settings `keys`.
    pub fn of(&self, keys: &[&'static str]) -> Vec<Field> {
        keys.iter().map(|key| self.field(key)).collect()
    }
}

/// The mistakes that have no field among `fields`, one line each.
pub fn others<'a>(wrong: &[(String, String)], fields: impl Iterator<Item = &'a Field>) -> Vec<String> {
    let shown: Vec<&str> = fields.map(|field| field.id.as_str()).collect();
    let is_other = |(path, _): &&(String, String)| !shown.contains(&path.replace('.', "-").as_str());
    let told = |(path, what): &(String, String)| match path.is_empty() {
        true => what.clone(),
        false => format!("{path}: {what}"),
    };
    wrong.iter().filter(is_other).map(told).collect()
}

/// Takes over what was typed for the settings `keys` of the section at `section`. Returns what is wrong with which of them. A
/// box that is not ticked is not sent. Any other field that was not sent stays as it is, and so does a secret that is
/// [`STARS`]. A port that nobody has chosen stays the usual one for the protocol and security.
pub fn take(config: &mut Config, section: &str, keys: &[&'static str], form: &Form) -> FieldErrors {
    let mut wrong = Vec::new();
    let usual_port = path::ports(config, section).filter(|(port, usual)| port == usual);
    let usual_port = usual_port.map(|(port, _)| port.to_string());
    for key in keys {
        let path = format!("{section}.{key}");
        let typed = match (typed::get(config, &path), form.get(key)) {
            (Ok((FormInput::Switch(_), _)), typed) => {
                if typed.is_some() {
                    "true"
                } else {
                    "false"
                }
            }
            (Ok((FormInput::Secret(_), _)), Some(STARS)) | (_, None) => continue,
            (_, Some(typed)) if *key == "port" && usual_port.as_deref() == Some(typed.trim()) => continue,
            (_, Some(typed)) => typed,
        };
        if let Err(error) = typed::set(config, &path, typed) {
            let error = error.to_string();
            let what = error.strip_prefix(&format!("{path}: ")).unwrap_or(&error).to_owned();
            wrong.push((path, what));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Verifier;
    use crate::http::words;

    /// Catches: a secret that is shown or lost, a box that cannot be unticked, and a mistake that is not shown beside its
    /// field.
    #[test]
    fn what_is_typed_is_taken_and_what_is_not_stays() {
        let mut config = Config::demonstration(Verifier::with("x", 4096, [0; 16]));
        path::set_secret(&mut config, "smarthost.password", "hush").unwrap();
        const KEYS: &[&str] =
            &["host", "port", "password", "per_account_authentication", "retry", "security"];
        let form = |text: &str| Form::parse(text.as_bytes()).unwrap();
        let typed =
            form("host=smtp.example&password=********&per_account_authentication=on&retry=1m%0d%0a2m");
        assert_eq!(take(&mut config, "smarthost", KEYS, &typed), []);
        assert_eq!((config.smarthost.password.reveal(), config.smarthost.port), ("hush", 465));
        assert_eq!(config.smarthost.retry, [60, 120]);
        assert!(config.smarthost.per_account_authentication);
        // The port was not touched: it follows the security.
        assert_eq!(
            take(&mut config, "smarthost", &["security", "port"], &form("security=starttls&port=465")),
            []
        );
        assert_eq!(config.smarthost.port, 587);
        assert_eq!(
            take(&mut config, "smarthost", &["security", "port"], &form("security=tls&port=2525")),
            []
        );
        assert_eq!(config.smarthost.port, 2525);
        assert_eq!(
            take(&mut config, "smarthost", &["security", "port"], &form("security=starttls&port=2525")),
            []
        );
        assert_eq!(config.smarthost.port, 2525);
        let typed = form("port=x&password=&security=tls");
        let wrong = take(&mut config, "smarthost", KEYS, &typed);
        assert!(config.smarthost.password.is_empty() && !config.smarthost.per_account_authentication);
        let words = words::preferred("");
        let fields = Fields::new(&config, "smarthost", words, Marks::new(b"key", &config))
            .mended(&typed, &wrong)
            .of(KEYS);
        let port = fields.iter().find(|field| field.name == "port").unwrap();
        assert!(matches!(&port.input, Input::Text(text) if text == "x"));
        assert_eq!(port.wrong, "\"x\" is not a port from 1 to 65535");
        assert_eq!(port.described_by().unwrap(), "smarthost-port-wrong");
        assert_eq!(others(&wrong, fields.iter()), [""; 0]);
        assert_eq!(others(&[("a.b".to_owned(), "c".to_owned())], fields.iter()), ["a.b: c"]);
    }

    /// Catches: the later of two people who change settings at the same time, who undoes the other's change without being
    /// told, or is refused although they changed different settings.
    #[test]
    fn what_somebody_else_has_changed_meanwhile_stays() {
        let words = words::preferred("");
        let shown = Config::demonstration(Verifier::with("x", 4096, [0; 16]));
        const KEYS: &[&str] = &["host", "port", "username", "password", "retry"];
        let fields = Fields::new(&shown, "smarthost", words, Marks::new(b"key", &shown)).of(KEYS);
        let marks =
            fields.iter().map(|field| format!("&was.{}={}", field.name, field.mark)).collect::<String>();
        assert_eq!(marks.matches("&was.").count(), KEYS.len());
        let mut now = shown.clone();
        for (path, value) in
            [("smarthost.host", "b.example"), ("smarthost.port", "587"), ("smarthost.username", "b")]
        {
            path::set(&mut now, path, value).unwrap();
        }
        path::set_secret(&mut now, "smarthost.password", "theirs").unwrap();
        // The host and the time of retries were not touched, the port is the same as in the other change, the name is
        // different.
        let form = format!("host=&port=587&username=a&password=&retry=1m{marks}");
        let form = Form::parse(form.as_bytes()).unwrap();
        let mut candidate = now.clone();
        assert_eq!(take(&mut candidate, "smarthost", KEYS, &form), []);
        let wrong = Marks::new(b"key", &now).merge(&mut candidate, "smarthost", KEYS, &form, "changed");
        assert_eq!(wrong, [("smarthost.username".to_owned(), "changed".to_owned())]);
        assert_eq!((&*candidate.smarthost.host, candidate.smarthost.port), ("b.example", 587));
        assert_eq!(
            (candidate.smarthost.password.reveal(), &*candidate.smarthost.retry),
            ("theirs", &[60][..])
        );
        // Whoever sends the form again has seen the other change: the marks are now those of the values in force.
        let again = Fields::new(&now, "smarthost", words, Marks::new(b"key", &now)).of(&["username"]);
        let form = format!("username=a&was.username={}", again[0].mark);
        let form = Form::parse(form.as_bytes()).unwrap();
        assert_eq!(take(&mut candidate, "smarthost", &["username"], &form), []);
        assert_eq!(Marks::new(b"key", &now).merge(&mut candidate, "smarthost", &["username"], &form, ""), []);
        assert_eq!(candidate.smarthost.username, "a");
    }
}
