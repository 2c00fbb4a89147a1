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
    story_with(only(|deadlines| deadlines.login = SHORT), |world| async move {
        for said in ["", "1 NO", "1 LOGIN {4+}\r\nfr", "1 AUTHENTICATE PLAIN\r\n"] {
            let mut client = world.connect().await;
            client.send(said).await;
            client.until("* BYE That took too long").await;
            client.play("S:").await;
        }
        // What is said without a login prolongs nothing.
        let mut busy = world.connect().await;
        let talk = async {
            loop {
                busy.stream.queue(&b"1 NOOP\r\n".repeat(50));
                busy.stream.flush().await?;
                let heard = busy.stream.fill().await?.len();
                if heard == 0 {
                    return Ok(());
                }
                busy.stream.consume(heard);
            }
        };
        let ended = deadline(PATIENCE, talk).await;
        assert!(ended.map_or_else(|error| error.kind() != std::io::ErrorKind::TimedOut, |()| true));
    });
}

#[test]
fn who_is_silent_after_the_login_is_let_go() {
    story_with(only(|deadlines| deadlines.imap = SHORT), |world| async move {
        // Said at once, so that nothing comes late on a slow day.
        for more in ["", "1 IDLE\r\n", "1 APPEND INBOX {5}\r\n"] {
            let mut client = world.connect().await;
            client.send(&format!("l LOGIN fred secret\r\n{more}")).await;
            client.until("l OK").await;
            client.until("* BYE That took too long").await;
            client.play("S:").await;
        }
    });
}
