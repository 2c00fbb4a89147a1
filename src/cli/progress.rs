//! A progress bar on the terminal while mail is exported or imported; nothing where standard error is no terminal.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pillarbox::archive::{Progress, Watch};
use pillarbox::say;
use pillarbox::say::counted;

/// The most redraws a second.
const RATE: u8 = 10;
const STYLE: &str = "[{bar:30}] {percent:>3} %  {msg}  {bytes_per_sec}, {eta} to go";

const OCTETS: &str = "{bytes} of {total_bytes}, {bytes_per_sec}";

/// The progress bar. It is drawn when progress is reported; no thread draws it.
pub struct Shown(Option<ProgressBar>);

impl Shown {
    /// A bar of which nothing is drawn yet; none where standard error is no terminal.
    pub fn new() -> Shown {
        Shown(io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(RATE));
            let style = ProgressStyle::with_template(STYLE).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.with_style(style.progress_chars("=> "))
        }))
    }

    /// As [`Shown::new`], for work whose progress is known in octets only.
    pub fn of_octets() -> Shown {
        let shown = Shown::new();
        if let Some(bar) = &shown.0 {
            let style = ProgressStyle::with_template(OCTETS).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style);
        }
        shown
    }

    /// Shows that `octets` of `of_octets` are done. Where the total is not known, `of_octets` is 0.
    pub fn octets(&self, octets: u64, of_octets: u64) {
        if let Some(bar) = &self.0 {
            bar.set_length(of_octets.max(octets));
            bar.set_position(octets);
        }
    }

    /// Removes the bar.
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
