//! `board …`: commands for the scripts of a card image. They run as root, before the daemon and beside it.

use std::path::{Path, PathBuf};

use pillarbox::board::first::{self, Outcome};
use pillarbox::board::{self, mbr};
use pillarbox::config::{Config, file};
use pillarbox::failure::Failure;
use pillarbox::flash::disk::Disk;
use pillarbox::say;

use super::arguments::{Choice, DATA, Given, Operand, Verb};
use super::print;

/// The request of a verb of this family.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    Settings { data: PathBuf },
    Time { data: PathBuf },
    Grow { device: PathBuf, partition: String },
    FirstConfiguration { card: PathBuf, data: PathBuf },
}

const CARD: Choice = Choice { name: "--card", value: Some("CARD") };

/// The verbs, in the order of `help board`.
pub const VERBS: &[Verb] = &[
    Verb {
        name: "board settings",
        operands: &[],
        options: &[DATA],
        help: "print host name, address, gateway, DNS and NTP servers for sh; the defaults where nothing is stored",
        request: |given: &Given| super::Request::Board(Request::Settings { data: given.data() }),
    },
    Verb {
        name: "board time",
        operands: &[],
        options: &[DATA],
        help: "print the last known time in seconds since 1970: that of the image or of the newest file in DIR",
        request: |given: &Given| super::Request::Board(Request::Time { data: given.data() }),
    },
    Verb {
        name: "board grow",
        operands: &[Operand::Needed("DEVICE"), Operand::Needed("N")],
        options: &[],
        help: "let the last partition, number N of an MBR, reach to the card's end; read the table anew afterwards",
        request: |given: &Given| {
            let partition = given.operand(1).display().to_string();
            super::Request::Board(Request::Grow { device: given.operand(0), partition })
        },
    },
    Verb {
        name: "board first-configuration",
        operands: &[],
        options: &[CARD, DATA],
        help: "import pillarbox.toml of the FAT partition where it is new, put stars in place of its secrets,\n      \
               and write pillarbox-result.txt",
        request: |given: &Given| {
            let card = given.path(CARD.name).unwrap_or_else(board::card);
            super::Request::Board(Request::FirstConfiguration { card, data: given.data() })
        },
    },
];

/// Carries out `request`.
pub fn carry_out(request: Request) -> Result<(), Failure> {
    match request {
        Request::Settings { data } => print(&settings(&data)),
        Request::Time { data } => {
            let time = board::time::newest(&board::etc(), &data).map_err(Failure::at(&data))?;
            print(&format!("{time}\n"))
        }
        Request::Grow { device, partition } => grow(&device, &partition),
        Request::FirstConfiguration { card, data } => first_configuration(&card, &data),
    }
}

/// The settings for the scripts. Settings that cannot be read must not keep the device from its network: the settings before them
/// or the defaults are used, and a line for each damaged file says so.
fn settings(data: &Path) -> String {
    let (config, damage) = looked_up(data);
    let used = match config {
        Some(_) => "the settings before it are used: look at them with `show config`",
        None => "the network is set up with the defaults",
    };
    for line in damage {
        say::err(format_args!("{line}; {used}"));
    }
    board::settings::for_sh(&config.unwrap_or_else(Config::on_a_board))
}

/// The stored configuration, and one line for each damaged file. Changes nothing: this command runs as root, and the daemon sets
/// damaged files aside itself.
fn looked_up(data: &Path) -> (Option<Config>, Vec<String>) {
    if !data.is_dir() {
        return (None, Vec::new());
    }
    let flash = match Disk::new(data) {
        Ok(flash) => flash,
        Err(error) => return (None, vec![format!("{}: {error}", data.display())]),
    };
    let damage = file::check(&flash).unwrap_or_else(|error| vec![error.to_string()]);
    (file::peek(&flash), damage)
}

