//! What arrived at a smarthost that is a real server.

use std::path::Path;

use super::PATIENCE;
use super::process::{as_root, run};

/// A message that arrived, for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relayed {
    /// The login that the sender of this message used.
    pub login: String,
    pub sender: String,
    /// As in the RCPT command.
    pub recipient: String,
    pub message: String,
}

impl Relayed {
    /// All that lies in a Maildir so far, in no order.
    pub fn all(maildir: &Path) -> Vec<Relayed> {
        let files = run(as_root("find").arg(maildir.join("new")).args(["-type", "f"]), PATIENCE).text();
        files.lines().map(|file| Relayed::read(&run(as_root("cat").arg(file), PATIENCE).text())).collect()
    }

    fn read(message: &str) -> Relayed {
        let between = |before: &str, after: char| {
            message
                .split_once(before)
                .and_then(|(_, rest)| rest.split_once(after))
                .map_or("", |(found, _)| found)
        };
        Relayed {
            login: between("(Authenticated sender: ", ')').to_owned(),
            sender: between("Return-Path: <", '>').to_owned(),
            recipient: between("Delivered-To: ", '\n').to_owned(),
            message: message.to_owned(),
        }
    }

    /// The value of its Subject field.
    pub fn subject(&self) -> &str {
        self.message.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default()
    }

    /// Under which number it was taken: each time it was handed over another one.
    pub fn id_at_smarthost(&self) -> Option<&str> {
        let (_, by) = self.message.split_once("by smarthost.example")?;
        let (_, id) = by.split_once("id ")?;
        id.split_once([';', '\n']).map(|(id, _)| id)
    }
}
