//! The texts of the pages, one table for each language: a text that is missing in one does not compile.
//!
//! Reports of the appliance itself (remarks, errors of settings, the answers of other servers) are English in every language,
//! so that they can be searched for.

mod english;
mod german;

use english::ENGLISH;
use german::GERMAN;

use crate::operator::status::span;

/// The texts of one language. Each field is named by what it says.
#[allow(missing_docs)]
pub struct Words {
    /// A time after now.
    pub future: &'static str,
    /// The language tag (RFC 5646).
    pub language: &'static str,
    pub account: &'static str,
    pub account_name: &'static str,
    pub account_name_how: &'static str,
    pub accounts: &'static str,
    pub add: &'static str,
    pub add_source: &'static str,
    pub all_is_well: &'static str,
    pub app_name: &'static str,
    pub app_password_is: &'static str,
    pub app_passwords: &'static str,
    pub app_passwords_how: &'static str,
    pub are_you_sure: &'static str,
    pub backup: &'static str,
    pub backup_back: &'static str,
    pub backup_how: &'static str,
    pub cancel: &'static str,
    pub card_is_full: &'static str,
    pub certificate: &'static str,
    pub certificate_how: &'static str,
    pub certificate_of_ca: &'static str,
    pub certificate_of_server: &'static str,
    pub change_password: &'static str,
    pub changed_by_another: &'static str,
    pub changed_meanwhile: &'static str,
    pub collect_now: &'static str,
    pub collected_since: &'static str,
    pub collecting: &'static str,
    pub collecting_now: &'static str,
    pub confirm: &'static str,
    pub confirmed: &'static str,
    pub connect_device: &'static str,
    pub connect_how: &'static str,
    pub connect_next: &'static str,
    pub connector_is_inactive: &'static str,
    pub connector_needs_imap: &'static str,
    pub disabled: &'static str,
    pub disconnect: &'static str,
    pub do_it: &'static str,
    pub done: &'static str,
    pub download: &'static str,
    pub failed: &'static str,
    pub first_account: &'static str,
    pub first_house: &'static str,
    pub first_house_how: &'static str,
    pub first_house_name: &'static str,
    pub first_known: &'static str,
    pub first_known_how: &'static str,
    pub first_operator: &'static str,
    pub first_operator_how: &'static str,
    pub first_source: &'static str,
    pub first_source_how: &'static str,
    pub for_a_camera: &'static str,
    pub for_the_operator: &'static str,
    pub form_is_old: &'static str,
    pub general: &'static str,
    pub going_out: &'static str,
    pub held: &'static str,
    pub hold: &'static str,
    pub https_is_off: &'static str,
    pub i_am_new: &'static str,
    pub in_doubt: &'static str,
    pub issued_by: &'static str,
    pub lan_only: &'static str,
    pub last_collected: &'static str,
    pub last_logins: &'static str,
    pub last_seen: &'static str,
    pub last_used: &'static str,
    pub log: &'static str,
    pub log_in: &'static str,
    pub log_in_to_see: &'static str,
    pub log_out: &'static str,
    pub logged_out: &'static str,
    pub login: &'static str,
    pub login_is_wrong: &'static str,
    pub login_who: &'static str,
    pub look_again: &'static str,
    pub mail_services: &'static str,
    pub mailboxes_elsewhere: &'static str,
    pub make_app_password: &'static str,
    pub memory: &'static str,
    pub memory_card: &'static str,
    pub message_is_busy: &'static str,
    pub messages: &'static str,
    pub messages_wait: &'static str,
    pub make_profile: &'static str,
    pub mine: &'static str,
    pub more: &'static str,
    pub moved_how: &'static str,
    pub multipop_is_off: &'static str,
    pub new_account: &'static str,
    pub new_password: &'static str,
    pub new_source: &'static str,
    pub no_logins: &'static str,
    pub no_operator_how: &'static str,
    pub no_operator_yet: &'static str,
    pub no_refusals: &'static str,
    pub no_sources: &'static str,
    pub nobody_connected: &'static str,
    pub not_collected_yet: &'static str,
    pub not_logged_in: &'static str,
    pub not_saved: &'static str,
    pub not_used: &'static str,
    pub nothing_on_trial: &'static str,
    pub nothing_to_collect: &'static str,
    pub nothing_to_do: &'static str,
    pub nothing_waits: &'static str,
    pub nothing_was_sent: &'static str,
    pub off: &'static str,
    pub old_password: &'static str,
    pub on: &'static str,
    pub on_trial: &'static str,
    pub once_more: &'static str,
    pub one_source_fails: &'static str,
    pub operator_password: &'static str,
    pub own_login: &'static str,
    pub pages: &'static str,
    pub password: &'static str,
    pub password_is_short: &'static str,
    pub passwords_differ: &'static str,
    /// A time before now.
    pub past: &'static str,
    pub permission: &'static str,
    pub permission_address: &'static str,
    pub permission_ask: &'static str,
    pub permission_client: &'static str,
    pub permission_code: &'static str,
    pub permission_given: &'static str,
    pub permission_how: &'static str,
    pub permission_is_there: &'static str,
    pub permission_instead: &'static str,
    pub permission_open: &'static str,
    pub permission_paste: &'static str,
    pub permission_redeem: &'static str,
    pub permission_waits: &'static str,
    pub plain_http: &'static str,
    pub profile: &'static str,
    pub programs_connected: &'static str,
    pub queue: &'static str,
    pub reading_and_sending: &'static str,
    pub refused_logins: &'static str,
    pub release: &'static str,
    pub remove: &'static str,
    pub remove_account: &'static str,
    pub remove_account_how: &'static str,
    pub return_it: &'static str,
    pub save: &'static str,
    pub saved: &'static str,
    pub send_test: &'static str,
    pub server: &'static str,
    pub server_settings: &'static str,
    pub sessions: &'static str,
    pub set_up: &'static str,
    pub set_up_now: &'static str,
    pub shuts_out_lan: &'static str,
    pub shuts_out_listener: &'static str,
    pub shuts_out_name: &'static str,
    pub shuts_out_password: &'static str,
    pub smarthost_empty: &'static str,
    pub smarthost_is_common: &'static str,
    pub something_needs_you: &'static str,
    pub source: &'static str,
    pub sources: &'static str,
    pub sources_failing: &'static str,
    pub sources_fine: &'static str,
    pub start: &'static str,
    pub stopped: &'static str,
    pub sure_how: &'static str,
    pub test: &'static str,
    pub test_arrived: &'static str,
    pub test_bad: &'static str,
    pub test_good: &'static str,
    pub test_how: &'static str,
    pub test_in_inbox: &'static str,
    pub test_is_busy: &'static str,
    pub test_is_good: &'static str,
    pub the_oldest: &'static str,
    pub this_device: &'static str,
    pub to_the_account: &'static str,
    pub too_many_logins: &'static str,
    pub trial_ends: &'static str,
    pub trial_how: &'static str,
    pub trust: &'static str,
    pub trust_how: &'static str,
    pub try_all: &'static str,
    pub try_now: &'static str,
    pub unlisted: &'static str,
    pub up: &'static str,
    pub update: &'static str,
    pub update_failed: &'static str,
    pub update_file: &'static str,
    pub update_how: &'static str,
    pub update_now: &'static str,
    pub update_taken: &'static str,
    pub used: &'static str,
    pub valid_for: &'static str,
    pub valid_until: &'static str,
    pub version: &'static str,
    pub warning_advanced: &'static str,
    pub warning_compare: &'static str,
    pub warning_go_on: &'static str,
    pub warning_not_private: &'static str,
    pub warning_picture: &'static str,
    pub warning_title: &'static str,
    pub warning_why: &'static str,
    pub welcome: &'static str,
    pub welcome_what: &'static str,
    pub written_since: &'static str,
    /// The titles of the sections of the settings, by the sections' names.
    sections: &'static [(&'static str, &'static str)],
    /// The labels of settings, by the kind of their section and their key. A setting without one has the help of the table of
    /// settings.
    labels: &'static [(&'static str, &'static str)],
}

