//! The uses of MD5: CRAM-MD5 (RFC 2195) and APOP (RFC 1939 section 7), which are the best that some providers offer.

use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use zeroize::Zeroizing;

use crate::config::Secret;

/// HMAC (RFC 2104) over MD5 for CRAM-MD5. ring leaves it out for good reasons.
#[expect(
    clippy::indexing_slicing,
    reason = "a digest has 16 octets, and a longer key than the block is not copied"
)]
pub(super) fn hmac_md5(key: &[u8], message: &[u8]) -> [u8; 16] {
    let mut block = Zeroizing::new([0u8; 64]);
    if key.len() > block.len() {
        block[..16].copy_from_slice(&Md5::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let pad = |with: u8| Zeroizing::new(block.map(|octet| octet ^ with));
    let inner = Md5::new().chain_update(pad(0x36).as_slice()).chain_update(message).finalize();
    Md5::new().chain_update(pad(0x5c).as_slice()).chain_update(inner).finalize().into()
}

/// The digest of APOP (RFC 1939 section 7), which proves the password for the timestamp of a greeting.
pub fn apop_digest(timestamp: &str, password: &Secret) -> String {
    HEXLOWER.encode(&Md5::new().chain_update(timestamp).chain_update(password.reveal()).finalize())
}

/// The timestamp in a POP3 greeting that offers APOP. Only a well-formed msg-id of printable ASCII is accepted: with
/// others an impostor could find out the password (CVE-2007-1558).
pub fn apop_timestamp(greeting: &str) -> Option<&str> {
    let start = greeting.find('<')?;
    let rest = greeting.get(start..)?;
    let timestamp = rest.get(..=rest.find('>')?)?;
    let (left, right) = timestamp.get(1..timestamp.len() - 1)?.split_once('@')?;
    let well_formed = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'@'))
    };
    (well_formed(left) && well_formed(right)).then_some(timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text).unwrap()
    }

    /// RFC 2202 section 2, test case 6: a key longer than a block.
    #[test]
    fn hmac_md5_of_rfc_2202() {
        let digest = hmac_md5(&[0xaa; 80], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(HEXLOWER.encode(&digest), "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd");
    }

    /// The example of RFC 1939 section 7.
    #[test]
    fn apop_of_rfc_1939() {
        let timestamp =
            apop_timestamp("POP3 server ready <1896.697170952@dbc.mtview.ca.us>").expect("a timestamp");
        assert_eq!(timestamp, "<1896.697170952@dbc.mtview.ca.us>");
        assert_eq!(apop_digest(timestamp, &secret("tanstaaf")), "c4c9334bac560ecc979e58001b3e22fb");
    }

    #[test]
    fn apop_needs_a_well_formed_timestamp() {
        for greeting in ["ready", "<>", "ready <1.2>", "<@a>", "<a@>", "<a b@c>", "<a@b@c>", "<ä@b>", "> <"]
        {
            assert_eq!(apop_timestamp(greeting), None, "{greeting}");
        }
    }
}
