//! `help`: made from the table of verbs and the table of settings, so that it tells what there is.

use std::fmt::Write;

use pillarbox::config::path::default;
use pillarbox::config::problem::Section;
use pillarbox::config::settings::Setting;

use super::arguments::{VERBS, Verb, all_verbs};
use pillarbox::failure::Failure;

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

/// The help on `topic`, or on everything.
///
/// # Errors
/// There is no such topic.
pub fn on(topic: Option<&str>) -> Result<String, Failure> {
    let Some(topic) = topic else { return Ok(overview()) };
    let is_meant = |verb: &&'static Verb| verb.name == topic || verb.name.split(' ').next() == Some(topic);
    let verbs: Vec<String> =
        all_verbs().filter(is_meant).map(|verb| format!("{}\n\n{}\n", verb.usage(), verb.help)).collect();
    if !verbs.is_empty() {
        return Ok(verbs.join("\n"));
    }
    if let Some((_, title, section)) = SECTIONS.iter().find(|(name, ..)| *name == topic) {
        return Ok(of_section(title, *section));
    }
    let (section, key) = topic.rsplit_once('.').map_or((None, topic), |(section, key)| (Some(section), key));
    let found: String = SECTIONS
        .iter()
        .filter(|(name, ..)| section.is_none_or(|section| section.split('.').any(|part| part == *name)))
        .filter_map(|(_, title, section)| Some(of_setting(title, *section, section.setting(key)?)))
        .collect();
    match found.is_empty() {
        false => Ok(found),
        true => Err(Failure::Usage(format!("{topic}: no such topic: `pillarbox help` lists the topics"))),
    }
}

fn overview() -> String {
    let mut text = String::from(
        "Pillarbox is a mail appliance: it collects mail by MultiPOP, keeps it, serves it by POP3 and IMAP,\n\
         and sends it through one smarthost.\n\n",
    );
    for verb in VERBS {
        let _ = writeln!(text, "  {}\n      {}", verb.usage(), verb.help);
    }
    text + "\nDIR is the data folder, pillarbox-data where it is not given. Without a command, pillarbox runs.\n\
         pillarbox --version prints the version; `pillarbox help board` tells what a card image runs.\n\n\
         Further topics: the sections of the configuration file\n  \
         server, listen, network, tls, smarthost, multipop, account, app_password, source, oauth2\n\
         and every setting in them, such as smarthost.port or quota.\n\n\
         Exit codes: 0 done, 1 the input is wrong, 2 the command line is wrong, 3 the system refused.\n"
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

    #[test]
    fn every_verb_section_and_setting_is_a_topic() {
        for topic in all_verbs().map(|verb| verb.name).chain(SECTIONS.iter().map(|(name, ..)| *name)) {
            assert!(on(Some(topic)).unwrap().contains(topic));
        }
        for (name, _, section) in SECTIONS {
            for setting in section.settings() {
                let text = on(Some(&format!("{name}.{}", setting.key))).unwrap();
                assert!(text.starts_with(setting.key) && text.contains(setting.help), "{text}");
            }
        }
        assert!(on(Some("account.source.host")).is_ok());
        assert!(on(Some("quota")).is_ok());
        assert!(on(Some("colour")).is_err());
    }

    #[test]
    fn the_overview_fits_a_terminal() {
        let text = on(None).unwrap();
        assert!(text.lines().all(|line| line.len() <= 120), "{text}");
        assert!(text.contains("fsck") && text.contains("mail export"));
        assert_eq!(on(Some("mail")).unwrap().matches("pillarbox mail").count(), 2);
    }
}
