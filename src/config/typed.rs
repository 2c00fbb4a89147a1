//! Settings as a form shows and accepts them: values stand there without quotes and brackets.

use toml::de::DeValue;

use super::Config;
use super::kind::quoted;
use super::path::{self, PathError, find};

/// A setting in a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormInput {
    /// On or off.
    Switch(bool),
    /// One of a few words.
    #[allow(missing_docs)]
    Choice { words: Vec<&'static str>, chosen: String },
    /// A text, a number, a time, a size.
    Text(String),
    /// A list: one element on each line.
    Lines(Vec<String>),
    /// A secret, which is not shown: whether it is set.
    Secret(bool),
}

/// The setting at `path` for a form, and its help.
///
/// # Errors
/// No such path.
pub fn get(config: &Config, path: &str) -> Result<(FormInput, &'static str), PathError> {
    let (section, setting) = find(config, path)?;
    let (words, help) = ((setting.words)(), setting.help);
    if setting.secret {
        return Ok((FormInput::Secret(section.has(config, setting)), help));
    }
    let printed = setting.print(config, section).unwrap_or_else(|| quoted(""));
    let value = DeValue::parse(&printed).ok();
    let plain = |value: &DeValue<'_>| match value {
        DeValue::String(text) => text.to_string(),
        _ => printed.clone(),
    };
    let value = value.as_ref().map(toml::Spanned::get_ref);
    Ok(match value {
        Some(DeValue::Boolean(on)) => (FormInput::Switch(*on), help),
        Some(DeValue::Array(values)) => {
            (FormInput::Lines(values.iter().map(|value| plain(value.get_ref())).collect()), help)
        }
        Some(value) if setting.list => (FormInput::Lines(vec![plain(value)]), help),
        Some(value) if !words.is_empty() => (FormInput::Choice { words, chosen: plain(value) }, help),
        value => (FormInput::Text(value.map(plain).unwrap_or_default()), help),
    })
}

