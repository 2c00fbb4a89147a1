//! Clients that are slow, silent or gone, with deadlines that a test can wait for.

use super::*;

const SHORT: Duration = Duration::from_millis(200);
/// So long that nothing in these tests runs into it.
const LONG: Duration = Duration::from_secs(3600);

fn only(change: impl FnOnce(&mut Deadlines)) -> Deadlines {
    let mut deadlines = Deadlines { login: LONG, pop3: LONG, imap: LONG, smtp: LONG, stuck: LONG };
    change(&mut deadlines);
    deadlines
}

#[test]
fn who_does_not_log_in_is_let_go() {
    story_with(only(|deadlines| deadlines.login = SHORT), async |world| {
        let mut silent = world.connect().await;
        assert_eq!(silent.rest().await, b"", "without a word (RFC 1939 section 3)");

        let mut slow = world.connect().await;
        slow.0.queue(b"US");
        slow.0.flush().await.unwrap();
        assert_eq!(slow.rest().await, b"", "half a line is no more than none");

        let mut busy = world.connect().await;
        let talk = async {
            // What is said without a login prolongs nothing.
            loop {
                busy.0.queue(b"LANG en\r\n");
                busy.0.flush().await?;
                let heard = busy.0.fill().await?.len();
                if heard == 0 {
                    return Ok(());
                }
                busy.0.consume(heard);
            }
        };
        let ended = deadline(PATIENCE, talk).await;
        assert!(ended.map_or_else(|error| error.kind() != io::ErrorKind::TimedOut, |()| true));

        let mut in_tls = world.connect().await;
        in_tls.0.queue(b"STLS\r\n");
        in_tls.0.flush().await.unwrap();
        // Nor does a handshake that does not begin, wherever the deadline finds it.
        let rest = in_tls.rest().await;
        assert!([&b""[..], b"+OK Begin the TLS handshake\r\n"].contains(&&rest[..]), "{rest:?}");
    });
}

#[test]
fn who_is_silent_after_the_login_is_let_go_and_nothing_is_deleted() {
    story_with(only(|deadlines| deadlines.pop3 = SHORT), async |world| {
        world.deliver(b"one\r\n").await;
        // Said at once, so that nothing comes late on a slow day.
        let mut client = world.connect().await;
        client.says("USER demo\r\nPASS right\r\nDELE 1").await;
        let rest = String::from_utf8(client.rest().await).unwrap();
        assert!(rest.ends_with("+OK Deleted at QUIT\r\n"), "{rest:?}");
        assert_eq!(world.uids().await, [1]);
    });
}

#[test]
fn who_does_not_read_is_let_go_and_sees_no_end_of_the_message() {
    story_with(only(|deadlines| deadlines.stuck = SHORT), async |world| {
        // More than the buffers of both sockets take.
        world.deliver(&b"0123456789abcdef\r\n".repeat(1_000_000)).await;
        let mut client = world.login().await;
        client.play(&[("RETR 1", "+OK")]).await;
        // Gone when the server has closed: nobody else holds the account then.
        let gone = async {
            while Rc::strong_count(&world.context) > 1 {
                async_io::Timer::after(Duration::from_millis(5)).await;
            }
            Ok(())
        };
        deadline(PATIENCE, gone).await.unwrap();
        let mut rest = Vec::new();
        while let Ok(piece) = deadline(PATIENCE, client.0.fill()).await
            && !piece.is_empty()
        {
            rest.extend_from_slice(piece);
            let len = piece.len();
            client.0.consume(len);
        }
        assert!(!rest.ends_with(b"\r\n.\r\n"), "{} octets", rest.len());
    });
}
