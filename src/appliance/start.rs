//! What happens once, before anything is served.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use rustix::process::{Resource, getrlimit, setrlimit};
use rustls::ServerConfig;

use super::RunOptions;
use crate::board::device::Device;
use crate::board::remarks::Remark;
use crate::board::{self, Board};
use crate::certificate::{self, Present};
use crate::config::encoding::Encoding;
use crate::config::problem::Problem;
use crate::config::{self, Config, text};
use crate::credential::{Verifier, random, random_password};
use crate::data_folder::DataFolder;
use crate::failure::Failure;
use crate::flash::{self, Flash, Mode};
use crate::net::tls::TlsError;
use crate::say;
use crate::watchdog::Watchdog;

/// Tells the operator of a device that boots from a card image how to configure it.
pub const NOT_CONFIGURED: &str = "not configured yet: open this device's page in a browser at home, put a file pillarbox.toml on the \
     card's partition PILLARBOX and start again, or type on the console: set server.domains DOMAIN, add account NAME, password NAME, commit";

/// Makes a panic, which is a defect, one line of output. The supervisor starts the appliance anew.
pub fn panic_in_one_line() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        say::err(format_args!(
            "pillarbox: a defect at {place}, please report it: {}",
            panic.payload_as_str().unwrap_or("no words")
        ));
    }));
}

/// The board's watchdog. Without one the appliance runs, but is not reset when it hangs.
pub fn watchdog(device: &Path) -> Option<Watchdog> {
    match Watchdog::open(device) {
        Ok(watchdog) => Some(watchdog),
        Err(error) => {
            log::warn!("no watchdog: {}: {error}", device.display());
            None
        }
    }
}

/// Raises the limit of open files, and so of connections, to what the system allows.
pub fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        log::warn!("the limit of open files stays as it is: {error}");
    }
}

/// The device, where the options say that this machine is one. Removes what a power cut left of an update.
pub fn device(options: &RunOptions, flash: &Rc<dyn Flash>) -> Result<Option<Device>, Failure> {
    let Some(board) = &options.board else { return Ok(None) };
    let device = Device::new(board.clone(), &options.data, flash.clone());
    let device = device.map_err(Failure::system(&board::etc().display().to_string()))?;
    device.forget_parts();
    Ok(Some(device))
}

/// The configuration to start with: from a file, which is stored first; else the stored one; else the demonstration's, which is
/// stored so that its password stays.
///
/// On a board, the defaults of a card image take the place of the demonstration's. They are also used where the stored
/// configuration cannot be read: without the daemon there would be no console to mend it on.
pub async fn configuration(folder: &DataFolder, options: &RunOptions) -> Result<Config, Failure> {
    let (file, on_a_board) = (options.config.as_deref(), options.board.is_some());
    let stored = match folder.load() {
        Ok(stored) => stored,
        Err(error) if on_a_board => {
            log::error!("{error}");
            None
        }
        Err(error) => return Err(Failure::System(error.to_string())),
    };
    if let Some(notice) = stored.as_ref().and_then(|stored| stored.notice.as_deref()) {
        log::error!("{notice}");
    }
    let stored = stored.map(|stored| stored.config);
    // A process that was killed may have renamed the file in the system's memory only: the configuration in force must be
    // durable.
    if stored.is_some()
        && let Err(error) = folder.flash().sync_dir("").await
    {
        log::warn!("the data folder: {}", flash::words(&error));
    }
    let (config, warnings) = match (file, stored.as_ref()) {
        (Some(file), stored) => {
            let defaults = if on_a_board { Config::on_a_board() } else { Config::default() };
            read_over(file, stored, defaults)?
        }
        (None, Some(config)) => {
            remind_of_demo(config);
            return Ok(config.clone());
        }
        (None, None) if on_a_board => {
            // There may be another reason than that nobody has made a configuration; then the scripts have told it.
            let noticed = options.board.as_ref().map(Board::remarks).unwrap_or_default();
            if !noticed.iter().any(Remark::is_why_nothing_is_set) {
                log::warn!("{NOT_CONFIGURED}");
            }
            return Ok(Config::on_a_board());
        }
        (None, None) => return demonstration(folder, options).await,
    };
    let config = store(folder, options, stored.as_ref(), config).await?;
    warnings.iter().for_each(|warning| log::warn!("{warning}"));
    Ok(config)
}