fn grow(device: &Path, partition: &str) -> Result<(), Failure> {
    let at = |what: &dyn std::fmt::Display| format!("{}: {what}", device.display());
    let number = partition
        .parse()
        .map_err(|_| Failure::Usage(format!("{partition}: the number of a partition is one from 1 to 4")))?;
    match mbr::grow_device(device, number) {
        Ok(Some(grown)) => print(&at(&format!("partition {number} has grown {grown}\n"))),
        Ok(None) => print(&at(&format!("partition {number} reaches to the end already\n"))),
        Err(mbr::Error::Refused(refusal)) => Err(Failure::Input(at(&refusal))),
        Err(mbr::Error::Io(error)) => Err(Failure::at(device)(error)),
    }
}

/// Imports a first configuration from the card. Prints one line for the log; the owner finds more in the result file.
fn first_configuration(card: &Path, data: &Path) -> Result<(), Failure> {
    match first::import(card, data) {
        Ok(Outcome::NoFile | Outcome::Known) => Ok(()),
        Ok(Outcome::Blanked) => print("first configuration: the secrets in the file are unreadable now\n"),
        Ok(Outcome::CommentsBlanked(lines)) => print(&format!(
            "first configuration: the secrets in {} of the file are unreadable now\n",
            say::counted(lines.len() as u64, "comment")
        )),
        Ok(Outcome::Imported { config, warnings, .. }) => print(&format!(
            "first configuration: imported, accounts: {}, warnings: {}\n",
            config.accounts.len(),
            warnings.len()
        )),
        Ok(Outcome::Refused(problems)) => {
            // The first line is for the status, the others are for the log.
            let lines = problems.iter().map(|problem| format!("first configuration: {problem}"));
            Err(Failure::Problems(std::iter::once(first::refusal(&problems)).chain(lines).collect()))
        }
        Err(error) => Err(Failure::System(format!(
            "pillarbox.toml on the card was not imported, or its passwords are readable still: {error}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: damaged settings that keep a device from its network, and a look at the files that changes them.
    #[test]
    fn without_a_usable_configuration_the_network_has_its_defaults() {
        let data = std::env::temp_dir().join(format!("pillarbox-board-{}", std::process::id()));
        let defaults = board::settings::for_sh(&Config::on_a_board());
        assert_eq!(settings(&data), defaults);
        assert!(!data.exists());
        std::fs::create_dir_all(&data).unwrap();
        let files = || {
            let mut files: Vec<_> = std::fs::read_dir(&data)
                .unwrap()
                .map(|entry| entry.unwrap())
                .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
                .collect();
            files.sort();
            files
        };
        std::fs::write(data.join("config.postcard"), "damaged").unwrap();
        let before = files();
        assert_eq!(settings(&data), defaults);
        assert_eq!(files(), before);
        let (config, damage) = looked_up(&data);
        assert!(
            config.is_none() && damage.len() == 1 && damage[0].starts_with("config.postcard: "),
            "{damage:?}"
        );

        // The configuration before it is there.
        std::fs::remove_file(data.join("config.postcard")).unwrap();
        let mut stored = Config::on_a_board();
        stored.server.hostname = "mail.home.example".try_into().unwrap();
        let flash = Disk::new(&data).unwrap();
        async_io::block_on(file::save(&flash, &stored)).unwrap();
        async_io::block_on(file::save(&flash, &stored)).unwrap();
        std::fs::write(data.join("config.postcard"), "damaged").unwrap();
        let before = files();
        assert!(settings(&data).starts_with("HOSTNAME=\"mail\"\n"));
        assert_eq!(files(), before, "nothing was set aside");
        std::fs::remove_dir_all(data).unwrap();
    }

    #[test]
    fn a_partition_that_cannot_grow_is_told() {
        let no_card = grow(Path::new("/nowhere"), "4");
        assert!(matches!(no_card, Err(Failure::System(_))), "{no_card:?}");
        assert!(matches!(grow(Path::new("/nowhere"), "four"), Err(Failure::Usage(_))));
    }
}
