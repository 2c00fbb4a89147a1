//! Where the secrets stand in a text, so that they can be made unreadable in place.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::Config;
use super::problem::Section;

/// The places, in octets and in ascending order, of the text between the quotes of each secret in `text`. Where `text` cannot
/// be read to its end, those that are found.
pub fn places(text: &str) -> Vec<Range<usize>> {
    let (root, _) = DeTable::parse_recoverable(text);
    let mut found = Vec::new();
    walk(None, root.get_ref(), &mut found);
    found.sort_by_key(|place| place.start);
    found.into_iter().filter_map(|place| between_quotes(text, place)).collect()
}

fn walk(section: Option<Section>, table: &DeTable<'_>, found: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        let name = &**key.get_ref();
        match (inner(section, name), value.get_ref()) {
            (Some(inner), DeValue::Table(table)) => walk(Some(inner), table, found),
            (Some(inner), DeValue::Array(tables)) => {
                let tables = tables.iter().filter_map(|table| table.get_ref().as_table());
                tables.for_each(|table| walk(Some(inner), table, found));
            }
            (None, DeValue::String(_)) => {
                let setting = section.and_then(|section| section.setting(name));
                if setting.is_some_and(|setting| setting.secret) {
                    found.push(value.span());
                }
            }
            _ => {}
        }
    }
}

/// The section that the key `name` in `section` leads to.
fn inner(section: Option<Section>, name: &str) -> Option<Section> {
    match (section, name) {
        (None, "account") => Some(Section::Account(0)),
        (None, name) => {
            let none = Config::default();
            Section::SINGLE.into_iter().find(|section| section.path(&none) == name)
        }
        (Some(Section::Account(_)), "app_password") => Some(Section::AppPassword(0, 0)),
        (Some(Section::Account(_)), "source") => Some(Section::Source(0, 0)),
        (Some(Section::Smarthost), "oauth2") => Some(Section::SmarthostOAuth2),
        (Some(Section::Source(..)), "oauth2") => Some(Section::OAuth2(0, 0)),
        _ => None,
    }
}

/// The place of the text between the quotes. TOML has four kinds of quotes (TOML 1.0 section "String").
fn between_quotes(text: &str, place: Range<usize>) -> Option<Range<usize>> {
    let literal = text.get(place.clone())?;
    let quotes = ["\"\"\"", "'''", "\"", "'"];
    let quote = quotes.into_iter().find(|quote| {
        literal.len() >= 2 * quote.len() && literal.starts_with(quote) && literal.ends_with(quote)
    })?;
    let inner = place.start + quote.len()..place.end - quote.len();
    (!inner.is_empty()).then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_secret_is_found_and_nothing_else() {
        let text = "\u{feff}[server]\r\nhostname = \"mail\"\r\noperator_password = \"s1\"\r\n\
            [smarthost]\r\nusername = \"home\"\r\npassword = 's2 \\'\r\n\
            [[account]]\r\nname = \"office\" # password = \"not in force\"\r\npassword = \"s3 \\\" ä\"\r\n\
            verifier = \"s4\"\r\nsmarthost_password = \"\"\r\n\
            [[account.app_password]]\r\nname = \"phone\"\r\npassword = \"\"\"s5\r\nmore\"\"\"\r\n\
            [[account.source]]\r\npassword = '''s6'''\r\n\
            oauth2 = { client_id = \"id\", client_secret = \"s7\", refresh_token = \"s8\" }\r\n\
            [[account]]\r\npassword = \"s9\"\r\n";
        let found: Vec<&str> = places(text).into_iter().map(|place| &text[place]).collect();
        assert_eq!(found, ["s1", "s2 \\", "s3 \\\" ä", "s4", "s5\r\nmore", "s6", "s7", "s8", "s9"]);
        assert_eq!(places("[[[").len() + places("password = \"x\"").len() + places("").len(), 0);
    }
}
