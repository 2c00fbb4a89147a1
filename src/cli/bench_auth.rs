//! `bench-auth`: what the check of a password costs on this machine.

use std::path::Path;

use pillarbox::config::Config;
use pillarbox::config::file;
use pillarbox::credential::cost;
use pillarbox::failure::Failure;
use pillarbox::flash::disk::Disk;

/// What it costs with the rounds that the verifiers in `data` have, or new ones would.
pub fn report(data: &Path) -> Result<String, Failure> {
    let mut config = Config::default();
    if data.is_dir() {
        let flash = Disk::new(data).map_err(Failure::at(data))?;
        let loaded =
            file::find(&flash).map_err(|error| Failure::System(format!("{}/{error}", data.display())))?;
        config = loaded.map(|loaded| loaded.config).unwrap_or_default();
    }
    Ok(async_io::block_on(cost(config.rounds())))
}