impl Words {
    /// How long before `now` a time was, or how long after it will be.
    pub fn when(&self, now: i64, time: i64) -> String {
        let words = if time <= now { self.past } else { self.future };
        words.replace("{}", &span(now.abs_diff(time)))
    }

    /// The label in a form of the setting `key` in the section at `path`.
    pub fn label(&self, path: &str, key: &str) -> Option<&'static str> {
        // Names of accounts may hold dots: `account.a.source.1` is a source.
        let is_number = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
        let kind = match path.rsplit_once('.') {
            None => path,
            Some(("smarthost", "oauth2")) => "oauth2",
            Some((rest, last)) => match rest.rsplit_once('.') {
                Some((_, "source")) if is_number(last) => "source",
                Some((before, number))
                    if last == "oauth2" && is_number(number) && before.ends_with(".source") =>
                {
                    "oauth2"
                }
                _ => "account",
            },
        };
        let wanted = format!("{kind}.{key}");
        self.labels.iter().find(|(name, _)| *name == wanted).map(|(_, label)| *label)
    }

    /// The title of a section; empty where there is none.
    pub fn section(&self, name: &str) -> &'static str {
        self.sections.iter().find(|(known, _)| *known == name).map_or("", |(_, title)| *title)
    }
}

/// The available language that the client prefers most (RFC 9110 section 12.5.4); English where none is available.
pub fn preferred(accept_language: &str) -> &'static Words {
    let mut best: (f32, &'static Words) = (0.0, &ENGLISH);
    for range in accept_language.split(',').take(32) {
        let (tag, parameter) = range.split_once(';').unwrap_or((range, ""));
        let quality = parameter.trim().strip_prefix("q=").map_or(1.0, |q| q.trim().parse().unwrap_or(0.0));
        let primary = tag.trim().split('-').next().unwrap_or_default();
        let words = [&ENGLISH, &GERMAN].into_iter().find(|it| it.language.eq_ignore_ascii_case(primary));
        if let Some(words) = words
            && quality > best.0
        {
            best = (quality, words);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::problem::Section;

    /// Catches: a language that nobody asked for, one that is preferred less, and a weight that is no number.
    #[test]
    fn the_language_is_the_one_that_is_wanted_most() {
        for (field, language) in [
            ("", "en"),
            ("*", "en"),
            ("de", "de"),
            ("DE-at", "de"),
            ("fr, de;q=0.5, en;q=0.4", "de"),
            ("fr;q=1, en;q=0.8, de;q=0.7", "en"),
            ("de;q=0", "en"),
            ("de;q=x, en;q=0.1", "en"),
            ("en-GB,en;q=0.9,de;q=0.8", "en"),
            ("deu", "en"),
        ] {
            assert_eq!(preferred(field).language, language, "{field}");
        }
    }

    /// Catches: a label of a setting that does not exist, and a setting without a label in German.
    #[test]
    fn labels_are_of_settings_that_there_are() {
        let sections = [
            ("server", Section::Server),
            ("listen", Section::Listen),
            ("network", Section::Network),
            ("tls", Section::Tls),
            ("smarthost", Section::Smarthost),
            ("multipop", Section::Multipop),
            ("account", Section::Account(0)),
            ("source", Section::Source(0, 0)),
            ("oauth2", Section::SmarthostOAuth2),
        ];
        let known: Vec<String> = sections
            .iter()
            .flat_map(|(kind, section)| {
                let settings = section
                    .settings()
                    .iter()
                    .filter(|it| !it.secret || it.key.ends_with("password") || it.key == "client_secret");
                settings.map(move |setting| format!("{kind}.{}", setting.key))
            })
            .collect();
        for words in [&ENGLISH, &GERMAN] {
            for (name, _) in words.labels {
                assert!(known.contains(&(*name).to_owned()), "{name}");
            }
        }
        let path = |name: &str| match name.split_once('.').unwrap() {
            ("account", key) => ("account.a.b".to_owned(), key.to_owned()),
            ("source", key) => ("account.a.b.source.7".to_owned(), key.to_owned()),
            ("oauth2", key) => ("account.a.b.source.7.oauth2".to_owned(), key.to_owned()),
            (section, key) => (section.to_owned(), key.to_owned()),
        };
        for name in &known {
            let (section, key) = path(name);
            let is_typed =
                !matches!(key.as_str(), "name" | "operator_password") && name != "account.password";
            assert_eq!(GERMAN.label(&section, &key).is_some(), is_typed, "{name}");
        }
    }

    /// Catches: a translation that has lost a placeholder.
    #[test]
    fn translations_have_the_same_gaps() {
        let of = |words: &Words| {
            [words.app_password_is, words.password_is_short, words.permission_open]
                .map(|text| (text.matches("{}").count(), text.matches("{app}").count()))
        };
        assert_eq!(of(&ENGLISH), of(&GERMAN));
        assert_eq!(of(&ENGLISH), [(1, 1), (1, 0), (1, 0)]);
    }
}
