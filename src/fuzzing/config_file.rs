//! `config.postcard`: as it is, and with a header that fits, so that the content is read too. What is accepted can be
//! written again.

use crate::config::{check, export, file};

/// One input.
pub fn run(octets: &[u8]) {
    for file in [octets.to_vec(), with_header(octets)] {
        if let Ok((config, generation)) = file::decode(&file) {
            let again = file::encode(&config, generation).expect("it was small enough");
            assert_eq!(file::decode(&again).as_ref().map(|(config, _)| config), Ok(&config));
            let _ = check::check(&config);
            let _ = export::to_toml(&config, true);
        }
    }
}

/// See the head of `src/config/frame.rs`.
fn with_header(content: &[u8]) -> Vec<u8> {
    let mut file = b"pbxconf\0".to_vec();
    file.extend(3u32.to_le_bytes());
    file.extend(7u64.to_le_bytes());
    file.extend((content.len() as u32).to_le_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&file[8..]), content);
    file.extend(checksum.to_le_bytes());
    file.extend(content);
    file
}
