//! Passwords prepared for SCRAM (RFC 5802 section 2.2) with SASLprep (RFC 4013), so that a password is always the
//! same octets, however a keyboard encodes an umlaut.

use zeroize::Zeroizing;

/// Why a password cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnusablePassword {
    /// SASLprep forbids some of its characters, or their order.
    #[error(
        "this password has characters that not every program sends alike (control characters, private or unassigned \
         ones, or a mix of writing directions): choose others"
    )]
    Characters,
    /// No characters are left after the preparation.
    #[error("a password has at least one character that can be seen")]
    Empty,
}

/// Checks that `password` can be used.
///
/// # Errors
/// Why it cannot.
pub fn check_password(password: &str) -> Result<(), UnusablePassword> {
    let prepared = stringprep::saslprep(password).map_err(|_| UnusablePassword::Characters)?;
    if prepared.is_empty() { Err(UnusablePassword::Empty) } else { Ok(()) }
}

/// The octets to hash. A password that cannot be prepared is used as it is: it cannot have been set either.
pub(super) fn prepared(password: &[u8]) -> Zeroizing<Vec<u8>> {
    let text = std::str::from_utf8(password).ok();
    let prepared = text.and_then(|text| stringprep::saslprep(text).ok());
    Zeroizing::new(prepared.map_or_else(|| password.to_vec(), |prepared| prepared.into_owned().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_password_is_the_same_octets_however_it_was_typed() {
        for (typed, octets) in [
            ("correct horse", "correct horse"),
            // The examples of RFC 4013 section 3.
            ("I\u{ad}X", "IX"),
            ("user", "user"),
            ("USER", "USER"),
            ("\u{aa}", "a"),
            ("\u{2168}", "IX"),
            ("j\u{75}\u{308}rgen", "j\u{fc}rgen"),
            ("a\u{a0}b", "a b"),
        ] {
            assert_eq!(check_password(typed), Ok(()), "{typed:?}");
            assert_eq!(*prepared(typed.as_bytes()), octets.as_bytes(), "{typed:?}");
        }
    }

    #[test]
    fn what_cannot_be_set_is_told_and_hashed_as_it_came() {
        for (typed, problem) in [
            ("a\u{7}b", UnusablePassword::Characters),
            ("\u{627}1", UnusablePassword::Characters),
            ("\u{e000}", UnusablePassword::Characters),
            ("", UnusablePassword::Empty),
            ("\u{ad}\u{200d}", UnusablePassword::Empty),
        ] {
            assert_eq!(check_password(typed), Err(problem), "{typed:?}");
        }
        assert_eq!(*prepared("a\u{7}".as_bytes()), b"a\x07");
        assert_eq!(*prepared(b"\xff"), b"\xff");
    }
}
