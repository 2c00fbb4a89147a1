//! OAuth 2.0 clients: what is missing is reported in words, and a client's secrets stay with that client.

use super::mistakes::finds_what_it_announces;
use super::{LEAST, read, read_over};
use crate::config::export::to_toml;
use crate::config::path::{get, is_secret, remove, set};
use crate::config::text::parse;
use crate::config::{OAuth2, SourceAuth};

/// Catches: a client that is accepted though it cannot get a permission, a preset that fills nothing, an endpoint without TLS
/// on the LAN, where there is a wire, and a user who is not told of app passwords.
#[test]
fn what_a_client_needs() {
    let needs = "auth = \"oauth2\" needs oauth2 = { provider = …, client_id = … }; where the provider makes passwords for programs (app passwords), one of these with auth = \"auto\" is easier";
    let none_yet = "warning: there is no permission yet: after this, `oauth2` in the console asks for it";
    let source =
        "[[account.source]]\nprotocol = \"imap\"\nport = 993\nhost = \"imap.provider.example\"\nusername";
    finds_what_it_announces(&format!(
        r#"{LEAST}
multipop = true
{source} = "a"
auth = "oauth2"                  #! {needs}
{source} = "b"
auth = "oauth2"
oauth2 = {{ token_url = "http://t.example/" }} #! client_id is missing: the provider gives one to who registers a client #! refresh_token is missing: give it, or device_url or auth_url, where it can be had #! token_url sends secrets in the clear: it begins with https://, except on this machine
{source} = "c"
auth = "oauth2"
oauth2 = {{ token_url = "http://127.0.0.1:8080/", client_id = "x", refresh_token = "y" }}
{source} = "d"
auth = "oauth2"
oauth2 = {{ provider = "google" }} #! client_id is missing: register a client of the kind "Desktop app" in the Google Cloud console; easier is an app password of the Google account, with auth = "auto" #! {none_yet}
{source} = "e"
auth = "oauth2"
oauth2 = {{ provider = "microsoft", client_id = "x" }} #! {none_yet}
{source} = "f"
auth = "oauth2"
oauth2 = {{ client_id = "x", device_url = "http://192.168.1.9/", auth_url = "http://[fe80::1]/" }} #! {none_yet} #! token_url is missing: give it, or a provider whose addresses are known #! auth_url sends secrets in the clear: it begins with https://, except on this machine #! device_url sends secrets in the clear: it begins with https://, except on this machine
{source} = "g"
auth = "oauth2"
oauth2 = {{ provider = "gogle", scope = "a  b", auth_url = "http://me@x/" }} #! provider: "gogle" is not "google", "microsoft" or "yahoo", or "" #! scope: "a  b" is not words of an OAuth 2.0 server with blanks in between, or "" #! auth_url: "http://me@x/" is not a URL such as "https://login.provider.example/token", or "" #! client_id is missing: the provider gives one to who registers a client
"#
    ));
}

/// Catches: a smarthost that demands a password though there is a permission, or that accepts a permission without a login.
#[test]
fn the_smarthost_may_have_a_client_of_its_own() {
    let smarthost = |more: &str| format!("{LEAST}[smarthost]\nhost = \"smtp.provider.example\"\n{more}");
    let client = "oauth2 = { provider = \"microsoft\", client_id = \"x\", refresh_token = \"y\" }\n";
    let config = read(&smarthost(&format!("username = \"a\"\nauth = \"oauth2\"\n{client}")));
    assert_eq!(config.smarthost.auth, SourceAuth::OAuth2);
    assert_eq!(config.smarthost.oauth2.unwrap().refresh_token.reveal(), "y");
    let missing =
        "[smarthost] #! username is missing: auth = \"oauth2\" needs it, mostly it is the mail address";
    let without = smarthost(&format!("auth = \"oauth2\"\n{client}"));
    finds_what_it_announces(&without.replace("[smarthost]", missing));
    let of_pop3 = "auth = \"APOP\" #! APOP and USER are POP3's: use auto, or a mechanism that SMTP has\n";
    finds_what_it_announces(&smarthost(of_pop3));
    let idle = client.replace("\n", " #! warning: oauth2 has no effect without auth = \"oauth2\"\n");
    finds_what_it_announces(&smarthost(&idle));
}

/// Catches: a token that is shown, that is lost in an import without secrets, or that goes to another login, client or server.
#[test]
fn the_token_of_the_smarthost_stays_with_login_and_client() {
    let stored = read(&format!(
        "{LEAST}[smarthost]\nhost = \"smtp.provider.example\"\nusername = \"home\"\nauth = \"oauth2\"\n\
         oauth2 = {{ provider = \"google\", client_id = \"id\", client_secret = \"s3cret\", refresh_token = \"s3cret-r\" }}\n"
    ));
    let text = to_toml(&stored, false);
    assert!(!text.contains("s3cret"), "{text}");
    assert_eq!(read_over(&text, Some(&stored)), stored);
    let before = stored.smarthost.oauth2.clone().unwrap();
    let after = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} in\n{text}");
        let changed = read_over(&text.replace(from, to), Some(&stored));
        (*changed.smarthost.oauth2.unwrap()).clone()
    };
    // The same endpoint, given by its URL and not by the provider.
    let told = after("token_url = \"\"", "token_url = \"https://oauth2.googleapis.com/token\"");
    assert_eq!((told.refresh_token, told.client_secret), (before.refresh_token, before.client_secret));
    for (from, to) in [
        ("smtp.provider.example", "smtp.evil.example"),
        ("\"home\"", "\"other\""),
        ("\"id\"", "\"other\""),
        ("token_url = \"\"", "token_url = \"https://evil.example/\""),
        ("\"google\"", "\"microsoft\""),
    ] {
        let OAuth2 { refresh_token, client_secret, .. } = after(from, to);
        assert!(refresh_token.is_empty() && client_secret.is_empty(), "{to}");
    }
    // The settings of the client by their paths, as those of a source.
    let mut config = stored;
    assert!(is_secret(&config, "smarthost.oauth2.refresh_token"));
    assert_eq!(get(&config, "smarthost.oauth2.refresh_token", false).unwrap(), "\"[secret]\"");
    set(&mut config, "smarthost.oauth2.client_id", "new").unwrap();
    assert_eq!(config.smarthost.oauth2.as_ref().unwrap().client_id, "new");
    remove(&mut config, "smarthost.oauth2").unwrap();
    assert_eq!(config.smarthost.oauth2, None);
}

/// Catches: an `oauth2` of the smarthost that is accepted though it is no table, and secrets in it that stay readable on a
/// card.
#[test]
fn its_table_is_read_as_a_source_s() {
    let problems = parse(b"[smarthost]\noauth2 = true", None).unwrap_err();
    assert!(problems.iter().any(|problem| problem.text.starts_with("oauth2 is a table")), "{problems:?}");
    let text = "[smarthost]\noauth2 = { client_id = \"id\", client_secret = \"s1\", refresh_token = \"s2\" }";
    let found: Vec<&str> = crate::config::secrets::places(text).into_iter().map(|at| &text[at]).collect();
    assert_eq!(found, ["s1", "s2"]);
}
