//! MAIL and RCPT: the path and the parameters of the extensions (RFC 5321 section 4.1.1.11). Keywords, and values
//! that are words, may be in any case. A keyword may occur once.

use super::{Command, Error, number};
use crate::smtp::Recipient;
use crate::smtp::dsn::{self, Ret};
use crate::smtp::mailbox::{self, ReversePath};

pub(super) const MAIL_USAGE: Error = Error::Syntax("Use MAIL FROM:<address>");
pub(super) const RCPT_USAGE: Error = Error::Syntax("Use RCPT TO:<address>");

/// Parses the arguments of MAIL (RFC 5321 section 4.1.1.2).
pub(super) fn mail(arguments: &str) -> Result<Command, Error> {
    let Arguments { path: from, beyond_ascii, parameters } = path_after("FROM:", arguments, MAIL_USAGE)?;
    let (mut size, mut utf8, mut dsn) = (None, false, dsn::Request::default());
    for Parameter { keyword, value } in each(parameters)? {
        match (keyword.as_str(), value) {
            ("SIZE", Some(digits)) => size = Some(number(digits).ok_or(Error::BadParameter)?),
            ("BODY", Some(body)) if is_one_of(body, &["7BIT", "8BITMIME"]) => {}
            // The original sender of the message, as another server claims (RFC 4954 section 5). No client is trusted
            // with that here, so it is ignored like `<>`.
            ("AUTH", Some(first)) if first == "<>" || dsn::xtext(first).is_some() => {}
            ("SMTPUTF8", None) => utf8 = true,
            ("RET", Some(ret)) if is_one_of(ret, &["FULL"]) => dsn.ret = Some(Ret::Full),
            ("RET", Some(ret)) if is_one_of(ret, &["HDRS"]) => dsn.ret = Some(Ret::Headers),
            ("ENVID", Some(envid)) if dsn::is_envid(envid) => dsn.envid = envid.to_owned(),
            ("SIZE" | "BODY" | "AUTH" | "SMTPUTF8" | "RET" | "ENVID", _) => return Err(Error::BadParameter),
            _ => return Err(Error::UnknownParameter),
        }
    }
    if beyond_ascii && !utf8 { Err(Error::NotAscii) } else { Ok(Command::Mail { from, size, utf8, dsn }) }
}

/// Parses the arguments of RCPT (RFC 5321 section 4.1.1.3).
pub(super) fn rcpt(arguments: &str) -> Result<Command, Error> {
    let Arguments { path: to, mut beyond_ascii, parameters } = path_after("TO:", arguments, RCPT_USAGE)?;
    let mut to = Recipient::from(to.ok_or(RCPT_USAGE)?);
    for Parameter { keyword, value } in each(parameters)? {
        match (keyword.as_str(), value) {
            ("NOTIFY", Some(notify)) => to.notify = dsn::notify(notify).ok_or(Error::BadParameter)?,
            ("ORCPT", Some(original)) if dsn::is_original(original) => {
                beyond_ascii |= !original.is_ascii();
                to.original = original.to_owned();
            }
            ("NOTIFY" | "ORCPT", _) => return Err(Error::BadParameter),
            _ => return Err(Error::UnknownParameter),
        }
    }
    Ok(Command::Rcpt { to, beyond_ascii })
}

struct Arguments<'a> {
    path: ReversePath,
    beyond_ascii: bool,
    parameters: &'a str,
}

/// The path after `FROM:` or `TO:`, and its parameters. Many clients send a space before the path, which the grammar
/// does not allow.
fn path_after<'a>(prefix: &str, arguments: &'a str, usage: Error) -> Result<Arguments<'a>, Error> {
    let rest = match arguments.split_at_checked(prefix.len()) {
        Some((found, rest)) if found.eq_ignore_ascii_case(prefix) => rest.trim_start_matches(' '),
        _ => return Err(usage),
    };
    let (path, parameters) = mailbox::path(rest).map_err(|_| usage)?;
    let beyond_ascii = !rest.strip_suffix(parameters).unwrap_or(rest).is_ascii();
    if parameters.is_empty() || parameters.starts_with(' ') {
        Ok(Arguments { path, beyond_ascii, parameters: parameters.trim_matches(' ') })
    } else {
        Err(usage)
    }
}

struct Parameter<'a> {
    /// The keyword in upper case.
    keyword: String,
    value: Option<&'a str>,
}

/// Parses the parameters. Each keyword may occur once.
fn each(parameters: &str) -> Result<Vec<Parameter<'_>>, Error> {
    let mut found: Vec<Parameter> = Vec::new();
    for text in parameters.split(' ').filter(|p| !p.is_empty()) {
        let (keyword, value) = match text.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (text, None),
        };
        let keyword = keyword.to_ascii_uppercase();
        if value.is_some_and(|value| value.is_empty() || value.contains('='))
            || found.iter().any(|p| p.keyword == keyword)
        {
            return Err(Error::BadParameter);
        }
        found.push(Parameter { keyword, value });
    }
    Ok(found)
}

fn is_one_of(value: &str, words: &[&str]) -> bool {
    words.iter().any(|word| word.eq_ignore_ascii_case(value))
}
