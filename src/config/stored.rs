//! Takes over stored secrets that an import leaves out, so that an export without secrets can be edited and imported again.
//!
//! A password only ever stays with the server it was meant for: where host or login have changed, the password has to be given
//! anew.

use super::check::Finding;
use super::problem::{Place, Section};
use super::{Account, Config, OAuth2, Source};

/// Takes over from `stored` the secrets that were not `given` with `config`. Finds secrets that cannot be taken over.
pub(super) fn keep_secrets(
    config: &mut Config,
    stored: &Config,
    given: impl Fn(Place) -> bool,
) -> Vec<Finding> {
    let mut lost = Vec::new();
    let operator = |key| Section::Server.at(key);
    if !given(operator("operator_password")) && !given(operator("operator_verifier")) {
        config.server.operator_verifier = stored.server.operator_verifier.clone();
    }
    let smarthost = &mut config.smarthost;
    let same_host = smarthost.host.eq_ignore_ascii_case(&stored.smarthost.host);
    if !given(Section::Smarthost.at("password"))
        && same_host
        && smarthost.username == stored.smarthost.username
    {
        smarthost.password = stored.smarthost.password.clone();
    }
    let same_login = same_host && smarthost.username == stored.smarthost.username;
    if let (Some(client), Some(before)) = (&mut smarthost.oauth2, &stored.smarthost.oauth2)
        && same_login
    {
        keep_client_secrets(client, before, |key| given(Section::SmarthostOAuth2.at(key)));
    }
    for (a, account) in config.accounts.iter_mut().enumerate() {
        let Some(before) = stored.account(&account.name) else { continue };
        let at = |key| Section::Account(a).at(key);
        if !given(at("password")) && !given(at("verifier")) {
            account.verifier = before.verifier.clone();
        }
        for (p, app) in account.app_passwords.iter_mut().enumerate() {
            let at = |key| Section::AppPassword(a, p).at(key);
            let known = before.app_passwords.iter().find(|known| known.name == app.name);
            if let Some(known) = known.filter(|_| !given(at("password")) && !given(at("verifier"))) {
                app.verifier = known.verifier.clone();
            }
        }
        if !given(at("smarthost_password")) && !before.smarthost_password.is_empty() {
            if same_host && account.smarthost_login() == before.smarthost_login() {
                account.smarthost_password = before.smarthost_password.clone();
            } else {
                let text = "smarthost_password is missing: the stored one is for another smarthost or login; \
                            give it, or \"\" to do without";
                lost.push(Finding::error(at("smarthost_password"), text));
            }
        }
        for (s, source) in account.sources.iter_mut().enumerate() {
            if let Some(before) = same_source(before, source) {
                keep_source_secrets(source, before, (a, s), &given);
            }
        }
    }
    lost
}

/// The stored source with the same host and login; one with the same folders is preferred.
fn same_source<'a>(stored: &'a Account, source: &Source) -> Option<&'a Source> {
    let same = |s: &&Source| s.host.eq_ignore_ascii_case(&source.host) && s.username == source.username;
    let mut sources = stored.sources.iter().filter(same);
    sources.clone().find(|s| s.folders == source.folders).or_else(|| sources.next())
}

fn keep_source_secrets(
    source: &mut Source,
    before: &Source,
    (a, s): (usize, usize),
    given: impl Fn(Place) -> bool,
) {
    if !given(Section::Source(a, s).at("password")) {
        source.password = before.password.clone();
    }
    if let (Some(client), Some(before)) = (source.oauth2.as_deref_mut(), before.oauth2.as_deref()) {
        keep_client_secrets(client, before, |key| given(Section::OAuth2(a, s).at(key)));
    }
}

/// Takes over the secrets of an OAuth 2.0 client of the same login, where the client and its server are still the same.
fn keep_client_secrets(client: &mut OAuth2, before: &OAuth2, given: impl Fn(&'static str) -> bool) {
    if !client.is_same_client(before) {
        return;
    }
    if !given("client_secret") {
        client.client_secret = before.client_secret.clone();
    }
    if !given("refresh_token") {
        client.refresh_token = before.refresh_token.clone();
    }
}
