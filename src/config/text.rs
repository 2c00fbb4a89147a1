//! Reads TOML text into a configuration, and reports every problem with its line.
//!
//! The text is read in three steps: TOML's own syntax, each setting by the table in
//! `super::schema`, and the rules between settings of [`super::check`]. A setting that is faulty
//! in one step is left alone by the later ones, so that one mistake is reported once.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check::findings;
use super::kind::shown_name;
use super::nearest::nearest;
use super::password::MIN_PASSWORD;
use super::problem::{At, Place, Problem, Section, Severity};
use super::stored::keep_secrets;
use super::{Account, Config, Source};

/// The tables that stand there once, by their names.
const SECTIONS: [(&str, Section); 6] = [
    ("server", Section::Server),
    ("listen", Section::Listen),
    ("network", Section::Network),
    ("tls", Section::Tls),
    ("smarthost", Section::Smarthost),
    ("multipop", Section::Multipop),
];
/// The name of the tables of accounts.
const ACCOUNT: &str = "account";

/// The longest text that is read, in octets.
pub const MAX_TEXT: usize = 1 << 20;

/// The most problems that are reported; a file with more of them is no configuration.
const MAX_PROBLEMS: usize = 1000;

/// A configuration that can be used.
#[derive(Debug)]
pub struct Parsed {
    /// The settings.
    pub config: Config,
    /// What can be used, but is probably not as meant.
    pub warnings: Vec<Problem>,
}

/// Reads and checks the TOML form. Secrets that the text does not give are taken over from `stored`,
/// where an account, a source or the smarthost is still the same.
///
/// # Errors
/// Every error and warning, in the order of the lines.
pub fn parse(text: &[u8], stored: Option<&Config>) -> Result<Parsed, Vec<Problem>> {
    parse_with_options(text, stored, ReadOptions::default())
}

/// Options for reading a text.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// The values of settings that the text does not have.
    pub defaults: Config,
    /// Whether a secret that consists of stars only stands for the stored one.
    pub stars_are_stored: bool,
}

/// [`parse`] with other options than the usual ones.
///
/// # Errors
/// As [`parse`].
pub fn parse_with_options(
    text: &[u8],
    stored: Option<&Config>,
    ways: ReadOptions,
) -> Result<Parsed, Vec<Problem>> {
    if text.len() > MAX_TEXT {
        let text = format!("{} octets are too many for a configuration: 1 MiB is the limit", text.len());
        return Err(vec![Problem { at: At::Line(1), severity: Severity::Error, text }]);
    }
    let readable = String::from_utf8_lossy(text);
    let mut reading = Reading::new(&readable, ways);
    reading.encoding(text);
    let (root, errors) = DeTable::parse_recoverable(&readable);
    let whole = reading.syntax(&readable, &errors);
    // Where a bracket is missing, everything after it is misread: nothing more is judged.
    if whole {
        reading.root(root.get_ref(), stored);
        reading.rules(stored);
    }
    reading.done()
}

/// Whether a password is too short for its purpose. An empty text is no password.
fn is_short(value: &DeValue<'_>) -> bool {
    value.as_str().is_some_and(|text| (1..MIN_PASSWORD).contains(&text.chars().count()))
}

/// The state while a text is read into a configuration.
struct Reading {
    config: Config,
    problems: Vec<(usize, Severity, String)>,
    /// Where each line begins.
    line_starts: Vec<usize>,
    /// Lines that are not valid TOML: nothing more is reported about them.
    broken: HashSet<usize>,
    /// The line of each section and each setting that the text has.
    lines: HashMap<Place, usize>,
    stars_are_stored: bool,
    /// The line of each secret that consists of stars and stands for the stored one.
    starred: HashMap<Place, usize>,
    /// Settings whose value could not be read.
    faulty: HashSet<Place>,
}

impl Reading {
    fn new(text: &str, ways: ReadOptions) -> Reading {
        let line_ends = text.bytes().enumerate().filter(|(_, octet)| *octet == b'\n');
        Reading {
            config: ways.defaults,
            stars_are_stored: ways.stars_are_stored,
            starred: HashMap::new(),
            problems: Vec::new(),
            line_starts: std::iter::once(0).chain(line_ends.map(|(at, _)| at + 1)).collect(),
            broken: HashSet::new(),
            lines: HashMap::new(),
            faulty: HashSet::new(),
        }
    }

