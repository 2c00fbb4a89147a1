//! Random octets, and passwords made of them.

/// Random octets from the system.
#[allow(clippy::expect_used, reason = "getrandom(2) does not fail for so few octets")]
pub(crate) fn random<const N: usize>() -> [u8; N] {
    ring::rand::generate(&ring::rand::SystemRandom::new()).expect("getrandom works").expose()
}

/// A password of sixteen letters and digits that cannot be mistaken for each other: 80 bits.
pub fn random_password() -> String {
    const SIGNS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    random::<16>()
        .iter()
        .filter_map(|octet| SIGNS.get(usize::from(octet % 32)).copied())
        .map(char::from)
        .collect()
}
