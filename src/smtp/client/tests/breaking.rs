//! Connections that end within a message, with replies to earlier messages that have come or still come.

use super::*;

/// What a client sends for a whole message.
const GROUP: &str = "MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nBDAT 20 LAST\r\nSubject: x\r\n\r\n.dot\r\n";
/// The replies to that message.
const ANSWERS: &str = "250 OK\r\n250 OK\r\n250 2.0.0 Taken\r\n";

/// Catches: a message that was broken off here and loses the replies to earlier ones: these would go twice.
#[test]
fn what_is_broken_off_costs_those_before_it_no_answer() {
    async_io::block_on(async {
        let (mut client, mut server, ..) = connected(offering(true, true)).await;
        client.proven = true;
        let to = recipients(1);
        for _ in 0..2 {
            client.begin(message(&to, CONTENT.len()), &CONTENT, async || Ok(())).await.unwrap();
        }
        let stopped = Failure::Unavailable("the appliance is being stopped".into());
        let refuses = async || Err(stopped.clone());
        assert_eq!(client.begin(message(&to, CONTENT.len()), &CONTENT, refuses).await, Err(stopped.clone()));
        assert!(!client.has_room_for(0), "the server waits for the rest of a content");
        hears(&mut server, ".dot").await;
        says(&mut server, &format!("{ANSWERS}250 OK\r\n{ANSWERS}250 OK\r\n250 OK\r\n")).await;
        for _ in 0..2 {
            assert_eq!(client.outcome().await.unwrap().unwrap().verdicts[0].to_string(), "250 2.0.0 Taken");
        }
        assert_eq!(client.outcome().await, Ok(None), "of the last one it was told when it was begun");
        assert_eq!(send_one(&mut client).await, Err(stopped));
    });
}

/// Catches: a reply to an earlier message that is taken for the reason why the server hangs up, or is lost with the
/// connection: the earlier message would go twice.
#[test]
fn a_hang_up_in_the_midst_costs_those_before_it_no_answer() {
    let down = Failure::Unavailable("421 4.3.2 Down".into());
    for (says_why, expected) in [("", None), ("250 OK\r\n250 OK\r\n421 4.3.2 Down\r\n", Some(down))] {
        async_io::block_on(async {
            let (mut client, mut server, ..) = connected(offering(true, true)).await;
            client.proven = true;
            let to = recipients(1);
            client.begin(message(&to, CONTENT.len()), &CONTENT, async || Ok(())).await.unwrap();
            // All but the last octet is read, so that the system resets the connection.
            let mut heard = String::new();
            while heard.len() < GROUP.len() - 1 {
                let octets = server.fill().await.unwrap();
                let n = octets.len().min(GROUP.len() - 1 - heard.len());
                heard.push_str(std::str::from_utf8(&octets[..n]).unwrap());
                server.consume(n);
            }
            says(&mut server, &format!("{ANSWERS}{says_why}")).await;
            drop(server);
            async_io::Timer::after(Duration::from_millis(20)).await;
            let before_end = async || panic!("its end leaves for nobody");
            let large = vec![b'x'; MAX_CHUNK as usize];
            let sent = client.begin(message(&to, large.len()), &large.as_slice(), before_end).await;
            let failure = sent.unwrap_err();
            match &expected {
                Some(expected) => assert_eq!(failure, *expected),
                None => assert!(failure.to_string().contains("was lost"), "{failure}"),
            }
            assert_eq!(client.outcome().await.unwrap().unwrap().verdicts[0].to_string(), "250 2.0.0 Taken");
            assert_eq!(client.outcome().await, Ok(None));
        });
    }
}

/// Catches: a server that takes no more octets and sends "250" without end, and is listened to without end.
#[test]
fn last_words_have_an_end() {
    async_io::block_on(async {
        let (mut client, mut server, _, time) = connected(offering(true, false)).await;
        let to = recipients(1);
        let large = vec![b'x'; 16 << 20];
        let large = large.as_slice();
        let serves = async {
            hears(&mut server, "DATA\r\n").await;
            says(&mut server, "250 OK\r\n250 OK\r\n354 Go\r\n").await;
            says(&mut server, &"250 OK\r\n".repeat(100)).await;
            // The server reads nothing of the content for longer than the client waits.
            loop {
                async_io::Timer::after(Duration::from_millis(2)).await;
                time.advance(Duration::from_secs(1));
            }
        };
        let sent = or(client.begin(message(&to, large.len()), &large, async || Ok(())), serves);
        let failure = sent.await.unwrap_err();
        assert!(failure.to_string().contains("was lost"), "{failure}");
        assert!(client.stream.buffered().starts_with(b"250 OK\r\n"), "not all of it was listened to");
    });
}
