//! `check`, `import` and `export`: the configuration as text and as it is stored on flash.

use std::path::Path;
use std::rc::Rc;

use pillarbox::appliance::{finish_restore, read_configuration};
use pillarbox::archive::backup::place;
use pillarbox::config::Config;
use pillarbox::config::export::to_toml;
use pillarbox::config::file::{self, Error, Loaded};
use pillarbox::console::client;
use pillarbox::data_folder::{self, DataFolder};
use pillarbox::failure::Failure;
use pillarbox::flash::Flash;
use pillarbox::flash::disk::Disk;
use pillarbox::say;

use super::arguments::USUAL_DATA;
use super::print;

/// Reports every mistake in `file`. The file need not have secrets that are stored in `data`. Where no folder is named, the
/// usual one counts, if it exists.
pub fn check(file: &Path, data: Option<&Path>) -> Result<(), Failure> {
    let usual = Path::new(USUAL_DATA);
    let stored = match data {
        Some(data) => Some(stored(&existing(data)?, data)?.config),
        None if usual.is_dir() => {
            file::find(&existing(usual)?).map_err(refused(usual))?.map(|loaded| loaded.config)
        }
        None => None,
    };
    let (config, warnings) = read_configuration(file, stored.as_ref())?;
    let accounts = config.accounts.len();
    print(&said(&warnings, &format!("{}: no mistakes, accounts: {accounts}", file.display())))
}

/// Stores `file` in `data`: through the running appliance, which puts it in force, or here when none runs.
pub fn import(file: &Path, data: &Path) -> Result<(), Failure> {
    data_folder::tried(data, || imported(file, data))
}

fn imported(file: &Path, data: &Path) -> Result<(), Failure> {
    let name = file.display();
    let flash = Rc::new(Disk::new(data).map_err(Failure::at(data))?);
    if client::is_running(data) {
        let stored = replaced(data, file::find(&*flash))?;
        let (config, warnings) = read_configuration(file, stored.as_ref())?;
        return match client::import(data, &config) {
            Ok(()) => print(&said(&warnings, &format!("{name}: imported, and in force"))),
            Err(client::Error::Refused(words)) => Err(Failure::System(format!(
                "{name}: not imported, the running appliance cannot use it: {words}"
            ))),
            Err(error) => {
                Err(Failure::System(format!("{name}: whether it was imported is not known: {error}")))
            }
        };
    }
    let folder = held_as(data, flash)?;
    let stored = replaced(data, folder.load())?;
    let (mut config, warnings) = read_configuration(file, stored.as_ref())?;
    async_io::block_on(folder.replace(stored.as_ref(), &mut config))
        .map_err(|why| Failure::System(format!("{}/{why}", data.display())))?;
    let done = format!("{name}: imported into {}, in force from the next start on", data.display());
    print(&said(&warnings, &done))
}

/// The settings that will be replaced. Settings that cannot be read count as none, and standard error says so.
fn replaced(data: &Path, found: Result<Option<Loaded>, Error>) -> Result<Option<Config>, Failure> {
    match found {
        Ok(loaded) => Ok(loaded.map(|loaded| loaded.config)),
        Err(error @ (Error::Damaged { .. } | Error::Newer { .. })) => {
            say::err(format_args!("{}/{error}", data.display()));
            Ok(None)
        }
        Err(error) => Err(refused(data)(error)),
    }
}

/// The text to print: the warnings, then what was done.
fn said(warnings: &[String], done: &str) -> String {
    warnings.iter().map(String::as_str).chain([done]).map(|line| format!("{line}\n")).collect()
}

/// Prints what is stored in `data`.
pub fn export(data: &Path, with_secrets: bool) -> Result<(), Failure> {
    let loaded = stored(&existing(data)?, data)?;
    print(&to_toml(&loaded.config, with_secrets))
}

/// The data folder. It is an error where the folder does not exist: looking for it does not create it.
pub(super) fn existing(data: &Path) -> Result<Disk, Failure> {
    if !data.is_dir() {
        return Err(nothing_stored(data));
    }
    let disk = Disk::new(data).map_err(Failure::at(data))?;
    settled(data)?;
    Ok(disk)
}

