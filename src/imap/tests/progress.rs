//! INPROGRESS (RFC 9585): commands that take long, by a clock that runs while they are carried out.

use smol::future::{or, yield_now};

use super::*;

/// The responses to `command` up to the tagged one. Five seconds pass with each turn of this test, which is many
/// turns of the server.
async fn said(world: &World, client: &mut Client, command: &str) -> Vec<String> {
    client.send(&format!("{command}\r\n")).await;
    let tag = command.split(' ').next().unwrap();
    let begun = world.context.time.now();
    let clock = async {
        loop {
            world.context.time.advance(Duration::from_secs(5));
            yield_now().await;
        }
    };
    let lines = or(client.until(&format!("{tag} ")), clock).await;
    let told = lines.iter().filter(|line| line.contains("[INPROGRESS ")).count() as u64;
    assert!(told * 10 <= world.context.time.since(begun).as_secs(), "too often: {lines:?}");
    lines
}

/// Progress and goal in each response for this tag.
fn told(lines: &[String], tag: &str) -> Vec<(u32, u32)> {
    let start = format!("* OK [INPROGRESS ({tag} ");
    let numbers = |line: &String| {
        let (done, goal) = line.strip_prefix(&start)?.strip_suffix(")] Still at it")?.split_once(' ')?;
        Some((done.parse().ok()?, goal.parse().ok()?))
    };
    lines.iter().filter_map(numbers).collect()
}

/// Catches: a command that is silent for long, one that reports more often than every ten seconds, figures that stand
/// still or are those of another command, a tag that ends the response code, and a result that is changed by
/// reporting.
#[test]
fn a_client_that_waits_hears_how_far_it_is() {
    story(|world| async move {
        let messages: Vec<String> =
            (0..2000).map(|n| format!("Subject: {}\r\n\r\n{}", n % 7, "word ".repeat(9))).collect();
        let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
        world.deliver(&messages).await;
        let mut client = world.login().await;
        client.play("C: 0 SELECT INBOX").await;
        client.until("0 OK").await;

        let lines = said(&world, &mut client, "s1 SEARCH TEXT nowhere-at-all").await;
        let figures = told(&lines, "\"s1\"");
        assert!(figures.len() > 2 && figures.is_sorted(), "{lines:?}");
        assert!(figures.iter().all(|(done, goal)| done < goal && *goal == 2000), "{lines:?}");
        assert!(figures.first() < figures.last(), "{lines:?}");
        assert_eq!(lines[figures.len()..], ["* SEARCH", "s1 OK SEARCH completed"]);

        let lines = said(&world, &mut client, "s]2 SEARCH BODY nowhere-at-all").await;
        assert!(told(&lines, "NIL").len() > 2, "{lines:?}");

        for command in ["t1 SORT (SUBJECT DATE) UTF-8 ALL", "t1 THREAD REFERENCES UTF-8 ALL"] {
            let lines = said(&world, &mut client, command).await;
            assert!(told(&lines, "\"t1\"").len() > 2, "{lines:?}");
            assert_eq!(lines.len(), told(&lines, "\"t1\"").len() + 2, "{lines:?}");
        }

        // A long commit on a slow card.
        let time = world.context.time.clone();
        world.flash.watch(move |_| time.advance(Duration::from_secs(10)));
        client.send("c1 COPY 1:* INBOX\r\n").await;
        let lines = client.until("c1 ").await;
        let told =
            lines.iter().filter(|line| **line == "* OK [INPROGRESS (\"c1\" NIL NIL)] Still at it").count();
        assert!(told > 0, "{lines:?}");
        assert!(lines.last().unwrap().starts_with("c1 OK [COPYUID "), "{lines:?}");
    });
}

/// Catches: responses to FETCH that are gathered for minutes, since they are short and each takes long.
#[test]
fn a_slow_fetch_is_heard_from_its_beginning() {
    story(|world| async move {
        world.deliver(&["Subject: x\r\n\r\nx"; 500]).await;
        let mut client = world.inbox().await;
        client.send("1 FETCH 1:* (BINARY.SIZE[1])\r\n").await;
        let begun = world.context.time.now();
        let clock = async {
            loop {
                world.context.time.advance(Duration::from_secs(20));
                yield_now().await;
            }
        };
        let listening = async {
            client.until("* 1 FETCH (BINARY.SIZE[1] 1)").await;
            let first = world.context.time.since(begun);
            client.until("1 OK").await;
            (first, world.context.time.since(begun))
        };
        let (first, last) = or(listening, clock).await;
        assert!(first < last / 2, "{first:?} of {last:?}");
    });
}

/// Catches: a response for a command that takes no time.
#[test]
fn nothing_is_said_before_ten_seconds_are_over() {
    story(|world| async move {
        world.deliver(&["Subject: x\r\n\r\nx"]).await;
        let mut client = world.login().await;
        client.play("C: 0 SELECT INBOX").await;
        client.until("0 OK").await;
        world.context.time.advance(Duration::from_secs(9));
        client.play("C: 1 SEARCH TEXT y\nS: * SEARCH\nS: 1 OK *").await;
        world.context.time.advance(Duration::from_secs(9));
        client.play("C: 2 COPY 1 INBOX\nS: * 2 EXISTS\nS: * 2 RECENT\nS: 2 OK *").await;
    });
}