/// Stores the configuration to start with.
async fn store(
    folder: &DataFolder,
    options: &RunOptions,
    stored: Option<&Config>,
    mut config: Config,
) -> Result<Config, Failure> {
    config.identify(stored.unwrap_or(&Config::default()));
    if let Some(stored) = stored {
        match folder.note_owners(stored, &config).await {
            // Where the flash is read-only, storing fails as well, with an error that tells more.
            Err(why) if !folder.flash().is_read_only() => return Err(Failure::System(why)),
            _ => {}
        }
    }
    match folder.save(&config).await {
        Ok(()) => Ok(config),
        // A service that is given the same file at every start can start.
        Err(error) if error.takes_no_changes() && stored == Some(&config) => {
            log::warn!("{error}; the given configuration is the stored one");
            Ok(config)
        }
        Err(error) if error.takes_no_changes() => {
            Err(Failure::System(not_stored(options, stored.is_some(), &error)))
        }
        Err(error) => Err(Failure::System(error.to_string())),
    }
}

/// The error for a configuration that cannot be stored. It is not used, since the next start would use another one.
fn not_stored(options: &RunOptions, is_other_stored: bool, error: &config::file::Error) -> String {
    let data = options.data.display();
    match &options.config {
        Some(file) if is_other_stored => format!(
            "{data}/{error}, and {} is not what is stored there: start without --config to serve what is stored",
            file.display()
        ),
        _ => {
            format!("{data}/{error}, and no configuration is stored there: choose another folder with --data")
        }
    }
}

/// Reads and checks a configuration file. Secrets that it does not give are taken from `stored`. Returns the warnings, too, one
/// a line.
///
/// # Errors
/// [`Failure::Problems`], or what the system says.
pub fn read_configuration(file: &Path, stored: Option<&Config>) -> Result<(Config, Vec<String>), Failure> {
    read_over(file, stored, Config::default())
}

fn read_over(
    file: &Path,
    stored: Option<&Config>,
    defaults: Config,
) -> Result<(Config, Vec<String>), Failure> {
    let name = file.display().to_string();
    let mut octets = Vec::new();
    // This is a little more than fits, in the longest encoding: enough for the parser to see that the file is too long.
    let limit = 2 * text::MAX_TEXT as u64 + 4;
    File::open(file).and_then(|file| file.take(limit).read_to_end(&mut octets)).map_err(Failure::at(file))?;
    let lines = |problems: &[Problem]| -> Vec<String> { problems.iter().map(|p| p.in_file(&name)).collect() };
    let ways = text::ReadOptions { defaults, ..text::ReadOptions::default() };
    let parsed = text::parse_with_options(&Encoding::of(&octets).decoded(&octets), stored, ways)
        .map_err(|problems| Failure::Problems(lines(&problems)))?;
    Ok((parsed.config, lines(&parsed.warnings)))
}

const LOGIN_KEY: &str = "login.key";

/// The key of [`crate::auth::Logins`]: 32 random octets, made once. It protects no mail. With it an unknown login gets the same
/// salt after a restart as before. Where the flash takes no changes, the key is not kept, and the next start makes another one.
pub async fn login_key(flash: &dyn Flash) -> Result<[u8; 32], Failure> {
    let read = || -> io::Result<[u8; 32]> {
        let mut key = [0; 32];
        flash.open(LOGIN_KEY, Mode::Read)?.read_exact_at(0, &mut key)?;
        Ok(key)
    };
    match read() {
        Ok(key) => return Ok(key),
        // A file that is too short was torn by a power cut while it was made.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => {}
        Err(error) => return Err(Failure::system(LOGIN_KEY)(error)),
    }
    let key = random();
    let write = async {
        let file = flash.open(LOGIN_KEY, Mode::Create)?;
        file.write_at(0, &key)?;
        file.sync().await?;
        flash.sync_dir("").await
    };
    match write.await {
        Err(error) if flash::takes_no_changes(&error) => {
            log::warn!("{LOGIN_KEY}: not kept, {}", flash::words(&error))
        }
        other => other.map_err(Failure::system(LOGIN_KEY))?,
    }
    Ok(key)
}

/// The certificate and key to start with. Where the appliance `tolerates_failures`, its own replace those that cannot be read.
pub async fn certificate(
    config: &Config,
    present: &Present,
    flash: &dyn Flash,
    tolerates_failures: bool,
) -> Result<Arc<ServerConfig>, Failure> {
    let refused = |error: TlsError| Failure::Input(error.to_string());
    match certificate::for_network(config, present, flash).await {
        Err(error) if tolerates_failures => {
            log::error!("{error}");
            let own = Config { tls: config::Tls::default(), ..config.clone() };
            certificate::for_network(&own, present, flash).await.map_err(refused)
        }
        other => other.map_err(refused),
    }
}

async fn demonstration(folder: &DataFolder, options: &RunOptions) -> Result<Config, Failure> {
    let password = random_password();
    let config = store(folder, options, None, Config::demonstration(Verifier::new(&password))).await?;
    say::out(format_args!("demo login: demo {password}"));
    Ok(config)
}