    /// The line, counted from 1, that the octet at `at` stands on.
    fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    fn error(&mut self, line: usize, text: impl Into<String>) {
        self.problem(line, Severity::Error, text.into());
    }

    fn problem(&mut self, line: usize, severity: Severity, text: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push((line, severity, text));
        }
    }

    /// Reports what is not UTF-8.
    fn encoding(&mut self, text: &[u8]) {
        let mut line = 1;
        for chunk in text.utf8_chunks() {
            line += chunk.valid().matches('\n').count();
            if !chunk.invalid().is_empty() && self.broken.insert(line) {
                self.error(line, "not UTF-8: save the file in the encoding UTF-8");
            }
        }
    }

    /// Reports what TOML does not allow. False when the rest of the text cannot be understood.
    fn syntax(&mut self, text: &str, errors: &[toml::de::Error]) -> bool {
        let mut whole = true;
        for error in errors {
            let span = error.span().unwrap_or_default();
            let line = self.line(span.start);
            let message = error.message();
            whole &= !message.starts_with("unclosed") && !message.starts_with("missing comma");
            if self.broken.insert(line) {
                let shown = text.get(span).unwrap_or_default();
                let what = match message {
                    "duplicate key" => format!("{shown} stands here a second time: keep one of them"),
                    _ => format!("not valid TOML: {message}"),
                };
                self.error(line, what);
            }
        }
        whole
    }

    fn root(&mut self, root: &DeTable<'_>, stored: Option<&Config>) {
        for (key, value) in root {
            let name = &**key.get_ref();
            let section = match SECTIONS.iter().find(|(known, _)| *known == name) {
                Some((_, section)) => *section,
                None if name == ACCOUNT => {
                    self.accounts(key.span(), value.get_ref(), stored);
                    continue;
                }
                None => {
                    let line = self.line(key.span().start);
                    let known = SECTIONS.iter().map(|(known, _)| *known);
                    let advice = match nearest(name, known.clone().chain([ACCOUNT])) {
                        Some(ACCOUNT) => "did you mean [[account]]?".to_owned(),
                        Some(near) => format!("did you mean [{near}]?"),
                        None => {
                            let known: Vec<_> = known.map(|known| format!("[{known}]")).collect();
                            format!("there are {} and [[account]]", known.join(", "))
                        }
                    };
                    self.error(line, format!("unknown section {}: {advice}", shown_name(name)));
                    continue;
                }
            };
            match value.get_ref() {
                DeValue::Table(table) => self.table(section, key.span(), table),
                _ => {
                    let line = self.line(key.span().start);
                    self.error(
                        line,
                        format!(
                            "{key} is a section: write [{key}] once, its settings below",
                            key = key.get_ref()
                        ),
                    );
                }
            }
        }
    }

    fn accounts(&mut self, key: Range<usize>, value: &DeValue<'_>, stored: Option<&Config>) {
        let Some(tables) = tables(value) else {
            let line = self.line(key.start);
            self.faulty.insert(Section::Account(0).at(""));
            return self.error(line, "an account begins with [[account]], in double brackets");
        };
        for (a, (span, table)) in tables.enumerate() {
            if a == Config::MAX_ACCOUNTS {
                let line = self.line(span.start);
                return self.error(line, format!("too many accounts: {} fit", Config::MAX_ACCOUNTS));
            }
            // A new password keeps the salt of the stored one, as the app passwords do.
            let name = table.iter().find(|(key, _)| &**key.get_ref() == "name");
            let known = name.and_then(|(_, name)| stored?.account(name.get_ref().as_str()?));
            let verifier = known.map(|known| known.verifier.clone());
            let default = Account::default();
            let verifier = verifier.unwrap_or_else(|| default.verifier.clone());
            self.config.accounts.push(Account { verifier, ..default });
            self.table(Section::Account(a), span, table);
        }
    }

    fn app_passwords(&mut self, account: usize, key: Range<usize>, value: &DeValue<'_>) {
        let Some(tables) = tables(value) else {
            let line = self.line(key.start);
            return self
                .error(line, "an app password begins with [[account.app_password]], in double brackets");
        };
        for (p, (span, table)) in tables.enumerate().take(Config::MAX_APP_PASSWORDS + 1) {
            if let Some(account) = self.config.accounts.get_mut(account) {
                account.app_passwords.push(account.new_app_password());
            }
            self.table(Section::AppPassword(account, p), span, table);
        }
    }

    fn sources(&mut self, account: usize, key: Range<usize>, value: &DeValue<'_>) {
        let Some(tables) = tables(value) else {
            let line = self.line(key.start);
            return self.error(line, "a source begins with [[account.source]], in double brackets");
        };
        for (s, (span, table)) in tables.enumerate() {
            if s == Config::MAX_SOURCES {
                let line = self.line(span.start);
                return self
                    .error(line, format!("too many sources: {} fit in an account", Config::MAX_SOURCES));
            }
            if let Some(account) = self.config.accounts.get_mut(account) {
                account.sources.push(Source::default());
            }
            self.table(Section::Source(account, s), span, table);
        }
    }

    /// Reads the settings of one table.
    fn table(&mut self, section: Section, header: Range<usize>, table: &DeTable<'_>) {
        let line = self.line(header.start);
        self.lines.insert(section.at(""), line);
        // App passwords use the salt of the account's own password, so the account's own settings are read first.
        let later = |name: &str| matches!(section, Section::Account(_)) && name == "app_password";
        let (last, first): (Vec<_>, Vec<_>) = table.iter().partition(|(key, _)| later(key.get_ref()));
        for (key, value) in first.into_iter().chain(last) {
            let (name, span) = (&**key.get_ref(), key.span());
            let line = self.line(span.start);
            match (section, name, section.setting(name)) {
                (Section::Account(account), "source", _) => self.sources(account, span, value.get_ref()),
                (Section::Account(account), "app_password", _) => {
                    self.app_passwords(account, span, value.get_ref());
                }
                (Section::Source(..) | Section::Smarthost, "oauth2", _) => {
                    self.oauth2(section, span, value.get_ref());
                }
                (_, _, Some(setting)) => {
                    let place = section.at(setting.key);
                    if self.stars_are_stored && setting.secret && is_stars(value.get_ref()) {
                        self.starred.insert(place, line);
                        continue;
                    }
                    self.lines.insert(place, line);
                    if self.broken.contains(&line) {
                        self.faulty.insert(place);
                    } else if let Err(wrong) = setting.set(&mut self.config, section, value.get_ref()) {
                        let line = wrong.span.map_or(line, |span| self.line(span.start));
                        self.error(line, format!("{name}: {}", wrong.what));
                        self.faulty.insert(place);
                    } else if section.is_own_password(name) && is_short(value.get_ref()) {
                        let text = format!("{name}: less than {MIN_PASSWORD} characters are soon guessed");
                        self.problem(line, Severity::Warning, text);
                    }
                }
                (_, _, None) => self.unknown(section, name, line),
            }
        }
        if !table.contains_key("port") {
            section.use_usual_port(&mut self.config);
        }
        let Some((password, verifier)) = section.password_forms() else { return };
        let line = |key| self.lines.get(&section.at(key)).copied();
        if let (Some(_), Some(line)) = (line(password), line(verifier)) {
            self.error(
                line,
                format!("{verifier} and {password} are the same setting in two forms: keep one of them"),
            );
        }
    }

    fn oauth2(&mut self, of: Section, key: Range<usize>, value: &DeValue<'_>) {
        let Some(section) = of.oauth2() else { return };
        match value {
            DeValue::Table(table) => self.table(section, key, table),
            _ => {
                self.faulty.insert(section.at(""));
                let line = self.line(key.start);
                self.error(line, "oauth2 is a table: oauth2 = { provider = …, client_id = …, … }");
            }
        }
    }

    fn unknown(&mut self, section: Section, name: &str, line: usize) {
        if self.broken.contains(&line) {
            return;
        }
        let further: &[&str] = match section {
            Section::Account(_) => &["app_password", "source"],
            Section::Source(..) | Section::Smarthost => &["oauth2"],
            _ => &[],
        };
        let known = section.settings().iter().map(|setting| setting.key).chain(further.iter().copied());
        let advice = match (nearest(name, known.clone()), home_of(section, name)) {
            (_, Some(home)) => format!("it belongs into {home}"),
            (Some(near), None) => format!("did you mean {near}?"),
            (None, None) => format!("known here are {}", known.collect::<Vec<_>>().join(", ")),
        };
        self.error(line, format!("unknown key {}: {advice}", shown_name(name)));
    }

    /// Takes over stored secrets and reports the rules that are broken.
    fn rules(&mut self, stored: Option<&Config>) {
        let mut found = Vec::new();
        if let Some(stored) = stored {
            let given = |place: Place| self.lines.contains_key(&place);
            found = keep_secrets(&mut self.config, stored, given);
        }
        self.without_stored();
        found.extend(findings(&self.config));
        for finding in found {
            let is_faulty = |place: Place| self.faulty.contains(&place);
            if is_faulty(finding.place) || finding.beside.is_some_and(is_faulty) {
                continue;
            }
            let own = self.lines.get(&finding.place).or_else(|| self.starred.get(&finding.place));
            match own.or_else(|| self.lines.get(&finding.place.section.at(""))) {
                Some(line) => self.problem(*line, finding.severity, finding.text),
                None => {
                    let path = finding.place.path(&self.config);
                    self.problem(1, finding.severity, format!("{path}: {}", finding.text));
                }
            }
        }
    }

    /// Reports stars that stand for a secret of which nothing is stored.
    fn without_stored(&mut self) {
        for (place, line) in std::mem::take(&mut self.starred) {
            let key = match place.section.password_forms() {
                Some((password, verifier)) if place.key == password => verifier,
                _ => place.key,
            };
            let setting = place.section.setting(key);
            if setting.is_some_and(|setting| setting.is_empty(&self.config, place.section)) {
                let text = format!(
                    "{}: the stars stand for what the device has stored, but it has nothing stored for this: write the password itself",
                    place.key
                );
                self.error(line, text);
                self.faulty.insert(place);
            }
            self.starred.insert(place, line);
        }
    }

    fn done(mut self) -> Result<Parsed, Vec<Problem>> {
        if self.problems.len() == MAX_PROBLEMS {
            let last = self.line_starts.len();
            self.problems.push((last, Severity::Error, "there are more problems than these".to_owned()));
        }
        self.problems.sort_by_key(|(line, ..)| *line);
        let problems: Vec<Problem> = self
            .problems
            .into_iter()
            .map(|(line, severity, text)| Problem { at: At::Line(line), severity, text })
            .collect();
        if problems.iter().any(Problem::is_error) {
            Err(problems)
        } else {
            Ok(Parsed { config: self.config, warnings: problems })
        }
    }
}

