//! `multipop import-state`: by the running appliance, or here when none runs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use pillarbox::config::{Account, Config, Protocol, Source};
use pillarbox::console::client::{self, Error};
use pillarbox::console::state::Job;
use pillarbox::failure::Failure;
use pillarbox::multipop::state::{List, Parsed, Taken, read};
use pillarbox::say;
use pillarbox::store::Store;

use super::configuration::{existing, held, stored};
use super::print;
use pillarbox::say::counted;

/// Octets of a file: a million messages fit.
const LARGEST: u64 = 128 << 20;

/// What the words ask for.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub data: PathBuf,
    pub account: String,
    pub file: PathBuf,
    /// The number of a source, counted from 1.
    pub source: Option<String>,
    pub as_own: bool,
}

/// Notes what the file says, and prints how much that was.
pub fn run(request: &Request) -> Result<(), Failure> {
    let Request { data, account: name, file, .. } = request;
    let flash = existing(data)?;
    let config = stored(&flash, data)?.config;
    let account = config.account(name).ok_or_else(|| {
        let names: Vec<String> = config.accounts.iter().map(|account| account.name.to_string()).collect();
        Failure::Input(format!("{name}: there is no such account: it is one of {}", names.join(", ")))
    })?;
    let named = named(account, request.source.as_deref())?;
    let parsed = read(&file.file_name().unwrap_or_default().to_string_lossy(), &content(file)?);
    tell_passed_over(file, &parsed);
    let jobs = jobs(request, account, named, parsed.lists)?;
    let mut said = String::new();
    for ((number, folder), job) in &jobs {
        let Taken { new, known } = take(data, job, &config)?;
        let source = account.sources.get(number - 1).ok_or_else(|| Failure::Input("gone".to_owned()))?;
        let fate = match (request.as_own, source.leave_on_server) {
            (false, _) => "they do not come again, and are never deleted there",
            (true, true) => "they count as collected, and stay there as the settings say",
            (true, false) => "they count as collected, and are deleted there with the next poll",
        };
        said += &format!(
            "{name}: source {number}, {} at {}, {folder}: {} taken, {known} known already: {fate}\n",
            source.username,
            source.host,
            counted(new, "message")
        );
    }
    print(&said)
}

/// The source that is named, with its number.
fn named<'a>(account: &'a Account, number: Option<&str>) -> Result<Option<(usize, &'a Source)>, Failure> {
    let Some(number) = number else { return Ok(None) };
    let at = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    let source = at.and_then(|at| Some((at + 1, account.sources.get(at)?)));
    source.map(Some).ok_or_else(|| {
        let count = account.sources.len();
        Failure::Input(format!("--source {number}: {} has {count} sources, counted from 1", account.name))
    })
}

fn content(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    let read = File::open(file).and_then(|opened| opened.take(LARGEST + 1).read_to_end(&mut content));
    read.map_err(Failure::at(file))?;
    match content.len() as u64 > LARGEST {
        true => Err(Failure::Input(format!("{}: larger than {} MiB", file.display(), LARGEST >> 20))),
        false => Ok(content),
    }
}

fn tell_passed_over(file: &Path, parsed: &Parsed) {
    let (lines, all) = &parsed.passed_over;
    for (line, why) in lines {
        say::err(format_args!("{}:{line}: {why}: it is passed over", file.display()));
    }
    if *all > lines.len() {
        say::err(format_args!(
            "{}: and {} more lines that are passed over",
            file.display(),
            all - lines.len()
        ));
    }
}

/// What is to be noted for which source, by its number. A list that belongs to none is told of.
fn jobs(
    request: &Request,
    account: &Account,
    named: Option<(usize, &Source)>,
    lists: Vec<List>,
) -> Result<BTreeMap<(usize, String), Job>, Failure> {
    let mut jobs = BTreeMap::new();
    let exact = |list: &List, source: &Source| list.origin.folder_of(source, false);
    // Where one list says all that it should, another one with the same login is of another server.
    let any_exact = named.is_some_and(|(_, source)| lists.iter().any(|list| exact(list, source).is_some()));
    if let Some((number, source)) = named.filter(|_| !any_exact) {
        let same_login = lists.iter().filter(|list| list.origin.folder_of(source, true).is_some());
        let whose: Vec<String> = same_login.map(|list| list.origin.in_words()).collect();
        if whose.len() > 1 {
            // Numbers of another mailbox could be those of messages that are still to come.
            return Err(Failure::Input(format!(
                "{}: which of these is source {number}? It is of {}: leave only its lines in the file",
                request.file.display(),
                whose.join(", and of ")
            )));
        }
    }
    for list in lists {
        let fits = |source: &Source| (source.protocol == Protocol::Imap) == list.is_imap;
        let owner = match named {
            Some((number, source)) => {
                let folder =
                    if any_exact { exact(&list, source) } else { list.origin.folder_of(source, true) };
                folder.map(|folder| (number, source, folder))
            }
            None => (1..).zip(&account.sources).find_map(|(number, source)| {
                Some((number, source, exact(&list, source).filter(|_| fits(source))?))
            }),
        };
        let (count, whose) = (list.entries.len(), list.origin.in_words());
        match owner {
            Some((number, source, folder)) if fits(source) => {
                let Request { account, as_own, .. } = request;
                let (account, source) = (account.clone(), source.id);
                let job =
                    Job { account, source, folder: folder.clone(), as_own: *as_own, entries: Vec::new() };
                jobs.entry((number, folder)).or_insert(job).entries.extend(list.entries);
            }
            Some((number, ..)) => {
                let (file, ours) = if list.is_imap { ("IMAP", "POP3") } else { ("POP3", "IMAP") };
                say::err(format_args!(
                    "{} of {whose} passed over: collected by {file}, and source {number} is \
                     collected by {ours}",
                    counted(count as u64, "message")
                ));
            }
            None => say::err(format_args!(
                "{} of {whose} passed over: no such source; `--source NUMBER` says which one is meant",
                counted(count as u64, "message")
            )),
        }
    }
    match jobs.is_empty() {
        true => Err(Failure::Input(format!(
            "{}: nothing in it belongs to a source of {}",
            request.file.display(),
            account.name
        ))),
        false => Ok(jobs),
    }
}

fn take(data: &Path, job: &Job, config: &Config) -> Result<Taken, Failure> {
    match client::state(data, job) {
        Ok(outcome) => outcome,
        Err(Error::NotRunning(_)) => {
            let folder = held(data)?;
            let store = Store::new(folder.flash().clone());
            store.assign(&config.owners()).map_err(|error| Failure::System(error.to_string()))?;
            async_io::block_on(job.run(config, &store))
        }
        Err(error) => Err(Failure::System(error.to_string())),
    }
}
