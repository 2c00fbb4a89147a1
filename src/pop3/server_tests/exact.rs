//! Messages of every kind octet by octet, and sessions beside each other.

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
            client.play(&[(&format!("LIST {number}"), &format!("+OK {number} {}", stored.len()))]).await;
            client.says(&format!("RETR {number}\r\nNOOP")).await;
            client.hears(&format!("+OK {} octets", stored.len())).await;
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
        // What IMAP does beside it is the same to it.
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
                // One that is gone already is no obstacle to deleting the others.
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
