//! `mail export` and `mail import`: by the running appliance, or here when none runs.

use std::io;
use std::path::{Path, PathBuf};

use pillarbox::console::client::{self, Error};
use pillarbox::console::mail::Job;
use pillarbox::failure::Failure;
use pillarbox::store::Store;

use super::configuration::{existing, held, stored};
use super::print;
use super::progress::Shown;

/// Does `job`, and prints what was done.
pub fn run(data: &Path, job: Job) -> Result<(), Failure> {
    existing(data)?;
    let job = absolute(job)?;
    let shown = Shown::new();
    let outcome = match client::mail(data, &job, &shown) {
        Ok(outcome) => outcome,
        Err(Error::NotRunning(_)) => {
            let folder = held(data)?;
            let config = stored(&**folder.flash(), data)?.config;
            let store = Store::new(folder.flash().clone());
            store.set_quotas(config.quotas());
            store.assign(&config.owners()).map_err(|error| Failure::System(error.to_string()))?;
            let done = async_io::block_on(job.run(&config, &store, &shown));
            done.and_then(|summary| job.outcome(&summary))
        }
        Err(error) => Err(Failure::System(error.to_string())),
    };
    shown.end();
    print(&(outcome? + "\n"))
}

/// The appliance runs in another folder than the one that relative paths are meant from.
fn absolute(job: Job) -> Result<Job, Failure> {
    let absolute = |path: PathBuf| -> Result<PathBuf, Failure> {
        let found: io::Result<PathBuf> = std::path::absolute(&path);
        found.map_err(Failure::at(&path))
    };
    Ok(match job {
        Job::Export { account, dest, format } => Job::Export { account, dest: absolute(dest)?, format },
        Job::Import { account, src } => Job::Import { account, src: absolute(src)? },
    })
}
