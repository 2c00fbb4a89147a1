//! Does the version that runs work? Said by the file `healthy` in the run folder, for which the supervisor waits.
//!
//! It is made when the daemon serves: the caller has bound every listener. A version that is on trial has to show more: every
//! account's store opens, and the executor gets its turns.

use std::fs;
use std::io;
use std::time::Duration;

use super::Board;

/// What says that it works.
const HEALTHY: &str = "healthy";
/// Why it does not, for who wants to keep the reason.
const UNHEALTHY: &str = "unhealthy";
/// Turns that the executor has to give,
const TURNS: u32 = 10;
/// one after so long each.
const TURN: Duration = Duration::from_millis(500);

/// Makes the file when it is time to. On trial, `stores` is awaited first: it opens every store, or says why one does not
/// open.
///
/// # Errors
/// The run folder does not take the file.
pub async fn prove(board: &Board, stores: impl Future<Output = Result<(), String>>) -> io::Result<()> {
    if board.on_trial() {
        if let Err(why) = stores.await {
            log::error!(
                "this version does not work, and the device will fall back to the one before it: {why}"
            );
            return fs::write(board.file(UNHEALTHY), why);
        }
        for _ in 0..TURNS {
            async_io::Timer::after(TURN).await;
        }
        log::info!("this version works: it is kept");
    }
    fs::write(board.file(HEALTHY), "")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn only_a_trial_has_to_show_that_it_works() {
        let run = std::env::temp_dir().join(format!("pillarbox-health-{}", std::process::id()));
        let board = Board::new(&run);
        for (trial, outcome) in
            [(false, Err("never asked")), (true, Ok(())), (true, Err("office: it is damaged"))]
        {
            fs::create_dir_all(&run).unwrap();
            if trial {
                fs::write(run.join("trial"), "").unwrap();
            }
            let asked = Cell::new(false);
            let stores = async {
                assert!(!board.has(HEALTHY), "nothing is said before it is known");
                asked.set(true);
                outcome.map_err(str::to_owned)
            };
            async_io::block_on(prove(&board, stores)).unwrap();
            assert_eq!(asked.get(), trial);
            assert_eq!(board.has(HEALTHY), !trial || outcome.is_ok());
            assert_eq!(board.text(UNHEALTHY), outcome.err().filter(|_| trial).map(str::to_owned));
            fs::remove_dir_all(&run).unwrap();
        }
    }
}