/// Whether a secret consists of the stars that it was overwritten with.
fn is_stars(value: &DeValue<'_>) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty() && text.bytes().all(|octet| octet == b'*'))
}

/// The tables of an array of tables, each with its place in the text.
fn tables<'v, 'i>(value: &'v DeValue<'i>) -> Option<impl Iterator<Item = (Range<usize>, &'v DeTable<'i>)>> {
    let elements = value.as_array()?;
    let table = |element: &'v Spanned<DeValue<'i>>| Some((element.span(), element.get_ref().as_table()?));
    elements.iter().all(|element| element.get_ref().is_table()).then(|| elements.iter().filter_map(table))
}

/// The one table, other than `section`, that has a setting `name`. In TOML each key belongs to the last table above it.
fn home_of(section: Section, name: &str) -> Option<String> {
    let single = SECTIONS.iter().map(|(table, it)| (format!("[{table}]"), *it));
    let above = match section {
        Section::AppPassword(..) | Section::Source(..) | Section::OAuth2(..) => {
            "[[account]], above what begins with [[account."
        }
        _ => "[[account]]",
    };
    let several = [(above, Section::Account(0)), ("[[account.source]]", Section::Source(0, 0))];
    let tables = single.chain(several.map(|(table, it)| (table.to_owned(), it)));
    let mut homes = tables.filter(|(_, table)| table.setting(name).is_some());
    let (home, _) = homes.next()?;
    homes.next().is_none().then_some(home)
}
