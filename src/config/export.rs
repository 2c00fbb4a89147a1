//! A configuration as TOML text that [`super::text::parse`] reads back.
//!
//! Every setting is written, so that the text says all, and means the same when a default changes.

use std::fmt::Write;

use super::Config;
use super::problem::Section;
use super::schema::Setting;

/// The text form, commented for the operator. With secrets it reads back as the same configuration
/// byte for byte; without them, as an edit of the stored one, whose secrets stay.
pub fn to_toml(config: &Config, with_secrets: bool) -> String {
    let mut text = String::from(match with_secrets {
        true => "# Pillarbox configuration WITH SECRETS: keep this file to yourself.\n",
        false => "# Pillarbox configuration without secrets: an import keeps the stored ones.\n",
    });
    text.push_str("# Durations are written 90s, 10m, 1h, 5d; sizes 500KiB, 25MiB, 1GiB.\n");
    let mut export = Export { config, with_secrets, text };
    let sections = Section::all(config);
    let first_app = sections.iter().find(|section| matches!(section, Section::AppPassword(..)));
    let first_source = sections.iter().find(|section| matches!(section, Section::Source(..)));
    for section in &sections {
        // What holds for the first account and the first source holds for all of them.
        let explained = match section {
            Section::Account(account) => *account == 0,
            Section::AppPassword(..) => Some(section) == first_app,
            Section::Source(..) => Some(section) == first_source,
            _ => true,
        };
        export.section(*section, explained);
    }
    export.text
}

struct Export<'a> {
    config: &'a Config,
    with_secrets: bool,
    text: String,
}

impl Export<'_> {
    fn section(&mut self, section: Section, explained: bool) {
        let header = match section {
            Section::OAuth2(..) | Section::SmarthostOAuth2 => return,
            Section::Account(_) => "[[account]]".to_owned(),
            Section::AppPassword(..) => "[[account.app_password]]".to_owned(),
            Section::Source(..) => "[[account.source]]".to_owned(),
            single => format!("[{}]", single.path(self.config)),
        };
        self.line(String::new(), "");
        self.line(header, "");
        for setting in section.settings() {
            let password = match section.password_forms() {
                Some((password, verifier)) if setting.key == verifier => password,
                _ => setting.key,
            };
            if setting.key == "id" && (!self.with_secrets || setting.is_empty(self.config, section)) {
                // Nobody types it.
                continue;
            }
            if self.is_hidden(section, setting) {
                self.line(format!("# {password} = \"…\""), "as stored; given here it is changed");
            } else if setting.key == "operator_verifier" && setting.is_empty(self.config, section) {
                self.line(format!("{password} = \"\""), "for updates over HTTP; empty: none are taken");
            } else if setting.key == "verifier" && setting.is_empty(self.config, section) {
                self.line("# password = \"…\"".to_owned(), "not set yet");
            } else if let Some(value) = setting.print(self.config, section) {
                let comment = if explained { setting.help } else { "" };
                self.line(format!("{} = {value}", setting.key), comment);
            }
            if setting.key == "auth"
                && let Some(oauth2) = section.oauth2()
            {
                self.oauth2(oauth2);
            }
        }
    }

    /// Whether it is a secret to keep back. An empty one is written, since a missing one means
    /// the stored one.
    fn is_hidden(&self, section: Section, setting: &Setting) -> bool {
        setting.secret && !self.with_secrets && !setting.is_empty(self.config, section)
    }

    /// An OAuth 2.0 client is a table on one line.
    fn oauth2(&mut self, section: Section) {
        let (hidden, open): (Vec<_>, Vec<_>) =
            section.settings().iter().partition(|setting| self.is_hidden(section, setting));
        let pairs: Vec<_> = open
            .iter()
            .filter_map(|setting| Some(format!("{} = {}", setting.key, setting.print(self.config, section)?)))
            .collect();
        if pairs.is_empty() {
            return;
        }
        let hidden: Vec<_> = hidden.iter().map(|setting| setting.key).collect();
        let comment = match hidden.is_empty() {
            true => String::new(),
            false => format!("{} as stored; given here they are changed", hidden.join(" and ")),
        };
        self.line(format!("oauth2 = {{ {} }}", pairs.join(", ")), &comment);
    }

    /// One line, its comment in the column of the others where there is room.
    fn line(&mut self, line: String, comment: &str) {
        const COLUMN: usize = 42;
        // Writing to a String cannot fail.
        let _ = match comment {
            "" => writeln!(self.text, "{line}"),
            _ => writeln!(self.text, "{line:COLUMN$}  # {comment}"),
        };
    }
}
