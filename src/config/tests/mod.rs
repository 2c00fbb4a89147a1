//! The configuration's forms against each other: text, postcard, and the rules between settings.

mod mistakes;

/// The settings in force when nothing but what has no default is given.
const LEAST: &str = r#"
[server]
domains = ["home.example"]

[[account]]
name = "office"
address = "office@home.example"
verifier = "SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==$AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
"#;
