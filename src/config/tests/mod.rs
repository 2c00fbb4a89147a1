//! The configuration's forms against each other: text, postcard, and the rules between settings.

mod arbitrary;
mod mistakes;
mod oauth2;
mod round_trip;
mod rules;
mod secrets;

use super::Config;
use super::text::parse;

/// The settings in force when nothing but what has no default is given.
const LEAST: &str = r#"
[server]
domains = ["home.example"]

[[account]]
name = "office"
address = "office@home.example"
verifier = "SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==$AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
"#;

/// The configuration in a text that is right.
fn read(text: &str) -> Config {
    read_over(text, None)
}

/// The same, imported over a stored one.
fn read_over(text: &str, stored: Option<&Config>) -> Config {
    match parse(text.as_bytes(), stored) {
        Ok(parsed) => parsed.config,
        Err(problems) => panic!("{problems:#?} in\n{text}"),
    }
}
