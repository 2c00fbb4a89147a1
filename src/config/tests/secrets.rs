//! An export without secrets is something to edit and import again: what it leaves out stays as it
//! is stored, where it still belongs to the same login.

use super::{LEAST, read, read_over};
use crate::config::Config;
use crate::config::export::to_toml;
use crate::config::text::parse;

/// Every setting that is secret is set, to something with `s3cret` in it.
fn with_secrets() -> Config {
    let text = format!(
        r#"{LEAST}
smarthost_password = "s3cret-office"
multipop = true
[[account.source]]
host = "pop.provider.example"
username = "office"
password = "s3cret-pop"
[[account.source]]
host = "imap.provider.example"
protocol = "imap"
port = 993
username = "office"
auth = "oauth2"
oauth2 = {{ token_url = "https://t.example/", client_id = "id", client_secret = "s3cret", refresh_token = "s3cret-r" }}
[smarthost]
host = "smtp.provider.example"
username = "home"
password = "s3cret-smarthost"
"#
    );
    read(&text)
}

#[test]
fn an_export_without_secrets_has_none_and_changes_nothing() {
    let stored = with_secrets();
    let text = to_toml(&stored, false);
    assert!(!text.contains("s3cret") && !text.contains("SCRAM-SHA-256$"), "{text}");
    assert_eq!(read_over(&text, Some(&stored)), stored);
    let told = parse(text.as_bytes(), None).unwrap_err();
    assert!(told.iter().any(|problem| problem.text.starts_with("password is missing")), "{told:?}");
}

#[test]
fn an_edit_keeps_the_other_secrets() {
    let stored = with_secrets();
    let text = to_toml(&stored, false);
    let edit = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} in\n{text}");
        read_over(&text.replace(from, to), Some(&stored))
    };
    let changed = edit("quota = \"0\"", "quota = \"1GiB\"");
    assert_eq!(changed.accounts[0].quota, 1 << 30);
    assert_eq!(changed.accounts[0].verifier, stored.accounts[0].verifier);

    // A secret that is given counts, the empty one too.
    let changed = edit(
        "[[account.source]]\nhost = \"pop",
        "smarthost_password = \"\"\n[[account.source]]\nhost = \"pop",
    );
    assert!(changed.accounts[0].smarthost_password.is_empty());
    let changed = edit("quota = \"0\"", "quota = \"0\"\npassword = \"open sesame\"");
    assert!(changed.accounts[0].verifier.verify(b"open sesame"));
}

#[test]
fn a_password_never_moves_to_another_server() {
    let stored = with_secrets();
    let text = to_toml(&stored, false);
    for (from, to, problem) in [
        (
            "smtp.provider.example",
            "smtp.evil.example",
            "password is missing: the smarthost's username needs one",
        ),
        (
            "smtp.provider.example",
            "smtp.evil.example",
            "smarthost_password is missing: the stored one is for another",
        ),
        (
            "username = \"home\"",
            "username = \"other\"",
            "password is missing: the smarthost's username needs one",
        ),
        ("\"pop.provider.example\"", "\"pop.evil.example\"", "password is missing: only auth = \"oauth2\""),
        ("https://t.example/", "https://evil.example/", "refresh_token is missing"),
        ("name = \"office\"", "name = \"bureau\"", "password is missing: without one no one can log in"),
    ] {
        assert!(text.contains(from), "{from} in\n{text}");
        let told = parse(text.replace(from, to).as_bytes(), Some(&stored)).unwrap_err();
        assert!(told.iter().any(|told| told.text.starts_with(problem)), "{to}: {told:?}");
    }
}
