//! `fsck`: what is damaged on the flash, and what can be saved.

use std::path::Path;
use std::rc::Rc;

use pillarbox::config::file;
use pillarbox::failure::Failure;
use pillarbox::flash::Flash;
use pillarbox::store::Store;

use super::configuration::{existing, held};
use super::print;
use pillarbox::say::counted;

/// Checks the configuration and all mail in `data`. An appliance may run meanwhile, but not with `repair`.
pub fn run(data: &Path, repair: bool) -> Result<(), Failure> {
    // Held until the end.
    let folder = repair.then(|| held(data)).transpose()?;
    let flash: Rc<dyn Flash> = match &folder {
        Some(folder) => folder.flash().clone(),
        None => Rc::new(existing(data)?),
    };
    let failed = |error: &dyn std::fmt::Display| Failure::System(format!("{}/{error}", data.display()));
    if repair && flash.is_read_only() {
        return Err(Failure::System(format!(
            "{}: the flash takes no changes: copy the folder to one that works, and repair the copy",
            data.display()
        )));
    }
    let store = Store::new(flash.clone());
    let configuration = file::check(&*flash).map_err(|error| failed(&error))?;
    let checking = async {
        if !repair {
            return store.check().await;
        }
        let report = store.repair().await?;
        store.mark_end();
        Ok(report)
    };
    let mut report = async_io::block_on(checking).map_err(|error| failed(&error))?;
    let damaged = report.damage.len() + configuration.len();
    let mut mended = Ok(());
    if let Some(folder) = &folder
        && !configuration.is_empty()
    {
        mended = async_io::block_on(folder.repair());
        report.repaired.extend(mended.is_ok().then(|| "config.postcard: written anew".to_owned()));
    }
    report.damage.extend(configuration);
    print(&report.to_string())?;
    match mended {
        Err(error) => Err(Failure::Input(format!("{}/{error}", data.display()))),
        Ok(()) if repair || damaged == 0 => Ok(()),
        Ok(()) => Err(Failure::Input(format!(
            "{}: damaged in {}; stop the appliance and run `pillarbox fsck --repair`, which saves all the rest",
            data.display(),
            counted(damaged as u64, "place")
        ))),
    }
}
