//! What it costs to check a password. It is the longest work without a pause, so everybody else waits for it.

use std::time::{Duration, Instant};

use super::Verifier;

/// The longest time for which others should have to wait.
const LIMIT: Duration = Duration::from_millis(50);

/// PBKDF2 rounds that are measured at once: they take some milliseconds, and less than 50 on the slowest board, since
/// nobody else gets a turn.
const ROUNDS: u32 = 2_000;
/// How often that is measured.
const RUNS: u32 = 30;

/// Nanoseconds of a round on a Cortex-A7 at 1 GHz, at least and at most, from measurements by the authors of ring's
/// assembler code: 15.4 cycles an octet on a Cortex-A8, which does more at once, and 35 on a core that does one thing
/// at a time. A round hashes two blocks of 64 octets; the code around them takes as long again at most.
const CORTEX_A7: (u64, u64) = (128 * 154 / 10, 128 * 35 * 2);

/// The cost of a check with `stored` rounds, in words. Other tasks get a turn between the runs.
pub async fn cost(stored: u32) -> String {
    let verifier = Verifier::with("a password", ROUNDS, [7; 16]);
    // The shortest run counts: longer ones were disturbed.
    let mut least = Duration::MAX;
    for _ in 0..RUNS {
        let begun = Instant::now();
        std::hint::black_box(verifier.verify(b"another password"));
        least = least.min(begun.elapsed());
        smol::future::yield_now().await;
    }
    words(stored, least)
}

/// The words; `measured` is the time of [`ROUNDS`] rounds.
fn words(stored: u32, measured: Duration) -> String {
    let here = measured * stored / ROUNDS;
    let fit = LIMIT.as_nanos() * u128::from(ROUNDS) / measured.as_nanos().max(1);
    let (least, most) = CORTEX_A7;
    let board = |nanoseconds: u64| nanoseconds * u64::from(stored) / 1_000_000;
    let limit = LIMIT.as_nanos() as u64;
    format!(
        "checking a password takes {:.1} ms here, with {stored} rounds, and everyone waits meanwhile\n\
         in {} ms there are {fit} rounds here\n\
         on a Cortex-A7 at 1 GHz it takes {} to {} ms, and {} ms are {} to {} rounds (computed, not measured)\n\
         a login that went well in the last 12 hours is not hashed again\n",
        here.as_secs_f64() * 1000.0,
        LIMIT.as_millis(),
        board(least),
        board(most),
        LIMIT.as_millis(),
        limit / most,
        limit / least,
    )
}

#[cfg(test)]
mod tests {
    use super::super::DEFAULT_ITERATIONS;
    use super::*;

    #[test]
    fn the_figures_follow_from_what_was_measured() {
        let text = words(4096, Duration::from_millis(10));
        assert!(text.starts_with("checking a password takes 20.5 ms here, with 4096 rounds"), "{text}");
        assert!(text.contains("in 50 ms there are 10000 rounds here"), "{text}");
        assert!(text.contains("it takes 8 to 36 ms, and 50 ms are 5580 to 25367 rounds"), "{text}");
    }

    #[test]
    fn new_verifiers_keep_to_the_limit_on_the_smallest_board() {
        let (_, most) = CORTEX_A7;
        assert!(Duration::from_nanos(most) * DEFAULT_ITERATIONS <= LIMIT);
    }
}
