//! Notes in the form that was written before messages belonged to the lasting identity of an account: they name the
//! account.

use serde::{Deserialize, Serialize};

use super::{Attempt, Late, PendingReport, Submitter};
use crate::config::Config;
use crate::smtp::dsn::{Notify, Request};
use crate::smtp::{Mailbox, ReversePath};

/// See [`super::Entry`].
#[derive(Serialize, Deserialize)]
pub struct Entry {
    sender: ReversePath,
    account: Option<String>,
    eight_bit: bool,
    created: i64,
    recipients: Vec<Recipient>,
}

#[derive(Serialize, Deserialize)]
struct Recipient {
    mailbox: Mailbox,
    progress: Progress,
}

#[derive(Serialize, Deserialize)]
enum Progress {
    Pending { attempts: u32, next_try: i64, trouble: String },
    Done,
    Failed { status: String, diagnostic: String, next_try: i64 },
    Reported,
}

impl Entry {
    /// The entry in today's form: it belongs to the account that has the name now.
    pub fn current(self, config: &Config) -> super::Entry {
        let submitter = self.account.map_or(Submitter::Device, |name| {
            Submitter::Account(config.account(&name).map_or(0, |account| account.id))
        });
        // The report with this number has told of what failed.
        let told = self.recipients.iter().filter(|it| matches!(it.progress, Progress::Reported)).count();
        let report = u32::try_from(told).unwrap_or(u32::MAX);
        super::Entry {
            sender: self.sender,
            submitter,
            eight_bit: self.eight_bit,
            utf8: false,
            dsn: Request::default(),
            created: self.created,
            since: self.created,
            held: false,
            late: Late::Untold { next_try: 0 },
            reports: report.saturating_add(1),
            in_doubt: None,
            history: Vec::new(),
            recipients: self.recipients.into_iter().map(|it| it.current(report)).collect(),
        }
    }
}

impl Recipient {
    fn current(self, report: u32) -> super::Recipient {
        let latest = |text: String| Attempt::failed(0, "", &text);
        let progress = match self.progress {
            Progress::Pending { attempts, next_try, trouble } => {
                let latest = Some(trouble).filter(|trouble| !trouble.is_empty()).map(latest);
                super::Progress::Pending { attempts, next_try, latest }
            }
            Progress::Done => super::Progress::Done,
            Progress::Failed { status, diagnostic, next_try } => {
                let telling = PendingReport { report: Some(report), tries: 0, next_try };
                super::Progress::Failed { status, latest: latest(diagnostic), telling }
            }
            Progress::Reported => super::Progress::Reported,
        };
        super::Recipient {
            mailbox: self.mailbox,
            notify: Notify::default(),
            original: String::new(),
            progress,
        }
    }
}