/// As [`existing`], but held: no appliance runs on the folder, and none can start.
pub(super) fn held(data: &Path) -> Result<DataFolder, Failure> {
    match data.is_dir() {
        true => held_as(data, Rc::new(Disk::new(data).map_err(Failure::at(data))?)),
        false => Err(nothing_stored(data)),
    }
}

fn held_as(data: &Path, flash: Rc<Disk>) -> Result<DataFolder, Failure> {
    let folder = DataFolder::hold(data, flash)?;
    async_io::block_on(finish_restore(&**folder.flash()))?;
    Ok(folder)
}

/// Completes a restore that was cut short: until then mail is in two places.
fn settled(data: &Path) -> Result<(), Failure> {
    if data.join(place::READY).exists() {
        held(data)?;
    }
    Ok(())
}

/// The stored settings, for a command that only looks.
pub(super) fn stored(flash: &dyn Flash, data: &Path) -> Result<Loaded, Failure> {
    let loaded = file::find(flash).map_err(refused(data))?.ok_or_else(|| nothing_stored(data))?;
    if let Some(notice) = &loaded.notice {
        say::err(format_args!("{}/{notice}", data.display()));
    }
    Ok(loaded)
}

fn nothing_stored(data: &Path) -> Failure {
    Failure::System(format!(
        "{}: no configuration is stored there: `pillarbox import FILE.toml --data DIR` stores one",
        data.display()
    ))
}

fn refused(data: &Path) -> impl FnOnce(Error) -> Failure {
    let data = data.display().to_string();
    move |error| Failure::System(format!("{data}/{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str = "[server]\ndomains = [\"home.example\"]\n\n[[account]]\nname = \"office\"\n\
                         address = \"office@home.example\"\npassword = \"open sesame\"\n";

    /// A folder of its own for each test.
    fn folder(test: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("pillarbox-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn what_is_imported_is_stored_and_edited_without_its_secrets() {
        let folder = folder("import");
        let (file, data) = (folder.join("a.toml"), folder.join("data"));
        let stored = || file::load(&Disk::new(&data).unwrap()).unwrap().unwrap();

        std::fs::write(&file, RIGHT).unwrap();
        assert_eq!(check(&file, None), Ok(()));
        assert_eq!(import(&file, &data), Ok(()));
        let first = stored().config;

        // An export without secrets is edited and imported again.
        std::fs::write(&file, to_toml(&first, false).replace("quota = \"0\"", "quota = \"1GiB\"")).unwrap();
        assert!(matches!(check(&file, None), Err(Failure::Problems(_))));
        assert_eq!(check(&file, Some(&data)), Ok(()));
        assert_eq!(import(&file, &data), Ok(()));
        let second = stored();
        assert_eq!((second.generation, second.config.accounts[0].quota), (2, 1 << 30));
        assert!(second.config.accounts[0].verifier.verify(b"open sesame"));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_wrong_changes_nothing() {
        let folder = folder("wrong");
        let (file, data) = (folder.join("a.toml"), folder.join("data"));
        std::fs::write(&file, RIGHT.replace("name =", "nam =")).unwrap();
        let told = Failure::Problems(vec![
            format!(
                "{}:4: name is missing: it is a name of a-z, 0-9, \".\", \"_\" and \"-\" that does not begin with \".\"",
                file.display()
            ),
            format!("{}:5: unknown key nam: did you mean name?", file.display()),
        ]);
        assert_eq!(import(&file, &data), Err(told));
        assert!(!data.join("config.postcard").exists());
        assert!(matches!(export(&data, false), Err(Failure::System(_))));
        // There is a file where the folder should be, and a folder where the file should be.
        assert!(matches!(import(&file, &file), Err(Failure::System(_))));
        assert!(matches!(check(&folder, None), Err(Failure::System(_))));
        assert!(matches!(check(&folder.join("b.toml"), None), Err(Failure::System(_))));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
