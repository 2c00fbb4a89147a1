//! A client's connection. Only this file, and the files beside it that extend `Connection`, wait for anything.

use std::borrow::Cow;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::input::{LIMIT, LIMIT_BEFORE_LOGIN};
use crate::config::Service;
use crate::context::{Context, Deadlines, End, Place};
use crate::imap::commands::lazy_message::LastStructure;
use crate::imap::state::session::Session;
use crate::net::line::LineEnd;
use crate::net::stream::Stream;
use crate::serving::{self, Dialog, Goodbye, Protocol};

/// A client's connection.
pub(super) type Connection = serving::Connection<Imap>;

/// Serves one client, from the TLS handshake or the greeting to the goodbye.
pub fn serve(
    stream: Stream,
    implicit_tls: bool,
    place: Place,
    context: Rc<Context>,
) -> impl Future<Output = ()> {
    let session = Session::new(stream.peer().ip());
    let own = Imap { last_structure: LastStructure::default() };
    Connection::new(stream, place, context, session, own).serve(implicit_tls)
}

/// What a connection needs besides its session.
pub(super) struct Imap {
    pub last_structure: LastStructure,
}

impl Protocol for Imap {
    type Session = Session;
    const SERVICE: Service = Service::Imap;
    const NAME: &str = "imap";

    fn patience(deadlines: &Deadlines) -> Duration {
        deadlines.imap
    }

    fn line_limit(session: &Session) -> usize {
        if session.account().is_some() { LIMIT } else { LIMIT_BEFORE_LOGIN }
    }

    fn secured(session: &mut Session, bindable: bool) {
        session.secured(bindable);
    }

    fn goodbye(why: Goodbye) -> Cow<'static, [u8]> {
        let words = match why {
            Goodbye::Late => "* BYE That took too long\r\n",
            Goodbye::Http => "* BYE This is no web server\r\n",
            Goodbye::End(End::Right) => "* BYE The settings no longer allow this session\r\n",
            Goodbye::End(End::Connector) => crate::imap::state::session::NO_CONNECTOR,
            Goodbye::End(End::Room) => "* BYE Too many connections, try again later\r\n",
            Goodbye::End(End::Disconnected) => "* BYE The operator has ended this session\r\n",
            Goodbye::End(End::Stopping) => "* BYE The server stops, connect again in a moment\r\n",
        };
        words.as_bytes().into()
    }

    fn cut_short(session: &mut Session) -> Option<&'static str> {
        session.cut_short()
    }

    async fn greet(connection: &mut Connection) -> io::Result<Dialog> {
        let greeting = connection.session.greeting(&connection.context.config());
        connection.write(&greeting).await.map(|()| Dialog::Continues)
    }

    async fn take(connection: &mut Connection, line: Zeroizing<Vec<u8>>, end: LineEnd) -> io::Result<Dialog> {
        let idle = Box::pin(connection.command(line, end)).await?;
        if connection.session.is_connector() {
            connection.place.is_of_connector();
        }
        if let Some(tag) = idle {
            connection.idle(tag).await?;
        }
        if connection.session.notify.is_some() {
            Box::pin(connection.between_commands()).await?;
        }
        Ok(if connection.session.is_over() { Dialog::Ends } else { Dialog::Continues })
    }
}

impl Connection {
    /// Writes text and sends everything that was written.
    pub async fn say(&mut self, text: &str) -> io::Result<()> {
        self.write(text).await?;
        self.flush().await
    }
}
