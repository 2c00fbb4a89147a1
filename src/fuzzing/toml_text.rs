//! A configuration as TOML text. What is accepted survives its own export.

use crate::config::{export, text};

/// One input.
pub fn run(toml: &[u8]) {
    if let Ok(parsed) = text::parse(toml, None) {
        let exported = export::to_toml(&parsed.config, true);
        let again = text::parse(exported.as_bytes(), None).expect("an export can be imported");
        assert_eq!(again.config, parsed.config, "an import of the export gives another configuration");
        let _ = export::to_toml(&parsed.config, false);
    }
}
