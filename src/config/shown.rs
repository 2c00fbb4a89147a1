//! What an operator is shown of the settings: those of one section, and what has changed.

use super::Config;
use super::kind::quoted;
use super::path::{PathError, default, get, section, settable};
use super::problem::Section;

/// The settings at `path`, one line each: a single setting, or all of a section and of the sections within it. `account` stands
/// for all accounts. Secrets are not shown.
///
/// # Errors
/// No such path.
pub fn at(config: &Config, path: &str) -> Result<String, PathError> {
    let line = |path: &str| get(config, path, false).map(|value| format!("{path} = {value}\n"));
    let (all, wanted) = (Section::all(config), section(config, path));
    let within: Vec<Section> = match (path, wanted) {
        ("account", _) => {
            let single = [&Section::SINGLE[..], &[Section::SmarthostOAuth2]].concat();
            all.into_iter().filter(|section| !single.contains(section)).collect()
        }
        (_, Some(wanted)) => all.into_iter().filter(|section| section.is_within(wanted)).collect(),
        (_, None) => return line(path),
    };
    within.into_iter().flat_map(|section| settable(config, section)).map(|path| line(&path)).collect()
}

/// What differs between `before` and `after`, one line each: the path of a setting with both values, which are hidden where
/// they are secret, or a section that was added or removed.
pub fn changes(before: &Config, after: &Config) -> Vec<String> {
    let paths = |config: &Config| -> Vec<String> {
        Section::all(config).into_iter().map(|section| section.path(config)).collect()
    };
    let (old, new) = (paths(before), paths(after));
    let gone = old.iter().filter(|path| !new.contains(path)).map(|path| format!("{path}: removed"));
    let mut lines: Vec<String> = gone.collect();
    for section_after in Section::all(after) {
        let path = section_after.path(after);
        let section_before = section(before, &path);
        if section_before.is_none() {
            lines.push(format!("{path}: new"));
        }
        for setting in section_after.settings() {
            let Some(is) = setting.print(after, section_after) else { continue };
            let was = match section_before {
                Some(section) => setting.print(before, section),
                None => default(section_after, setting),
            };
            let was = was.unwrap_or_else(|| quoted(""));
            if was == is {
                continue;
            }
            // A password is shown under the key by which it is typed.
            let key = match section_after.password_forms() {
                Some((password, verifier)) if verifier == setting.key => password,
                _ => setting.key,
            };
            lines.push(match setting.secret {
                true => format!("{path}.{key}: changed"),
                false => format!("{path}.{key}: {was} -> {is}"),
            });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::path::{add_account, add_source, remove, set, set_secret};
    use crate::credential::Verifier;

    fn config() -> Config {
        let mut config = Config::demonstration(Verifier::with("x", 4096, [0; 16]));
        add_account(&mut config, "office").unwrap();
        add_source(&mut config, "office").unwrap();
        config
    }

    /// Catches: a section that is not understood, one that shows another account, and a password that is shown or called empty.
    #[test]
    fn a_section_is_shown_with_what_belongs_to_it() {
        let mut config = config();
        set_secret(&mut config, "account.office.source.1.password", "hush").unwrap();
        let office = at(&config, "account.office").unwrap();
        assert!(office.contains("account.office.imap = true\n"), "{office}");
        assert!(office.contains("account.office.password = \"\"\n"), "{office}");
        assert!(office.contains("account.office.source.1.password = \"[secret]\"\n"), "{office}");
        assert!(!office.contains("demo") && !office.contains("hush"), "{office}");
        let source = at(&config, "account.office.source.1").unwrap();
        assert!(source.lines().all(|line| line.starts_with("account.office.source.1.")), "{source}");
        assert!(at(&config, "account").unwrap().contains("account.demo.password = \"[secret]\"\n"));
        assert_eq!(at(&config, "smarthost.port").unwrap(), "smarthost.port = 465\n");
        assert!(at(&config, "smarthost").unwrap().lines().count() > 10);
        assert!(at(&config, "smarthst").is_err());
    }

    /// Catches: a change that is not told, a told change that did not happen, and a secret that is shown.
    #[test]
    fn what_has_changed_is_told_and_nothing_else() {
        let before = config();
        assert_eq!(changes(&before, &before), Vec::<String>::new());
        let mut after = before.clone();
        set(&mut after, "account.demo.imap", "false").unwrap();
        set_secret(&mut after, "account.demo.password", "another one").unwrap();
        set_secret(&mut after, "smarthost.password", "hush").unwrap();
        remove(&mut after, "account.office").unwrap();
        add_account(&mut after, "ann").unwrap();
        set(&mut after, "account.ann.pop", "false").unwrap();
        assert_eq!(
            changes(&before, &after),
            [
                "account.office: removed",
                "account.office.source.1: removed",
                "account.office.source.1.oauth2: removed",
                "smarthost.password: changed",
                "account.demo.password: changed",
                "account.demo.imap: true -> false",
                "account.ann: new",
                "account.ann.name: \"\" -> \"ann\"",
                "account.ann.address: \"\" -> \"ann@pillarbox.local\"",
                "account.ann.pop: true -> false",
            ]
        );
    }
}
