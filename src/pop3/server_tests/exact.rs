//! Messages of every kind octet by octet, and several sessions at once.

use super::*;

#[test]
fn messages_go_out_octet_by_octet() {
    story(async |world| {
        #[rustfmt::skip]
        let messages: [(&[u8], &[u8]); 9] = [
            (b"", b""),
            (b"\r\n", b"\r\n"),
            (b".", b"..\r\n"),
            (b".\r\n", b"..\r\n"),
            (b"A: b\r\n\r\n.\r\n..\r\nx.\r\n", b"A: b\r\n\r\n..\r\n...\r\nx.\r\n"),
            (b"no line end", b"no line end\r\n"),
            (b"a\rb\r\n", b"a\rb\r\n"),
            (b"a\n.b\nc", b"a\n..b\nc\r\n"),
            (b"ends in CR\r", b"ends in CR\r\r\n"),
        ];
        for (stored, _) in messages {
            world.deliver(stored).await;
        }
        let mut client = world.login().await;
        for (number, (stored, sent)) in (1..).zip(messages) {
            // The size as it is sent, without stuffed dots (RFC 1939 section 11).
            let octets =
                if stored.is_empty() || stored.ends_with(b"\r\n") { stored.len() } else { stored.len() + 2 };
            client.play(&[(&format!("LIST {number}"), &format!("+OK {number} {octets}"))]).await;
            client.says(&format!("RETR {number}\r\nNOOP")).await;
            client.hears(&format!("+OK {octets} octets")).await;
            let expected = [sent, b".\r\n+OK "].concat();
            let mut heard = Vec::new();
            while heard.len() < expected.len() {
                let piece = deadline(PATIENCE, client.0.fill()).await.unwrap();
                let take = piece.len().min(expected.len() - heard.len());
                heard.extend_from_slice(&piece[..take]);
                client.0.consume(take);
            }
            assert_eq!(heard, expected, "message {number}");
            client.hears("Here I am").await;
        }
    });
}

/// The lines of a multi-line response, without the stuffed dots and without the final line.
async fn unstuffed(client: &mut Client) -> Vec<u8> {
    let mut message = Vec::new();
    loop {
        let mut line = Vec::new();
        loop {
            let piece = deadline(PATIENCE, client.0.fill()).await.unwrap();
            let end = piece.iter().position(|octet| *octet == b'\n').map(|at| at + 1);
            let take = end.unwrap_or(piece.len());
            line.extend_from_slice(&piece[..take]);
            client.0.consume(take);
            if end.is_some() {
                break;
            }
        }
        // Some clients end lines at LF.
        match &line[..] {
            b".\r\n" => return message,
            [b'.', rest @ ..] => message.extend_from_slice(rest),
            line => message.extend_from_slice(line),
        }
    }
}

/// Catches: a size in LIST, STAT or RETR that differs from what RETR sends, for any message, whether appended or
/// copied, and after a restart.
#[test]
fn sizes_are_those_of_what_is_sent() {
    story(async |world| {
        let mut choices = crate::flash::sim::Choices::new(7);
        let mut all = Vec::new();
        for _ in 0..60 {
            let octet = |choices: &mut crate::flash::sim::Choices| b"\r\n.a"[choices.below(4)];
            let len = [0, 1, 2, 3, 5, 9, 70_000][choices.below(7)];
            let message: Vec<u8> = (0..len).map(|_| octet(&mut choices)).collect();
            world.deliver(&message).await;
            all.push(message);
        }
        let mut client = world.login().await;
        client.says("STAT").await;
        let stat = client.line().await.unwrap();
        let (mut sum, mut unended) = (0, None);
        for (number, stored) in (1..).zip(&all) {
            client.says(&format!("LIST {number}")).await;
            let listed = client.line().await.unwrap();
            client.says(&format!("RETR {number}")).await;
            let told = client.line().await.unwrap();
            let sent = unstuffed(&mut client).await;
            assert!(sent.starts_with(stored));
            let octets = sent.len();
            assert_eq!(listed, format!("+OK {number} {octets}"), "{:?}", stored.last_chunk::<2>());
            assert_eq!(told, format!("+OK {octets} octets"));
            sum += octets;
            unended = unended.or((octets > stored.len()).then_some((number, octets)));
        }
        let (number, octets) = unended.unwrap();
        assert_eq!(stat, format!("+OK 60 {sum}"));
        let left = format!("+OK 59 {}", sum - octets);
        client.play(&[(&format!("DELE {number}"), "+OK"), ("STAT", &left)]).await;
        client.play(&[("RSET", "+OK"), ("STAT", &format!("+OK 60 {sum}"))]).await;
    });
}

/// Catches: old messages whose end was not noted, whose sizes are wrong, or whose ends are read at each login.
#[test]
fn mail_from_before_is_looked_at_once() {
    story(async |world| {
        for text in [b"a\r\n", b"bcd", b"e\r\n"] {
            world.deliver(text).await;
        }
        world.mail().await.forget_last_lines();
        let mut client = world.login().await;
        client.play(&[("STAT", "+OK 3 11"), ("LIST 2", "+OK 2 5"), ("RETR 2", "+OK 5 octets")]).await;
        assert_eq!(world.mail().await.learn_last_lines(INBOX, 9).await, []);
        // If it cannot be noted, it counts for the session all the same.
        world.mail().await.forget_last_lines();
        world.flash.limit(Some(0));
        let mut client = world.login().await;
        client.play(&[("STAT", "+OK 3 11"), ("LIST 2", "+OK 2 5")]).await;
        world.flash.limit(None);
    });
}

#[test]
fn sessions_of_one_account_keep_their_numbers() {
    story(async |world| {
        for text in [b"one\r\n", b"two\r\n", b"tre\r\n", b"for\r\n"] {
            world.deliver(text).await;
        }
        let (mut first, mut second) = (world.login().await, world.login().await);
        first.play(&[("DELE 1", "+OK"), ("DELE 2", "+OK"), ("QUIT", "+OK")]).await;
        assert_eq!(first.rest().await, b"");
        assert_eq!(world.uids().await, [3, 4]);
        // What IMAP does meanwhile does not change the session.
        world.expunge(&[4]).await;
        world.deliver(b"new\r\n").await;
        let uid_validity = world.mail().await.view(INBOX, |inbox| inbox.uid_validity).unwrap();
        second
            .play(&[
                ("STAT", "+OK 4 20"),
                ("RETR 1", "-ERR Another client has removed that message"),
                ("LIST 3", "+OK 3 5"),
                ("UIDL 3", &format!("+OK 3 {uid_validity:x}.3")),
                ("RETR 5", "-ERR No such message"),
                // A message that is gone already does not keep the others from being deleted.
                ("DELE 2", "+OK"),
                ("DELE 3", "+OK"),
                ("QUIT", "+OK"),
            ])
            .await;
        assert_eq!(second.rest().await, b"");
        assert_eq!(world.uids().await, [5]);
        let mut third = world.login().await;
        third.play(&[("STAT", "+OK 1 5"), ("UIDL 1", &format!("+OK 1 {uid_validity:x}.5"))]).await;
    });
}
