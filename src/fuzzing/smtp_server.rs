//! What a smarthost says to who hands mail to it. Each recipient gets one verdict, whatever it is.

use std::rc::Rc;

use super::{Speaker, wait};
use crate::clock::Time;
use crate::config::{Secret, Security, SourceAuth};
use crate::outgoing::{Credentials, Habit, Proof, Route};
use crate::smtp::client::{Client, Message, ServerQuirks};
use crate::smtp::{Mailbox, Recipient, dsn};

/// One input.
pub fn run(octets: &[u8]) {
    let speaker = Speaker::new();
    let recipient = |it| Recipient::from(Mailbox::parse(it).expect("an address"));
    let (recipients, dsn) = (["a@b.example", "c@d.example"].map(recipient), dsn::Request::default());
    let quirks = Rc::<ServerQuirks>::default();
    let dialog = async {
        for login in [false, true] {
            let route = Route {
                host: "127.0.0.1",
                port: speaker.address.port(),
                security: Security::None,
                ca: "",
                protocol: "smtp",
            };
            let login = login.then(|| Credentials {
                username: "demo".to_owned(),
                proof: Proof::Password(Secret::new("secret").expect("it is short"), SourceAuth::Auto),
                habit: Habit::default(),
            });
            let Ok(mut client) =
                Client::connect(&route, "pillarbox.local", login, &quirks, &Time::default()).await
            else {
                continue;
            };
            for eight_bit in [false, true] {
                let content: &[u8] = b"Subject: hello\r\n\r\n.\r\n";
                let size = content.len() as u64;
                let message = Message {
                    sender: &None,
                    ascii_sender: None,
                    recipients: &recipients,
                    size,
                    eight_bit,
                    utf8: eight_bit,
                    dsn: &dsn,
                };
                match client.send(message, &content, async || Ok(())).await {
                    Ok(outcome) => assert_eq!(outcome.verdicts.len(), recipients.len()),
                    Err(_) => break,
                }
            }
            client.quit().await;
        }
    };
    wait(smol::future::or(dialog, speaker.says_in_turns(octets)));
}
