//! What a smarthost says to who hands mail to it. Each recipient gets one verdict, whatever it is.

use super::{Speaker, wait};
use crate::clock::Time;
use crate::config::{Secret, Security, SourceAuth};
use crate::outgoing::{Credentials, Habit, Proof, Route};
use crate::smtp::Mailbox;
use crate::smtp::client::{Client, Message};

/// One input.
pub fn run(octets: &[u8]) {
    let speaker = Speaker::new();
    let recipients = ["a@b.example", "c@d.example"].map(|it| Mailbox::parse(it).expect("an address"));
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
            let Ok(mut client) = Client::connect(&route, "pillarbox.local", login, &Time::default()).await
            else {
                continue;
            };
            for eight_bit in [false, true] {
                let content: &[u8] = b"Subject: hello\r\n\r\n.\r\n";
                let size = content.len() as u64;
                let message = Message { sender: &None, recipients: &recipients, size, eight_bit };
                match client.send(message, &content).await {
                    Ok(verdicts) => assert_eq!(verdicts.len(), recipients.len()),
                    Err(_) => break,
                }
            }
            client.quit().await;
        }
    };
    wait(smol::future::or(dialog, speaker.says(octets)));
}
