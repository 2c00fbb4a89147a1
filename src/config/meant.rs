//! What was probably meant by a path that names no setting.

use super::nearest::nearest;
use super::path::{find, paths};
use super::{Account, Config};

/// What is wrong with a path that names nothing, and what was probably meant. The advice never names another account.
pub fn instead_of(config: &Config, path: &str) -> String {
    let alike = |wanted: &str, prefix: &str| {
        let known = paths(config);
        let known = known.iter().map(|path| &**path).filter(|path| path.starts_with(prefix));
        nearest(wanted, known).map(|near| format!("no such setting: did you mean {near}?"))
    };
    let nothing =
        || "no such setting: a path looks like server.hostname or account.NAME.source.1.host".to_owned();
    let Some(rest) = path.strip_prefix("account.") else { return alike(path, "").unwrap_or_else(nothing) };
    let is_of = |account: &&Account| {
        rest.strip_prefix(&*account.name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    if let Some(account) = config.accounts.iter().filter(is_of).max_by_key(|account| account.name.len()) {
        let prefix = format!("account.{}.", account.name);
        if let Some(number) = rest.get(account.name.len()..).and_then(|rest| rest.strip_prefix(".source."))
            && let Ok(number) = number.split('.').next().unwrap_or_default().parse::<usize>()
            && !(1..=account.sources.len()).contains(&number)
        {
            let sources = match account.sources.len() {
                0 => "no source".to_owned(),
                1 => "one source".to_owned(),
                n => format!("{n} sources"),
            };
            return format!("no such source: {} has {sources}", account.name);
        }
        return alike(path, &prefix).unwrap_or_else(nothing);
    }
    let (name, of_it) = rest.split_once('.').unwrap_or((rest, ""));
    // Two swapped letters are a large part of a short name: with a prefix, it is still found alike.
    let names: Vec<String> = config.accounts.iter().map(|account| format!("a.{}", account.name)).collect();
    let near = nearest(&format!("a.{name}"), names.iter().map(String::as_str));
    let meant = near.and_then(|name| name.strip_prefix("a.")).map(|name| format!("account.{name}.{of_it}"));
    match meant {
        Some(meant) if of_it.is_empty() => {
            format!("no such account: did you mean {}?", meant.trim_end_matches('.'))
        }
        Some(meant) if find(config, &meant).is_ok() => format!("no such account: did you mean {meant}?"),
        Some(meant) => instead_of(config, &meant),
        None => "no such account: show accounts lists them".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::path::{add_account, add_source};

    /// Catches: advice that names another account than the one that was named, or a source that does not exist.
    #[test]
    fn advice_stays_with_the_account_that_is_meant() {
        let mut config = Config::default();
        for name in ["demo", "office", "a.b", "a"] {
            add_account(&mut config, name).unwrap();
        }
        add_source(&mut config, "office").unwrap();
        for (path, advice) in [
            ("account.demo.imp", "no such setting: did you mean account.demo.imap?"),
            ("account.demo.imaps", "no such setting: did you mean account.demo.imap?"),
            ("account.a.b.imp", "no such setting: did you mean account.a.b.imap?"),
            ("account.a.imp", "no such setting: did you mean account.a.imap?"),
            ("account.demmo.imap", "no such account: did you mean account.demo.imap?"),
            ("account.dmeo.imap", "no such account: did you mean account.demo.imap?"),
            ("account.demmo.imp", "no such setting: did you mean account.demo.imap?"),
            ("account.offise", "no such account: did you mean account.office?"),
            ("account.nobody.imap", "no such account: show accounts lists them"),
            ("account.demo.source.1.host", "no such source: demo has no source"),
            ("account.office.source.2.host", "no such source: office has one source"),
            ("account.office.source.1.hots", "no such setting: did you mean account.office.source.1.host?"),
            ("server.hostnam", "no such setting: did you mean server.hostname?"),
            ("account", "no such setting: a path looks like server.hostname or account.NAME.source.1.host"),
        ] {
            assert_eq!(instead_of(&config, path), advice, "{path}");
        }
    }
}
