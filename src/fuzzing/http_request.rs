//! The head of an HTTP request as it comes, octet by octet: once it is understood, more octets do not change what it says.

use crate::http::request::parse;

/// One input.
pub fn run(octets: &[u8]) {
    // As much as is read before a head is refused.
    let octets = octets.get(..10_000).unwrap_or(octets);
    let step = octets.len() / 64 + 1;
    let first = (0..=octets.len()).step_by(step).find_map(|end| parse(octets.get(..end)?));
    match (first, parse(octets)) {
        (Some(Ok(first)), Some(Ok(whole))) => {
            assert_eq!((first.method, &first.path, first.length), (whole.method, &whole.path, whole.length));
            assert!(first.begun.len() <= whole.begun.len());
            assert!(whole.path.len() + whole.begun.len() <= octets.len());
        }
        (Some(Ok(first)), whole) => panic!("{first:?} became {whole:?}"),
        _ => {}
    }
}
