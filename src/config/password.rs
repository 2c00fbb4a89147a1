//! Kinds of values that are secret. No error shows such a value.

use toml::de::DeValue;

use super::Secret;
use super::kind::{Kind, Wrong, quoted, too_long};
use crate::auth::{Verifier, check_password};

/// A password for another server.
pub struct Password<const N: usize = 512>;

impl<const N: usize> Kind for Password<N> {
    type Value = Secret<N>;
    const SECRET: bool = true;
    fn form() -> String {
        "a text in quotes without control characters".to_owned()
    }
    fn read(value: &DeValue<'_>) -> Result<Secret<N>, Wrong> {
        let text = value.as_str().ok_or_else(|| Wrong::form::<Self>(value))?;
        if text.chars().any(char::is_control) {
            return Err(Wrong::form::<Self>(value));
        }
        Secret::new(text).ok_or_else(|| too_long::<N>("this"))
    }
    fn print(value: &Secret<N>) -> String {
        quoted(value.reveal())
    }
}

/// A password of the appliance's own: read, turned into its verifier, and never seen again.
pub struct NewPassword;

impl Kind for NewPassword {
    type Value = Verifier;
    const SECRET: bool = true;
    fn form() -> String {
        "a password in quotes, at most 512 octets without control characters".to_owned()
    }
    fn read(value: &DeValue<'_>) -> Result<Verifier, Wrong> {
        let password = Password::<512>::read(value).map_err(|_| Wrong::form::<Self>(value))?;
        if password.is_empty() {
            return Err(Wrong::form::<Self>(value));
        }
        check_password(password.reveal()).map_err(|error| Wrong::new(error.to_string()))?;
        Ok(Verifier::new(password.reveal()))
    }
    fn print(_: &Verifier) -> String {
        quoted("")
    }
}

/// What an export holds in place of a password.
pub struct StoredVerifier;

impl Kind for StoredVerifier {
    type Value = Verifier;
    const SECRET: bool = true;
    fn form() -> String {
        r#"a verifier as an export with secrets writes it: "SCRAM-SHA-256$4096:SALT$KEY:KEY""#.to_owned()
    }
    fn read(value: &DeValue<'_>) -> Result<Verifier, Wrong> {
        let text = value.as_str().ok_or_else(|| Wrong::form::<Self>(value))?;
        text.parse().map_err(|error| Wrong::new(format!("{error}")))
    }
    fn print(value: &Verifier) -> String {
        match value.iterations {
            0 => quoted(""),
            _ => quoted(&value.to_string()),
        }
    }
}
