//! The table: a row a measure, with both figures, their ratio, and a mark where a goal is missed.

use std::io::Write;
use std::time::Duration;

use super::server::Server;

/// What a figure is, and with it whether more of it is better.
#[derive(Clone, Copy, PartialEq)]
pub enum Unit {
    PerSecond,
    /// MB a second.
    Speed,
    Milliseconds,
    /// Octets; PSS of all processes where it is said of a server.
    Memory,
    Factor,
}

/// One measure.
pub struct Row {
    name: &'static str,
    unit: Unit,
    measure: fn(&Server) -> f64,
    /// How many times better than the peer it has to be.
    ratio: f64,
    most: f64,
    least: f64,
    /// There is nothing of the peer's to compare with.
    alone: bool,
}

pub const fn row(name: &'static str, unit: Unit, measure: fn(&Server) -> f64) -> Row {
    Row { name, unit, measure, ratio: 1.0, most: f64::INFINITY, least: 0.0, alone: false }
}

impl Row {
    /// So many times better than the peer.
    pub const fn ratio(self, ratio: f64) -> Row {
        Row { ratio, ..self }
    }
    /// Not above this, whatever the peer does.
    pub const fn limit(self, most: f64) -> Row {
        Row { most, ..self }
    }
    /// Not below this.
    pub const fn at_least(self, least: f64) -> Row {
        Row { least, ..self }
    }
    /// Of the appliance only.
    pub const fn alone(self) -> Row {
        Row { alone: true, ..self }
    }

    /// Whether its name has this word.
    pub fn is_about(&self, word: &str) -> bool {
        self.name.contains(word)
    }

    pub fn measure(&self, ours: &Server, theirs: &Server) {
        let ours = (self.measure)(ours);
        self.print(ours, (!self.alone).then(|| (self.measure)(theirs)));
    }

    pub fn print(&self, ours: f64, theirs: Option<f64>) {
        let better = theirs.map(|theirs| if self.more_is_better() { ours / theirs } else { theirs / ours });
        let ratio = better.map(|better| format!("{better:.2}")).unwrap_or_default();
        let missed = match better {
            _ if ours > self.most => format!("<- at most {}", self.show(self.most)),
            _ if ours < self.least => format!("<- at least {}", self.show(self.least)),
            Some(better) if better < 1.0 => "<- worse".to_owned(),
            Some(better) if better < self.ratio => format!("<- ratio of at least {}", self.ratio),
            _ => String::new(),
        };
        let theirs = theirs.map(|theirs| self.show(theirs)).unwrap_or_default();
        println!("{:61} {:>12} {theirs:>12} {ratio:>7} {missed}", self.name, self.show(ours));
        let _ = std::io::stdout().flush();
    }

    fn more_is_better(&self) -> bool {
        matches!(self.unit, Unit::PerSecond | Unit::Speed)
    }

    fn show(&self, figure: f64) -> String {
        match self.unit {
            Unit::PerSecond => format!("{figure:.0}"),
            Unit::Speed => format!("{figure:.0} MB/s"),
            Unit::Milliseconds => format!("{figure:.2} ms"),
            Unit::Memory if figure < f64::from(1 << 20) => format!("{:.1} KiB", figure / 1024.0),
            Unit::Memory => format!("{:.2} MiB", figure / 1048576.0),
            Unit::Factor => format!("{figure:.2}"),
        }
    }
}

pub fn head() {
    println!("{:61} {:>12} {:>12} {:>7}", "", "Pillarbox", "Dovecot", "better");
}

pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The time that the given share of the others does not exceed.
pub fn percentile(mut times: Vec<Duration>, share: f64) -> Duration {
    times.sort();
    times[(times.len() as f64 * share) as usize]
}
