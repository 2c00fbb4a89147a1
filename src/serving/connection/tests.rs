//! The promises of the frame, with a protocol that only echoes.

use super::*;
use crate::certificate;
use crate::config::Config;
use crate::flash::sim::SimFlash;
use crate::net::stream::tests::{pair, rest};
use crate::store::Store;

/// A protocol that sends each line back, and `bye` at the end.
struct Echo;

impl Protocol for Echo {
    type Session = ();
    const SERVICE: Service = Service::Pop3;
    const NAME: &str = "echo";
    fn patience(deadlines: &Deadlines) -> Duration {
        deadlines.pop3
    }
    fn line_limit((): &()) -> usize {
        20
    }
    fn secured((): &mut (), _: bool) {}
    fn goodbye(why: Goodbye) -> Cow<'static, [u8]> {
        format!("{why:?}\n").into_bytes().into()
    }
    async fn greet(connection: &mut Connection<Echo>) -> io::Result<Dialog> {
        connection.write("hello\n").await.map(|()| Dialog::Continues)
    }
    async fn take(
        connection: &mut Connection<Echo>,
        line: Zeroizing<Vec<u8>>,
        end: LineEnd,
    ) -> io::Result<Dialog> {
        assert_eq!(end, LineEnd::Complete);
        connection.write(line.as_slice()).await?;
        connection.write("\n").await?;
        if line.as_slice() == b"work" {
            async_io::Timer::after(Duration::from_millis(50)).await;
        }
        if line.as_slice() == b"more" {
            let mut more = Zeroizing::default();
            connection.read_line(&mut more, 20).await?;
            connection.write(more.as_slice()).await?;
        }
        if line.as_slice() == b"long" {
            // More than the buffers of both sockets hold.
            connection.write(&vec![b'x'; 20_000_000]).await?;
        }
        Ok(if line.as_slice() == b"quit" { Dialog::Ends } else { Dialog::Continues })
    }
}

/// A client, the server's end of its connection, and the context.
async fn connected() -> (Stream, Box<Connection<Echo>>, Rc<Context>) {
    let (flash, config) = (Rc::new(SimFlash::default()), Config::default());
    let tls = certificate::server_config(&config, &*flash).await.unwrap();
    let context = Rc::new(Context::new(config, tls, Store::new(flash)));
    let (client, server) = pair().await;
    let peer = server.peer().ip();
    let place = context.places.open("echo", None, peer, &context.config()).unwrap();
    (client, Connection::new(server, place, context.clone(), (), Echo), context)
}

/// What a client gets that sends `said`; `meanwhile` runs when the server waits for more.
async fn heard(said: &[u8], meanwhile: impl FnOnce(&Context)) -> String {
    let (mut client, server, context) = connected().await;
    client.queue(said);
    client.flush().await.unwrap();
    let mut served = Box::pin(server.serve(false));
    while poll_once(&mut served).await.is_none() && client_has_nothing(&mut client).await {}
    meanwhile(&context);
    let heard = async move { rest(&mut client).await };
    let (heard, ()) = smol::future::zip(heard, served).await;
    String::from_utf8(heard).unwrap()
}

async fn client_has_nothing(client: &mut Stream) -> bool {
    poll_once(client.fill()).await.is_none()
}

/// Catches: a session that goes on after an order to end, and one with the wrong goodbye.
#[test]
fn a_place_that_is_taken_away_ends_the_dialog() {
    async_io::block_on(async {
        let end = |context: &Context| assert!(context.places.disconnect(1));
        assert_eq!(heard(b"one\ntw", end).await, "hello\none\nEnd(Disconnected)\n");
        let late = |context: &Context| context.time.advance(context.deadlines.login);
        assert_eq!(heard(b"one\ntw", late).await, "hello\none\nLate\n");
        assert_eq!(heard(b"quit\nmore\n", |_| ()).await, "hello\nquit\n");
        assert_eq!(heard(b"one\nGET /\nmore\n", |_| ()).await, "hello\none\nHttp\n");
    });
}

/// Catches: a command such as UPDATE of POP3 that is cut off within its work when the appliance stops; octets that a
/// known client is handing over and that are no longer read; an unknown or silent client that delays the end.
#[test]
fn when_the_appliance_stops_what_has_begun_is_finished() {
    async_io::block_on(async {
        let stop = |context: &Context| context.places.stop();
        assert_eq!(heard(b"work\n", stop).await, "hello\nwork\nEnd(Stopping)\n");
        // The client has not logged in, so the rest of its command is not waited for.
        assert_eq!(heard(b"more\n", stop).await, "hello\nmore\nEnd(Stopping)\n");
        for (silent, end) in [(false, "hello\nmore\nrest"), (true, "hello\nmore\n")] {
            let (mut client, server, context) = connected().await;
            server.place.is_of_device();
            client.queue(b"more\n");
            client.flush().await.unwrap();
            let mut served = Box::pin(server.serve(false));
            while poll_once(&mut served).await.is_none() && client_has_nothing(&mut client).await {}
            context.places.stop();
            assert!(poll_once(&mut served).await.is_none(), "it is waited for");
            assert!(poll_once(context.places.parted()).await.is_none());
            match silent {
                true => context.time.advance(FINISHING),
                false => {
                    client.queue(b"rest\nnext\n");
                    client.flush().await.unwrap();
                }
            }
            let heard = async { rest(&mut client).await };
            let ended = smol::future::zip(served, context.places.parted());
            let (heard, _) = smol::future::zip(heard, ended).await;
            assert_eq!(String::from_utf8(heard).unwrap(), format!("{end}End(Stopping)\n"));
        }
    });
}

/// Catches: a goodbye within a reply, which would be taken for a part of it.
#[test]
fn nothing_is_said_where_a_reply_broke_off() {
    async_io::block_on(async {
        let (mut client, server, context) = connected().await;
        client.queue(b"long\n");
        client.flush().await.unwrap();
        let mut served = Box::pin(server.serve(false));
        // Until the client's buffers are full.
        let full = async {
            async_io::Timer::after(Duration::from_millis(100)).await;
        };
        or(&mut served, full).await;
        assert!(context.places.disconnect(1));
        // The client reads again, so that anything that was sent arrives.
        let heard = async move {
            let mut heard = Vec::new();
            while let Ok(piece) = client.fill().await
                && !piece.is_empty()
            {
                heard.extend_from_slice(piece);
                let taken = piece.len();
                client.consume(taken);
            }
            heard
        };
        let (heard, ()) = smol::future::zip(heard, served).await;
        assert!(heard.starts_with(b"hello\nlong\nxxx") && heard.ends_with(b"x"), "{} octets", heard.len());
    });
}

/// Catches: a line that may hold a password and stays in memory, since its type does not wipe it.
#[test]
fn lines_are_wiped() {
    fn wiped(_: &Zeroizing<Vec<u8>>) {}
    async_io::block_on(async {
        let (_client, server, _context) = connected().await;
        wiped(&server.line);
    });
}
