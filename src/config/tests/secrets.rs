//! An export without secrets can be edited and imported again: a secret that it leaves out stays as it is stored, where it
//! still belongs to the same login.

use super::{LEAST, read, read_over};
use crate::config::Config;
use crate::config::export::to_toml;
use crate::config::text::parse;

/// A configuration where every secret setting has a value with `s3cret` in it.
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
    let text = text.replace("[server]", "[server]\noperator_password = \"s3cret-operator\"");
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

    // A secret that is given counts, even an empty one.
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

#[test]
fn the_operator_s_password_is_kept_changed_and_taken_away() {
    let stored = with_secrets();
    assert!(stored.server.operator_verifier.verify(b"s3cret-operator"));
    let text = to_toml(&stored, false);
    assert!(text.contains("# operator_password = \"…\""), "{text}");
    let with = |line: &str| text.replacen("[server]", &format!("[server]\n{line}"), 1);
    let changed = read_over(&with("operator_password = \"other\""), Some(&stored));
    assert!(changed.server.operator_verifier.verify(b"other"));
    let none = read_over(&with("operator_password = \"\""), Some(&stored));
    assert!(!none.server.operator_verifier.is_set());
    // An export with secrets in which there is no operator's password does not keep the stored one.
    assert_eq!(read_over(&to_toml(&none, true), Some(&stored)).server, none.server);
    let verifier = &stored.server.operator_verifier;
    let both = with(&format!("operator_password = \"long enough\"\noperator_verifier = \"{verifier}\""));
    let problems = parse(both.as_bytes(), None).unwrap_err();
    assert!(
        problems[0].text.starts_with("operator_verifier and operator_password are the same"),
        "{problems:?}"
    );

    use crate::config::path::{get, is_secret, remove, set_secret};
    let mut config = none;
    assert!(is_secret(&config, "server.operator_password"));
    set_secret(&mut config, "server.operator_password", "by console").unwrap();
    assert!(config.server.operator_verifier.verify(b"by console"));
    assert_eq!(get(&config, "server.operator_verifier", false).unwrap(), "\"[secret]\"");
    remove(&mut config, "server.operator_password").unwrap();
    assert!(!config.server.operator_verifier.is_set());
}

/// A text with the account `office` and `more` after it.
fn office(more: &str) -> String {
    format!("{LEAST}\n{more}")
}

/// [`office`] with another password for the account.
fn renewed(more: &str) -> String {
    let line = LEAST.lines().find(|line| line.starts_with("verifier")).unwrap();
    office(more).replacen(line, "password = \"open sesame\"", 1)
}

#[test]
fn a_new_password_leaves_the_app_passwords_as_they_are() {
    let app = "[[account.app_password]]\nname = \"phone\"\nservices = [\"imap\"]\n";
    let stored = read(&office(&format!("{app}password = \"phone's\"\n")));
    let [account] = &stored.accounts[..] else { panic!() };
    assert!(account.app_passwords[0].verifier.verify(b"phone's"));
    assert_eq!(account.app_passwords[0].verifier.salt(), account.verifier.salt());

    // An edited export: a new password for the account, the app password as stored.
    let again = read_over(&renewed(app), Some(&stored));
    let [changed] = &again.accounts[..] else { panic!() };
    assert!(changed.verifier.verify(b"open sesame"));
    assert_eq!(changed.app_passwords, account.app_passwords);

    // On another appliance the account's new password has another salt.
    let verifier = &account.app_passwords[0].verifier;
    let elsewhere = renewed(&format!("{app}verifier = \"{verifier}\"\n"));
    let problems = parse(elsewhere.as_bytes(), None).unwrap_err();
    assert!(problems[0].text.contains("made with another salt"), "{problems:?}");

    for (text, told) in [
        (app.replace("phone", "My phone"), "is not a name of a-z"),
        (app.to_owned(), "password is missing"),
        (format!("{app}password = \"x\"\n{app}password = \"y\"\n"), "another app password is called phone"),
        (app.replace("imap", "smtp"), "is not \"pop3\", \"imap\" or \"submission\""),
        (format!("{app}pasword = \"x\"\n"), "unknown key pasword: did you mean password?"),
    ] {
        let problems = parse(office(&text).as_bytes(), None).unwrap_err();
        assert!(problems.iter().any(|problem| problem.text.contains(told)), "{problems:?}");
    }
}
