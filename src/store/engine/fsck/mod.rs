//! `pillarbox fsck`: reads every record and every message, and says what is damaged.
//!
//! Checking changes nothing and can run beside a serving appliance. [`Store::repair`] needs the store for itself: it
//! puts aside what cannot be read, brings back bodies that are whole but belong to no mailbox, and writes the
//! segments that contain damage anew.

mod account;
mod repair;

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use super::Store;
use crate::say::counted;
use crate::store::Error;
use account::Findings;

/// The folder of the relay's queue.
const QUEUE: &str = "queue";

/// What a check has read and found.
#[derive(Debug, Default)]
pub struct Report {
    /// Number of accounts.
    pub accounts: u64,
    /// Whether the relay has a queue.
    pub queue: bool,
    /// Number of records in the logs.
    pub records: u64,
    /// Number of messages in the mailboxes.
    pub messages: u64,
    /// Octets of the messages in the mailboxes.
    pub octets: u64,
    /// One line for each piece of damage: what is damaged, and what that means.
    pub damage: Vec<String>,
    /// One line for each repair that `--repair` made.
    pub repaired: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.damage.iter().chain(&self.repaired) {
            writeln!(f, "{line}")?;
        }
        let Report { accounts, records, messages, octets, damage, .. } = self;
        let queue = if self.queue { " and the queue" } else { "" };
        let (accounts, records) = (counted(*accounts, "account"), counted(*records, "record"));
        let messages = counted(*messages, "message");
        write!(f, "{accounts}{queue}, {records}, {messages} of {octets} octets: ")?;
        match damage.len() {
            0 => writeln!(f, "nothing is damaged"),
            n => writeln!(f, "damaged in {}", counted(n as u64, "place")),
        }
    }
}

impl Report {
    fn add(&mut self, dir: &str, findings: &Findings) {
        match dir {
            QUEUE => self.queue = true,
            _ => self.accounts += 1,
        }
        self.records += findings.records;
        self.messages += findings.messages;
        self.octets += findings.octets;
        self.damage.extend(findings.damage.iter().map(|damage| format!("{dir}/{damage}")));
    }
}

impl Store {
    /// Checks all accounts and the queue. Other tasks get turns in between.
    ///
    /// # Errors
    /// Errors of the flash. Damage is not an error.
    pub async fn check(&self) -> Result<Report, Error> {
        self.check_each(&|_| {}).await
    }

    /// Checks all accounts and the queue, and calls `heard` with each folder before it is read.
    ///
    /// # Errors
    /// As [`Store::check`].
    pub async fn check_each(&self, heard: &dyn Fn(&str)) -> Result<Report, Error> {
        let mut report = Report::default();
        for dir in self.folders()? {
            heard(&dir);
            let findings = account::check(self.flash.clone(), &dir).await;
            report.add(&dir, &findings.map_err(|error| Error::io(&dir, error))?);
        }
        Ok(report)
    }

    /// Checks everything and repairs what is damaged. Nothing else may use the store meanwhile.
    ///
    /// # Errors
    /// Errors of the flash.
    pub async fn repair(&self) -> Result<Report, Error> {
        let mut report = Report::default();
        for dir in self.folders()? {
            let findings = account::check(self.flash.clone(), &dir).await;
            let findings = findings.map_err(|error| Error::io(&dir, error))?;
            report.add(&dir, &findings);
            if !findings.damage.is_empty() {
                report.repaired.extend(self.repair_account(&dir, findings).await?);
            }
        }
        Ok(report)
    }

    /// The folders of all accounts, including unclaimed ones, and the folder of the queue where there is one.
    ///
    /// # Errors
    /// Errors of the flash.
    pub fn folders(&self) -> Result<Vec<String>, Error> {
        let list =
            |dir: &str| -> io::Result<BTreeSet<String>> { Ok(self.flash.list(dir)?.into_iter().collect()) };
        let accounts = list("accounts").map_err(|error| Error::io("accounts", error))?;
        let queue = !list(QUEUE).map_err(|error| Error::io(QUEUE, error))?.is_empty();
        let mut folders: Vec<String> = accounts.into_iter().map(|name| format!("accounts/{name}")).collect();
        folders.extend(queue.then(|| QUEUE.to_owned()));
        Ok(folders)
    }
}
