//! The configuration's forms against each other: text, postcard, and the rules between settings.

mod arbitrary;
mod mistakes;
mod oauth2;
mod round_trip;
mod rules;
mod secrets;

use super::Config;
use super::text::parse;

/// A text with only the settings that have no default.
const LEAST: &str = r#"
[server]
domains = ["home.example"]

[[account]]
name = "office"
address = "office@home.example"
verifier = "SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==$AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
"#;

/// The configuration in a text without mistakes.
fn read(text: &str) -> Config {
    read_over(text, None)
}

/// [`read`], imported over a stored configuration.
fn read_over(text: &str, stored: Option<&Config>) -> Config {
    match parse(text.as_bytes(), stored) {
        Ok(parsed) => parsed.config,
        Err(problems) => panic!("{problems:#?} in\n{text}"),
    }
}
