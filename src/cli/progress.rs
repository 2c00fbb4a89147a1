//! A bar on the terminal while mail goes in or out; nothing where standard error is no terminal.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pillarbox::archive::{Progress, Watch};
use pillarbox::say;
use pillarbox::say::counted;

/// Pictures a second.
const RATE: u8 = 10;
const STYLE: &str = "[{bar:30}] {percent:>3} %  {msg}  {bytes_per_sec}, {eta} to go";

const OCTETS: &str = "{bytes} of {total_bytes}, {bytes_per_sec}";

/// What the operator sees. The bar is drawn when something has come to pass: no thread does it.
pub struct Shown(Option<ProgressBar>);

impl Shown {
    /// Nothing is drawn yet.
    pub fn new() -> Shown {
        Shown(io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(RATE));
            let style = ProgressStyle::with_template(STYLE).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.with_style(style.progress_chars("=> "))
        }))
    }

    /// As [`Shown::new`], for work of which only octets are known.
    pub fn of_octets() -> Shown {
        let shown = Shown::new();
        if let Some(bar) = &shown.0 {
            let style = ProgressStyle::with_template(OCTETS).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style);
        }
        shown
    }

    /// So many octets are done, of so many where that is known.
    pub fn octets(&self, octets: u64, of_octets: u64) {
        if let Some(bar) = &self.0 {
            bar.set_length(of_octets.max(octets));
            bar.set_position(octets);
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Watch for Shown {
    fn progress(&self, progress: Progress) {
        if let Some(bar) = &self.0 {
            bar.set_length(progress.of_octets);
            bar.set_message(format!("{} of {}", progress.messages, counted(progress.of_messages, "message")));
            bar.set_position(progress.octets);
        }
    }

    fn tell(&self, line: String) {
        let line = format!("pillarbox: {line}");
        match &self.0 {
            Some(bar) => bar.suspend(|| say::err(&line)),
            None => say::err(line),
        }
    }
}
