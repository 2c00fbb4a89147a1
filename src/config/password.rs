//! Kinds of values that are secret. No error shows such a value.

use toml::de::DeValue;

use super::kind::{Kind, Wrong, quoted, too_long};
use super::{Account, Secret, Server};
use crate::credential::{Verifier, check_password};

/// The fewest characters of a password of this appliance that the console accepts.
pub const MIN_PASSWORD: usize = 8;

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

/// A password of this appliance. It is turned into its verifier when it is read, and not kept.
pub struct NewPassword;

impl Kind for NewPassword {
    type Value = Verifier;
    const SECRET: bool = true;
    fn form() -> String {
        "a password in quotes, at most 512 octets without control characters".to_owned()
    }
    fn read(value: &DeValue<'_>) -> Result<Verifier, Wrong> {
        let mut verifier = Account::default().verifier;
        Self::assign(&mut verifier, value)?;
        Ok(verifier)
    }
    /// Keeps the salt, since the account's app passwords have the same one.
    fn assign(place: &mut Verifier, value: &DeValue<'_>) -> Result<(), Wrong> {
        let password = Password::<512>::read(value).map_err(|_| Wrong::form::<Self>(value))?;
        if password.is_empty() {
            return Err(Wrong::form::<Self>(value));
        }
        check_password(password.reveal()).map_err(|error| Wrong::new(error.to_string()))?;
        *place = place.renewed(password.reveal());
        Ok(())
    }
    fn print(_: &Verifier) -> String {
        quoted("")
    }
}

/// As [`NewPassword`], where there may be no password: the empty text removes it.
pub struct OptionalPassword;

impl Kind for OptionalPassword {
    type Value = Verifier;
    const SECRET: bool = true;
    fn form() -> String {
        format!("{}, or \"\" for none", NewPassword::form())
    }
    fn read(value: &DeValue<'_>) -> Result<Verifier, Wrong> {
        let mut verifier = Server::default().operator_verifier;
        Self::assign(&mut verifier, value)?;
        Ok(verifier)
    }
    fn assign(place: &mut Verifier, value: &DeValue<'_>) -> Result<(), Wrong> {
        if value.as_str() == Some("") {
            *place = Server::default().operator_verifier;
            return Ok(());
        }
        NewPassword::assign(place, value).map_err(|wrong| match value.as_str() {
            Some(_) => wrong,
            None => Wrong::form::<Self>(value),
        })
    }
    fn print(_: &Verifier) -> String {
        quoted("")
    }
}

/// A verifier, which an export holds in place of a password.
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
        if value.is_set() { quoted(&value.to_string()) } else { quoted("") }
    }
}

/// As [`StoredVerifier`], where there may be no password.
pub struct OptionalVerifier;

impl Kind for OptionalVerifier {
    type Value = Verifier;
    const SECRET: bool = true;
    fn form() -> String {
        format!("{}, or \"\" for none", StoredVerifier::form())
    }
    fn read(value: &DeValue<'_>) -> Result<Verifier, Wrong> {
        match value.as_str() {
            Some("") => Ok(Server::default().operator_verifier),
            Some(_) => StoredVerifier::read(value),
            None => Err(Wrong::form::<Self>(value)),
        }
    }
    fn print(value: &Verifier) -> String {
        StoredVerifier::print(value)
    }
}
