//! What the fuzz targets share. Each of them takes any octets for the input of one parser, and finds a defect when the parser
//! panics, hangs, eats memory, or breaks the promise that the target states.

use std::rc::Rc;

use pillarbox::flash::sim::SimFlash;
use pillarbox::flash::{Flash, Mode};

/// A flash on which one file has this content.
pub fn flash_with(dir: &str, path: &str, content: &[u8]) -> Rc<dyn Flash> {
    let flash = SimFlash::default();
    flash.create_dir(dir).expect("a new flash takes a folder");
    let file = flash.open(path, Mode::Create).expect("and a file");
    file.write_at(0, content).expect("and its content");
    Rc::new(flash)
}

/// Runs a future on this thread.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    async_io::block_on(future)
}
