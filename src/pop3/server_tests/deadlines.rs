//! Clients that are slow, silent or gone.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// Catches: commands without a login that extend the limit of one minute, and a client that escapes it by sending
/// without a pause.
#[test]
fn who_does_not_log_in_is_let_go() {
    story(async |world| {
        let time = &world.context.time;
        let mut slow = world.connect().await;
        time.advance(MINUTE - SECOND);
        slow.play(&[("LANG", "+OK")]).await;
        while slow.line().await.unwrap() != "." {}
        slow.0.queue(b"US");
        slow.0.flush().await.unwrap();
        time.advance(SECOND);
        assert_eq!(slow.rest().await, b"", "without a word (RFC 1939 section 3)");

        let mut busy = world.connect().await;
        busy.says(&"UTF8\r\n".repeat(50)).await;
        time.advance(MINUTE);
        let heard = String::from_utf8(busy.rest().await).unwrap();
        assert!(heard.lines().count() < 3, "{heard}");

        let mut in_tls = world.connect().await;
        in_tls.play(&[("STLS", "+OK Begin the TLS handshake")]).await;
        time.advance(MINUTE);
        assert_eq!(in_tls.rest().await, b"", "nor does a handshake that does not begin");
    });
}

/// Catches: deadlines of the login that go on after it, and a session that never ends.
#[test]
fn who_is_silent_after_the_login_is_let_go_and_nothing_is_deleted() {
    story(async |world| {
        world.deliver(b"one\r\n").await;
        let mut client = world.login().await;
        client.play(&[("DELE 1", "+OK")]).await;
        for _ in 0..3 {
            world.context.time.advance(10 * MINUTE - SECOND);
            client.play(&[("NOOP", "+OK")]).await;
        }
        world.context.time.advance(10 * MINUTE);
        assert_eq!(client.rest().await, b"");
        assert_eq!(world.uids().await, [1]);
    });
}

/// Catches: an endless wait for a client that does not read, and a goodbye within a message.
#[test]
fn who_does_not_read_is_let_go_and_sees_no_end_of_the_message() {
    story(async |world| {
        // More than the buffers of both sockets hold.
        world.deliver(&b"0123456789abcdef\r\n".repeat(1_000_000)).await;
        let mut client = world.login().await;
        client.play(&[("RETR 1", "+OK")]).await;
        // The session is gone when nothing else holds the context.
        let gone = async {
            while Rc::strong_count(&world.context) > 1 {
                world.context.time.advance(MINUTE);
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
        assert!(!rest.windows(4).any(|octets| octets == b"-ERR"), "last words");
    });
}
