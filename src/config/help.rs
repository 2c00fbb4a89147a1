//! What a section or a setting is for, in words: from the table of settings.

use std::fmt::Write;

use super::path::default;
use super::problem::Section;
use super::schema::Setting;

/// Sections by the names they have in paths.
const SECTIONS: &[(&str, &str, Section)] = &[
    ("server", "[server]", Section::Server),
    ("listen", "[listen]", Section::Listen),
    ("network", "[network]", Section::Network),
    ("tls", "[tls]", Section::Tls),
    ("smarthost", "[smarthost]", Section::Smarthost),
    ("multipop", "[multipop]", Section::Multipop),
    ("account", "[[account]]", Section::Account(0)),
    ("app_password", "[[account.app_password]]", Section::AppPassword(0, 0)),
    ("source", "[[account.source]]", Section::Source(0, 0)),
    ("oauth2", "oauth2 of [[account.source]] and [smarthost]", Section::OAuth2(0, 0)),
];

/// All about a section, or about a setting, by its key alone, with its section, or by a whole path; `None` where there is none.
pub fn on(topic: &str) -> Option<String> {
    if let Some((_, title, section)) = SECTIONS.iter().find(|(name, ..)| *name == topic) {
        return Some(of_section(title, *section));
    }
    let (section, key) = topic.rsplit_once('.').map_or((None, topic), |(section, key)| (Some(section), key));
    let innermost = section.map(innermost);
    let found: String = SECTIONS
        .iter()
        .filter(|(name, ..)| innermost.is_none_or(|innermost| innermost == *name))
        .filter_map(|(_, title, section)| Some(of_setting(title, *section, section.setting(key)?)))
        .collect();
    (!found.is_empty()).then_some(found)
}

/// The section that a path without its key ends in: `account.NAME.source.1` in `source`.
fn innermost(path: &str) -> &str {
    let known = |part: &&str| SECTIONS.iter().any(|(name, ..)| name == part);
    path.split('.').rfind(known).unwrap_or(path)
}

fn of_section(title: &str, section: Section) -> String {
    let mut text = format!("{title}\n");
    for setting in section.settings() {
        let default = match default(section, setting) {
            Some(value) => format!(" = {value}"),
            None => String::new(),
        };
        let _ = writeln!(text, "  {}{default}\n      {}", setting.key, setting.help);
    }
    text
}

fn of_setting(title: &str, section: Section, setting: &Setting) -> String {
    let default = match default(section, setting) {
        Some(value) => format!("default: {value}"),
        None if setting.needed => "no default: it has to be given".to_owned(),
        None => "no default".to_owned(),
    };
    format!("{} in {title}: {}\n  {}\n  {default}\n", setting.key, setting.help, (setting.form)())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a setting that nothing explains, and one that is taken for that of another section.
    #[test]
    fn every_section_and_setting_is_a_topic() {
        for (name, title, section) in SECTIONS {
            assert!(on(name).unwrap().starts_with(title));
            for setting in section.settings() {
                let text = on(&format!("{name}.{}", setting.key)).unwrap();
                assert!(text.starts_with(setting.key) && text.contains(setting.help), "{text}");
            }
        }
        for (path, told) in [
            ("account.office.imap", "imap in [[account]]: may use IMAP"),
            ("account.office.source.1.host", "host in [[account.source]]: the provider's server"),
            ("account.office.source.1.oauth2.scope", "scope in oauth2 of"),
            ("smarthost.oauth2.scope", "scope in oauth2 of"),
            ("smarthost.host", "host in [smarthost]: where mail for others goes"),
        ] {
            let text = on(path).unwrap();
            assert!(text.starts_with(told) && text.matches(" in ").count() < 4, "{path}: {text}");
        }
        assert_eq!((on("colour"), on("account.office.colour"), on("")), (None, None, None));
    }
}
