//! Clients that are slow, silent or gone.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
const LATE: &str = "* BYE That took too long";

/// Catches: text before the login that prolongs the minute, and a client that escapes the minute by sending without a
/// pause.
#[test]
fn who_does_not_log_in_is_let_go() {
    story(|world| async move {
        let time = &world.context.time;
        for said in ["", "1 NO", "1 LOGIN {4+}\r\nfr", "1 AUTHENTICATE PLAIN\r\n"] {
            let mut client = world.connect().await;
            client.play("S: * OK *").await;
            time.advance(MINUTE - SECOND);
            client.play("C: 0 NOOP\nS: 0 OK *").await;
            client.send(said).await;
            time.advance(SECOND);
            client.until(LATE).await;
            client.play("S:").await;
        }
        let mut busy = world.connect().await;
        busy.play("S: * OK *").await;
        busy.send(&"1 NOOP\r\n".repeat(50)).await;
        time.advance(MINUTE);
        assert!(busy.until(LATE).await.len() < 4);
    });
}

/// Catches: deadlines of the login that still apply after it, and a session that lives for ever.
#[test]
fn who_is_silent_after_the_login_is_let_go() {
    story(|world| async move {
        for (more, answer) in [("0 NOOP", "S: 0 OK *"), ("1 APPEND INBOX {5}", "S: + *")] {
            let mut client = world.login().await;
            for _ in 0..3 {
                world.context.time.advance(30 * MINUTE - SECOND);
                client.play("C: 0 NOOP\nS: 0 OK *").await;
            }
            client.play(&format!("C: {more}\n{answer}")).await;
            world.context.time.advance(30 * MINUTE);
            client.until(LATE).await;
            client.play("S:").await;
        }
    });
}

/// Catches: a router on the way that forgets an idling connection, and an IDLE that never ends.
#[test]
fn an_idling_client_hears_that_the_connection_lives_for_half_an_hour() {
    story(|world| async move {
        let mut client = world.login().await;
        client.play("C: 1 IDLE\nS: + Idling").await;
        for _ in 0..7 {
            world.context.time.advance(4 * MINUTE);
            client.play("S: * OK Still here").await;
        }
        world.context.time.advance(2 * MINUTE);
        client.until(LATE).await;
        client.play("S:").await;
    });
}

/// Catches: a goodbye in the middle of a message.
#[test]
fn who_does_not_read_is_let_go_without_a_word() {
    story(|world| async move {
        world.deliver(&[&"0123456789abcdef\r\n".repeat(1_000_000)]).await;
        let mut client = world.inbox().await;
        client.send("1 FETCH 1 BODY[]\r\n").await;
        let gone = async {
            while Rc::strong_count(&world.context) > 1 {
                world.context.time.advance(5 * MINUTE);
                async_io::Timer::after(Duration::from_millis(5)).await;
            }
            Ok(())
        };
        deadline(PATIENCE, gone).await.unwrap();
        let mut rest = Vec::new();
        while let Ok(piece) = deadline(PATIENCE, client.stream.fill()).await
            && !piece.is_empty()
        {
            rest.extend_from_slice(piece);
            let len = piece.len();
            client.stream.consume(len);
        }
        assert!(!rest.windows(5).any(|octets| octets == b"* BYE"), "last words");
    });
}
