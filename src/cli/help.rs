//! `help`: made from the tables of verbs and of settings, so that it is always complete.

use std::fmt::Write;

use super::arguments::{VERBS, Verb, all_verbs};
use pillarbox::config::help as settings;
use pillarbox::failure::Failure;

/// The help on `topic`, or on everything.
///
/// # Errors
/// There is no such topic.
pub fn on(topic: Option<&str>) -> Result<String, Failure> {
    let Some(topic) = topic else { return Ok(overview()) };
    let is_meant = |verb: &&'static Verb| verb.name == topic || verb.name.split(' ').next() == Some(topic);
    let verbs: Vec<String> =
        all_verbs().filter(is_meant).map(|verb| format!("{}\n\n{}\n", verb.usage(), verb.help)).collect();
    if !verbs.is_empty() {
        return Ok(verbs.join("\n"));
    }
    settings::on(topic)
        .ok_or_else(|| Failure::Usage(format!("{topic}: no such topic: `pillarbox help` lists the topics")))
}

fn overview() -> String {
    let mut text = String::from(
        "Pillarbox is a mail appliance: it collects mail by MultiPOP, keeps it, serves it by POP3 and IMAP,\n\
         and sends it through one smarthost.\n\n",
    );
    for verb in VERBS {
        let _ = writeln!(text, "  {}\n      {}", verb.usage(), verb.help);
    }
    text + "\nDIR is the data folder, pillarbox-data where it is not given. Without a command, pillarbox runs.\n\
         pillarbox --version prints the version; `pillarbox help board` tells what a card image runs.\n\n\
         Further topics: the sections of the configuration file\n  \
         server, listen, network, tls, smarthost, multipop, account, app_password, source, oauth2\n\
         and every setting in them, such as smarthost.port or quota.\n\n\
         Exit codes: 0 done, 1 the input is wrong, 2 the command line is wrong, 3 the system refused.\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_is_a_topic_and_so_are_settings() {
        for topic in all_verbs().map(|verb| verb.name) {
            assert!(on(Some(topic)).unwrap().contains(topic));
        }
        assert!(on(Some("account.source.host")).is_ok());
        assert!(on(Some("quota")).is_ok());
        assert!(on(Some("colour")).is_err());
    }

    #[test]
    fn the_overview_fits_a_terminal() {
        let text = on(None).unwrap();
        assert!(text.lines().all(|line| line.len() <= 120), "{text}");
        assert!(text.contains("fsck") && text.contains("mail export"));
        assert_eq!(on(Some("mail")).unwrap().matches("pillarbox mail").count(), 2);
    }
}