/// Sets the setting at `path` to what was typed: a list has one element on each line, a switch is `true` or `false`.
///
/// # Errors
/// What is wrong and what would be right.
pub fn set(config: &mut Config, path: &str, typed: &str) -> Result<(), PathError> {
    let (_, setting) = find(config, path)?;
    let value = if setting.list {
        let lines = typed.lines().map(str::trim).filter(|line| !line.is_empty());
        format!("[{}]", lines.map(quoted).collect::<Vec<_>>().join(", "))
    } else if setting.secret || typed.trim_start().starts_with(['"', '\'', '[', '{']) {
        quoted(typed)
    } else {
        typed.to_owned()
    };
    let outcome = path::set(config, path, &value);
    // An emptied field stands for the usual value, where the setting has one and cannot be empty.
    if outcome.is_err() && typed.trim().is_empty() && path::remove(config, path).is_ok() {
        return Ok(());
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::path::{add_account, add_source, paths};
    use crate::credential::Verifier;

    fn config() -> Config {
        let mut config = Config::demonstration(Verifier::with("x", 4096, [0; 16]));
        add_account(&mut config, "office").unwrap();
        add_source(&mut config, "office").unwrap();
        config
    }

    /// Catches: a form that changes settings which nobody has touched.
    #[test]
    fn what_is_shown_can_be_taken_and_changes_nothing() {
        let mut config = config();
        for (path, value) in [
            ("account.office.source.1.folder", "INBOX\nSent Items\n a, b"),
            ("account.office.source.1.username", "\"office\" [x]"),
            ("account.office.source.1.host", "192.168.1.9"),
            ("server.lan", "10.0.0.0/8\n\n fe80::/10 \n"),
            ("listen.lan_smtp", ""),
            ("smarthost.retry", "1m\n90s"),
            ("smarthost.username", "true"),
        ] {
            set(&mut config, path, value).unwrap();
        }
        let shown = |path: &str| get(&config, path).unwrap().0;
        let lines = |lines: &[&str]| FormInput::Lines(lines.iter().map(|it| (*it).to_owned()).collect());
        assert_eq!(shown("account.office.source.1.folder"), lines(&["INBOX", "Sent Items", "a, b"]));
        assert_eq!(shown("account.office.source.1.username"), FormInput::Text("\"office\" [x]".to_owned()));
        assert_eq!(shown("server.lan"), lines(&["10.0.0.0/8", "fe80::/10"]));
        assert_eq!(shown("listen.lan_smtp"), lines(&[]));
        assert_eq!(shown("smarthost.port"), FormInput::Text("465".to_owned()));
        assert_eq!(shown("smarthost.password"), FormInput::Secret(false));
        assert_eq!(shown("account.office.imap"), FormInput::Switch(true));
        let (before, mut paths) = (config.clone(), paths(&config));
        paths.retain(|path| !matches!(get(&before, path), Ok((FormInput::Secret(_), _))));
        assert!(paths.len() > 80);
        for path in paths {
            let typed = match get(&config, &path).unwrap().0 {
                FormInput::Switch(on) => on.to_string(),
                FormInput::Choice { words, chosen } => {
                    assert!(words.contains(&chosen.as_str()), "{path}: {chosen}");
                    chosen
                }
                FormInput::Text(text) => text,
                FormInput::Lines(lines) => lines.join("\n"),
                FormInput::Secret(_) => continue,
            };
            let outcome = set(&mut config, &path, &typed);
            // A setting that has no value yet does not accept the empty one.
            assert!(outcome.is_ok() || typed.is_empty(), "{path}: {outcome:?}");
        }
        assert_eq!(config, before);
    }

    /// Catches: a form that refuses an emptied field although its label says that empty is the usual value, and one that sets
    /// the port of IMAP to 995.
    #[test]
    fn an_emptied_field_is_the_usual_value() {
        let mut config = config();
        let source = "account.office.source.1";
        for (path, chosen, usual) in [
            ("smarthost.port", "2525", "465"),
            ("smarthost.expire", "9d", "5d"),
            ("multipop.interval", "3m", "10m"),
            ("server.max_message_size", "7MiB", "50MiB"),
        ] {
            set(&mut config, path, chosen).unwrap();
            set(&mut config, path, "  ").unwrap();
            assert_eq!(get(&config, path).unwrap().0, FormInput::Text(usual.to_owned()), "{path}");
        }
        for (protocol, security, usual) in [
            ("imap", "tls", "993"),
            ("imap", "starttls", "143"),
            ("pop3", "none", "110"),
            ("pop3", "tls", "995"),
        ] {
            let port = format!("{source}.port");
            set(&mut config, &port, "4711").unwrap();
            set(&mut config, &format!("{source}.protocol"), protocol).unwrap();
            set(&mut config, &format!("{source}.security"), security).unwrap();
            set(&mut config, &port, "").unwrap();
            assert_eq!(
                get(&config, &port).unwrap().0,
                FormInput::Text(usual.to_owned()),
                "{protocol} {security}"
            );
        }
        for (security, usual) in [("starttls", "587"), ("none", "25"), ("tls", "465")] {
            set(&mut config, "smarthost.port", "2525").unwrap();
            set(&mut config, "smarthost.security", security).unwrap();
            assert_eq!(config.smarthost.port, 2525, "a chosen one stays");
            set(&mut config, "smarthost.port", "").unwrap();
            assert_eq!(
                get(&config, "smarthost.port").unwrap().0,
                FormInput::Text(usual.to_owned()),
                "{security}"
            );
        }
        // A setting without a usual value must not be emptied.
        assert!(set(&mut config, "account.office.name", "").is_err());
    }

    #[test]
    fn a_mistake_is_told_in_the_words_of_the_console() {
        let mut config = config();
        for (path, typed, why) in [
            ("smarthost.port", "70000", "smarthost.port: \"70000\" is not a port from 1 to 65535"),
            ("account.office.imap", "on", "account.office.imap: \"on\" is not true or false"),
        ] {
            assert_eq!(set(&mut config, path, typed).unwrap_err().to_string(), why);
        }
    }
}
