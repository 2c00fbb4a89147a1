//! Settings as fields of a form, from the one table of settings: shown, taken, and what is wrong beside each.

use crate::config::Config;
use crate::config::typed::{self, Typed};
use crate::http::form::Form;
use crate::http::visit::Wrong;
use crate::http::words::Words;

/// Stands in a form for a secret that is set, or was typed before, and not shown: left as it is, the secret stays.
pub const STARS: &str = "********";

/// One field.
pub struct Field {
    pub name: &'static str,
    /// Names it within the page.
    pub id: String,
    pub label: &'static str,
    /// Below the label of one above it.
    pub is_sub: bool,
    /// Cannot be changed; the note says why.
    pub is_off: bool,
    pub note: String,
    pub wrong: String,
    pub input: Input,
}

/// What it is typed in by.
pub enum Input {
    Check(bool),
    /// Words, and the chosen one.
    Select(Vec<&'static str>, String),
    Text(String),
    Lines(String),
    Password(&'static str),
}

impl Field {
    /// What describes it, for who does not see the page.
    pub fn described_by(&self) -> Option<String> {
        let parts = [(&self.note, "note"), (&self.wrong, "wrong")];
        let ids =
            parts.iter().filter(|(text, _)| !text.is_empty()).map(|(_, is)| format!("{}-{is}", self.id));
        let ids = ids.collect::<Vec<_>>().join(" ");
        (!ids.is_empty()).then_some(ids)
    }

    /// With a word on it.
    pub fn noted(mut self, note: impl Into<String>) -> Field {
        self.note = note.into();
        self
    }

    /// Below the one above it.
    pub fn sub(mut self) -> Field {
        self.is_sub = true;
        self
    }

    /// Cannot be changed, for this reason.
    pub fn off(mut self, why: impl Into<String>) -> Field {
        self.is_off = true;
        self.noted(why)
    }
}

/// A form about the settings of one section.
pub struct Fields<'a> {
    config: &'a Config,
    /// The section's path.
    section: String,
    words: &'static Words,
    /// What was typed, where that is to be mended.
    typed: Option<&'a Form>,
    /// Paths and what is wrong with them.
    wrong: &'a [(String, String)],
}

impl<'a> Fields<'a> {
    /// As the settings are.
    pub fn new(config: &'a Config, section: &str, words: &'static Words) -> Fields<'a> {
        Fields { config, section: section.to_owned(), words, typed: None, wrong: &[] }
    }

    /// As they were typed, if `wrong` has anything, with that.
    pub fn mended(self, form: &'a Form, wrong: &'a [(String, String)]) -> Fields<'a> {
        Fields { typed: (!wrong.is_empty()).then_some(form), wrong, ..self }
    }

    /// The field of one setting.
    pub fn field(&self, key: &'static str) -> Field {
        let path = format!("{}.{key}", self.section);
        let (value, help) = typed::get(self.config, &path).unwrap_or((Typed::Text(String::new()), ""));
        let typed = self.typed.map(|form| form.get(key));
        let text = |now: String| typed.map_or(now, |typed| typed.unwrap_or_default().to_owned());
        let input = match value {
            Typed::Switch(on) => Input::Check(typed.map_or(on, |typed| typed.is_some())),
            Typed::Choice { words, chosen } => Input::Select(words, text(chosen)),
            Typed::Text(now) => Input::Text(text(now)),
            Typed::Lines(now) => Input::Lines(text(now.join("\n"))),
            Typed::Secret(is_set) => {
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
        }
    }

    /// Those of some, as they were typed, with what is wrong with them.
    pub fn of_mended(
        &self,
        keys: &[&'static str],
        form: &'a Form,
        wrong: &'a [(String, String)],
    ) -> Vec<Field> {
        let Fields { config, words, .. } = *self;
        Fields::new(config, &self.section, words).mended(form, wrong).of(keys)
    }

    /// The fields of some.
    pub fn of(&self, keys: &[&'static str]) -> Vec<Field> {
        keys.iter().map(|key| self.field(key)).collect()
    }
}

/// What is wrong and has no field among `fields`, a line each.
pub fn others<'a>(wrong: &[(String, String)], fields: impl Iterator<Item = &'a Field>) -> Vec<String> {
    let shown: Vec<&str> = fields.map(|field| field.id.as_str()).collect();
    let is_other = |(path, _): &&(String, String)| !shown.contains(&path.replace('.', "-").as_str());
    let told = |(path, what): &(String, String)| match path.is_empty() {
        true => what.clone(),
        false => format!("{path}: {what}"),
    };
    wrong.iter().filter(is_other).map(told).collect()
}

/// Takes what was typed for the settings `keys` of the section at `section` over: what is wrong with which. A box that is not
/// ticked is not sent; any other field that was not sent stays as it is, and so does a secret of nothing but stars.
pub fn take(config: &mut Config, section: &str, keys: &[&'static str], form: &Form) -> Wrong {
    let mut wrong = Vec::new();
    for key in keys {
        let path = format!("{section}.{key}");
        let typed = match (typed::get(config, &path), form.get(key)) {
            (Ok((Typed::Switch(_), _)), typed) => {
                if typed.is_some() {
                    "true"
                } else {
                    "false"
                }
            }
            (Ok((Typed::Secret(_), _)), Some(STARS)) | (_, None) => continue,
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
    use crate::config::path;
    use crate::credential::Verifier;
    use crate::http::words;

    /// Catches: a secret that is shown or lost, a box that cannot be unticked, and a mistake that is not told beside its field.
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
        let typed = form("port=x&password=&security=tls");
        let wrong = take(&mut config, "smarthost", KEYS, &typed);
        assert!(config.smarthost.password.is_empty() && !config.smarthost.per_account_authentication);
        let words = words::preferred("");
        let fields = Fields::new(&config, "smarthost", words).mended(&typed, &wrong).of(KEYS);
        let port = fields.iter().find(|field| field.name == "port").unwrap();
        assert!(matches!(&port.input, Input::Text(text) if text == "x"));
        assert_eq!(port.wrong, "\"x\" is not a port from 1 to 65535");
        assert_eq!(port.described_by().unwrap(), "smarthost-port-wrong");
        assert_eq!(others(&wrong, fields.iter()), [""; 0]);
        assert_eq!(others(&[("a.b".to_owned(), "c".to_owned())], fields.iter()), ["a.b: c"]);
    }
}
