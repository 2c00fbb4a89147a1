//! The console on a serial line. It asks for the operator's password where one is set.

use crate::operator::Operator;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use async_io::Async;
use rustix::fs::{Mode, OFlags, open};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use super::line::Editor;
use super::terminal;

/// Opens a serial device or a terminal and makes it raw; its speed stays as it is.
///
/// # Errors
/// What the system says, for example that it is no terminal.
pub fn open_device(device: &Path) -> io::Result<Async<File>> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = open(device, flags, Mode::empty())?;
    let mut settings = tcgetattr(&file)?;
    settings.make_raw();
    tcsetattr(&file, OptionalActions::Now, &settings)?;
    Async::new(File::from(file))
}

/// Serves whoever sits at the other end, forever; after `quit` the next one begins anew. A device that goes away (an
/// adapter is unplugged) is opened again when it is back.
pub async fn serve(path: &Path, device: Async<File>, operator: &Operator) {
    let mut device = Some(device);
    loop {
        if let Some(open) = &mut device
            && let Err(error) =
                terminal::interactive(operator, open, Editor::default(), Vec::new(), false).await
        {
            log::warn!("console on {}: {error}", path.display());
            device = None;
        }
        async_io::Timer::after(Duration::from_secs(1)).await;
        if device.is_none() {
            device = open_device(path).ok();
        }
    }
}