/// Reminds of the demonstration's login. Later starts cannot print the password: only its verifier is kept.
fn remind_of_demo(config: &Config) {
    if config.is_demonstration() {
        say::out(
            "demo login: demo, with the password of the first start; `password demo` and `commit` in `pillarbox console` set a new one",
        );
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rustix::io::Errno;

    use super::*;
    use crate::flash::refusing::Refusing;
    use crate::flash::sim::SimFlash;

    /// The settings that a start from a folder with `flash` in it begins with.
    async fn started(flash: &Rc<impl Flash + 'static>, options: &RunOptions) -> Result<Config, Failure> {
        configuration(&DataFolder::simulated(flash.clone()), options).await
    }

    #[test]
    fn a_board_starts_also_without_a_configuration_that_can_be_read() {
        async_io::block_on(async {
            let flash = Rc::new(SimFlash::default());
            let board =
                RunOptions { board: Some(board::Board::new("/run/pillarbox")), ..RunOptions::default() };
            assert_eq!(started(&flash, &board).await.unwrap(), Config::on_a_board());
            assert!(flash.files().is_empty(), "nothing is stored that nobody has said");
            flash.open("config.postcard", Mode::Create).unwrap().write_at(0, b"damaged").unwrap();
            assert_eq!(started(&flash, &board).await.unwrap(), Config::on_a_board());
            assert!(started(&flash, &RunOptions::default()).await.is_err());

            // A setting that the file does not have is as on a board, too.
            let file = std::env::temp_dir().join(format!("pillarbox-start-{}.toml", std::process::id()));
            std::fs::write(&file, "[server]\ndomains = [\"home.example\"]\n").unwrap();
            let config = started(&flash, &RunOptions { config: Some(file.clone()), ..board }).await;
            std::fs::remove_file(file).unwrap();
            let config = config.unwrap();
            assert_eq!(config.listen, Config::on_a_board().listen);
            assert_eq!(config::file::load(&*flash).unwrap().unwrap().config, config);
        });
    }

    /// Catches: a start that gives up where the flash takes no changes, though everything that it needs is there or can be done
    /// without.
    #[test]
    fn the_start_needs_no_write() {
        async_io::block_on(async {
            let (file, other) = (scratch_file("same"), scratch_file("other"));
            std::fs::write(&file, SMALL).unwrap();
            std::fs::write(&other, SMALL.replace("\"pass\"", "\"another\"")).unwrap();
            let with = |file: Option<&PathBuf>| RunOptions { config: file.cloned(), ..RunOptions::default() };
            for errno in [Errno::ROFS, Errno::IO] {
                let flash = Rc::new(SimFlash::default());
                let stored = started(&flash, &with(Some(&file))).await.unwrap();
                let before = flash.files();
                let refusing = Rc::new(Refusing::new(SimFlash::clone(&flash), Some(errno)));
                assert_eq!(started(&refusing, &with(None)).await.unwrap(), stored);
                assert_eq!(started(&refusing, &with(Some(&file))).await.unwrap(), stored);
                let refused = started(&refusing, &with(Some(&other))).await.unwrap_err().words();
                assert!(refused.ends_with("start without --config to serve what is stored"), "{refused}");
                assert_ne!(login_key(&*refusing).await.unwrap(), login_key(&*refusing).await.unwrap());
                certificate(&stored, &Present::default(), &*refusing, false).await.unwrap();
                assert_eq!(flash.files(), before);

                let empty = Rc::new(Refusing::new(SimFlash::default(), Some(errno)));
                for given in [None, Some(&file)] {
                    let refused = started(&empty, &with(given)).await.unwrap_err().words();
                    assert!(refused.contains("no configuration is stored there"), "{refused}");
                }
            }
            [file, other].iter().for_each(|file| std::fs::remove_file(file).unwrap());
        });
    }

    const SMALL: &str = "[server]\ndomains = [\"home.example\"]\n[[account]]\nname = \"demo\"\n\
                         address = \"demo@home.example\"\npassword = \"pass\"\n";

    fn scratch_file(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("pillarbox-start-{name}-{}.toml", std::process::id()))
    }

    #[test]
    fn the_login_key_stays_and_a_torn_one_is_made_anew() {
        async_io::block_on(async {
            let flash = SimFlash::default();
            let key = login_key(&flash).await.unwrap();
            assert_eq!(login_key(&flash.restart(0)).await.unwrap(), key);
            flash.open(LOGIN_KEY, Mode::Create).unwrap().write_at(0, &key[..31]).unwrap();
            let other = login_key(&flash).await.unwrap();
            assert_ne!(other, key);
            assert_eq!(login_key(&flash.restart(0)).await.unwrap(), other);
        });
    }
}
