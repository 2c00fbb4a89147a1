//! Update files and boot states: whatever their octets are, nothing is taken that was not signed.

use crate::board::Identity;
use crate::board::slots::{BootState, SECTOR};
use crate::board::update::{HEAD, Head};

/// One input.
pub fn run(octets: &[u8]) {
    if let Some(sector) = octets.first_chunk::<SECTOR>() {
        let state = BootState::parse(*sector);
        let line = state.to_string();
        assert!(
            line.starts_with("ACTIVE=") && line.matches('"').count() == 2 && !line.contains('\n'),
            "{line}"
        );
        assert_eq!(BootState::parse(*state.sector()), state);
    }
    let Some((head, body)) = octets.split_first_chunk::<HEAD>() else { return };
    let key = include_str!("../../tests/data/update/tool.pub");
    let identity = Identity {
        board: "orangepi-pc".to_owned(),
        version: "1.0.0".to_owned(),
        compat: 1,
        update_key: Some(key.to_owned()),
    };
    let Ok(head) = Head::parse(head, &identity) else { return };
    let Ok(mut verified) = head.body() else { return };
    if body.chunks(100).all(|piece| verified.update(piece).is_ok()) && verified.finish().is_ok() {
        assert_eq!(octets[1024..], include_bytes!("../../tests/data/update/tool.pbu")[1024..]);
    }
}
