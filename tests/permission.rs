//! A permission (OAuth2) that is asked for with a code on the pages: the real binary over TLS, a provider that gives codes, and
//! `tests/clients/permission.py`, which loads pages and sends forms.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::fmt::Write;
use std::process::Command;

use support::process::run;
use support::{Appliance, PATIENCE, Port, TokenServer};

/// Catches: a page that shows no code or goes on showing it, one that asks a provider more often than it allows, a permission that
/// is not stored, and one that another person sees.
#[test]
fn a_permission_is_given_by_a_code() {
    let provider = TokenServer::start();
    let closed = Port::reserve();
    let mut accounts = "[server]\ndomains = [\"home.example\"]\noperator_password = \"the operator\"\n\
        users_edit_sources = true\n[[account]]\nname = \"demo\"\naddress = \"demo@home.example\"\npassword = \"long enough\"\n\
        multipop = true\n"
        .to_owned();
    for scope in ["good", "slow", "denied", "late", "own"] {
        let (token_url, device_url) = (provider.url("/token"), provider.url("/device"));
        write!(
            accounts,
            "[[account.source]]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\nusername = \"{scope}@provider.example\"\n\
             auth = \"oauth2\"\noauth2 = {{ token_url = \"{token_url}\", device_url = \"{device_url}\", scope = \"{scope}\", \
             client_id = \"id\" }}\n",
            closed.number
        )
        .unwrap();
    }
    let appliance = Appliance::start(&accounts);
    let https = Port::reserve();
    let text = appliance.text(&accounts).replace("https = []", &format!("https = [\"{}\"]", https.address()));
    let file = appliance.scratch.write("pages.toml", text);
    appliance.verb("import", &[file.to_str().unwrap()]).success();

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/permission.py");
    let mut visitors = Command::new("python3");
    visitors.arg(script).arg(https.number.to_string()).arg(appliance.ca());
    assert_eq!(run(&mut visitors, PATIENCE).success(), "all is well\n");

    // The pages were loaded far more often than once a second. One more code was given up.
    assert_eq!(provider.device_codes(), (6, 0));
    let stored = appliance.verb("export", &["--with-secrets"]).success();
    let tokens = stored.lines().filter(|line| line.contains("refresh_token = \"refresh")).count();
    assert_eq!(tokens, 3, "{stored}");
}
