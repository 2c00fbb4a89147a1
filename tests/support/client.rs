//! Small blocking clients for POP3, IMAP and SMTP, whose failures fail the test.

use std::collections::BTreeMap;
use std::path::Path;

use data_encoding::BASE64;

use super::connection::Connection;

/// A POP3 client (RFC 1939).
pub struct Pop3(pub Connection);

impl Pop3 {
    /// Takes the greeting.
    pub fn new(mut connection: Connection) -> Pop3 {
        let greeting = connection.line();
        assert!(greeting.starts_with("+OK"), "{greeting}");
        Pop3(connection)
    }
    pub fn login(connection: Connection, user: &str, password: &str) -> Pop3 {
        let mut pop3 = Pop3::new(connection);
        let reply = pop3.try_login(user, password);
        assert!(reply.starts_with("+OK"), "{reply}");
        pop3
    }
    /// STLS (RFC 2595).
    #[track_caller]
    pub fn start_tls(mut self, ca: &Path) -> Pop3 {
        let reply = self.command("STLS");
        assert!(reply.starts_with("+OK"), "{reply}");
        Pop3(self.0.start_tls(ca))
    }
    /// The reply to the password.
    pub fn try_login(&mut self, user: &str, password: &str) -> String {
        self.command(&format!("USER {user}"));
        self.command(&format!("PASS {password}"))
    }
    /// Greeting and login with an appliance that may be gone any moment.
    pub fn try_begin(mut connection: Connection, user: &str, password: &str) -> Option<Pop3> {
        connection.try_line()?;
        let mut pop3 = Pop3(connection);
        pop3.try_command(&format!("USER {user}"))?;
        pop3.try_command(&format!("PASS {password}"))?.starts_with("+OK").then_some(pop3)
    }
    #[track_caller]
    pub fn command(&mut self, line: &str) -> String {
        self.try_command(line).expect("a reply, but the connection is over")
    }
    /// `None` when the connection is over.
    pub fn try_command(&mut self, line: &str) -> Option<String> {
        self.0.try_send(format!("{line}\r\n").as_bytes()).ok()?;
        self.0.try_line().map(|line| String::from_utf8_lossy(&line).into_owned())
    }
    /// A reply of several lines, the dots taken off (RFC 1939 section 3).
    #[track_caller]
    pub fn multiline(&mut self, line: &str) -> Vec<Vec<u8>> {
        self.try_multiline(line).expect("a reply cut short")
    }
    fn try_multiline(&mut self, line: &str) -> Option<Vec<Vec<u8>>> {
        let status = self.try_command(line)?;
        assert!(status.starts_with("+OK"), "{line}: {status}");
        let mut lines = Vec::new();
        loop {
            let line = self.0.try_line()?;
            match line.strip_prefix(b".") {
                Some(b"") => return Some(lines),
                Some(stuffed) => lines.push(stuffed.to_vec()),
                None => lines.push(line),
            }
        }
    }
    #[track_caller]
    pub fn retr(&mut self, number: usize) -> Vec<u8> {
        self.try_retr(number).expect("a message cut short")
    }
    pub fn try_retr(&mut self, number: usize) -> Option<Vec<u8>> {
        let lines = self.try_multiline(&format!("RETR {number}"))?;
        Some(lines.into_iter().flat_map(|l| [l, b"\r\n".to_vec()].concat()).collect())
    }
    /// RETR, reading to the end of the message without looking at it; octets read.
    pub fn drain(&mut self, number: usize) -> usize {
        self.0.send(format!("RETR {number}\r\n"));
        let (mut tail, mut octets) = (Vec::new(), 0);
        while !tail.ends_with(b"\r\n.\r\n") {
            octets += self.0.piece(|piece| tail.extend(&piece[piece.len().saturating_sub(5)..]));
        }
        octets
    }
    /// Number of messages, from STAT.
    pub fn count(&mut self) -> usize {
        self.command("STAT").split(' ').nth(1).and_then(|n| n.parse().ok()).expect("STAT")
    }
    /// All messages in order.
    pub fn retrieve_all(&mut self) -> Vec<Vec<u8>> {
        (1..=self.count()).map(|n| self.retr(n)).collect()
    }
}

/// An IMAP client (RFC 3501).
pub struct Imap {
    pub connection: Connection,
    tag: u32,
}

/// What came in answer to one IMAP command.
#[derive(Debug, Default)]
pub struct Answer {
    /// Untagged responses without `* `, literals in place: `1 FETCH (BODY[] {3}\r\nabc)`.
    pub untagged: Vec<Vec<u8>>,
    /// `OK …`, `NO …` or `BAD …`.
    pub status: String,
}

impl Answer {
    #[track_caller]
    pub fn ok(self) -> Vec<Vec<u8>> {
        assert!(self.status.starts_with("OK"), "{}", self.status);
        self.untagged
    }
    pub fn text(&self) -> String {
        self.untagged.iter().map(|line| String::from_utf8_lossy(line).into_owned() + "\n").collect()
    }
}

impl Imap {
    /// Takes the greeting.
    pub fn new(mut connection: Connection) -> Imap {
        let greeting = connection.line();
        assert!(greeting.starts_with("* OK"), "{greeting}");
        Imap { connection, tag: 0 }
    }
    pub fn login(connection: Connection, user: &str, password: &str) -> Imap {
        let mut imap = Imap::new(connection);
        imap.try_login(user, password).ok();
        imap
    }
    /// Greeting and login with an appliance that may be gone any moment.
    pub fn try_begin(mut connection: Connection, user: &str, password: &str) -> Option<Imap> {
        connection.try_line()?;
        let mut imap = Imap { connection, tag: 0 };
        let answer = imap.try_command(format!("LOGIN \"{user}\" \"{password}\"").as_bytes())?;
        answer.status.starts_with("OK").then_some(imap)
    }
    pub fn try_login(&mut self, user: &str, password: &str) -> Answer {
        self.command(&format!("LOGIN \"{user}\" \"{password}\""))
    }
    /// Sends a command and reads all that comes up to its completion.
    #[track_caller]
    pub fn command(&mut self, line: &str) -> Answer {
        self.try_command(line.as_bytes()).expect("an answer, but the connection is over")
    }
    /// `None` when the connection ended before the completion.
    pub fn try_command(&mut self, line: &[u8]) -> Option<Answer> {
        let tag = self.send(line)?;
        self.answer(&tag)
    }
    /// Sends a command without waiting; its tag.
    pub fn send(&mut self, line: &[u8]) -> Option<String> {
        self.tag += 1;
        let tag = format!("a{}", self.tag);
        self.connection.try_send(&[tag.as_bytes(), b" ", line, b"\r\n"].concat()).ok()?;
        Some(tag)
    }
    pub fn answer(&mut self, tag: &str) -> Option<Answer> {
        let mut answer = Answer::default();
        loop {
            let line = self.response()?;
            if let Some(status) = line.strip_prefix(format!("{tag} ").as_bytes()) {
                answer.status = String::from_utf8_lossy(status).into_owned();
                return Some(answer);
            }
            answer.untagged.push(line.strip_prefix(b"* ").unwrap_or(&line).to_vec());
        }
    }
    /// Sends a command and reads up to its OK without looking at what comes; octets read.
    pub fn drain(&mut self, line: &str) -> usize {
        let tag = self.send(line.as_bytes()).unwrap();
        let (end, mut tail, mut octets) = (format!("\r\n{tag} OK"), Vec::new(), 0);
        loop {
            octets += self.connection.piece(|piece| tail.extend(&piece[piece.len().saturating_sub(200)..]));
            tail.drain(..tail.len().saturating_sub(200));
            if tail.ends_with(b"\n") && tail.windows(end.len()).any(|window| window == end.as_bytes()) {
                return octets;
            }
        }
    }
    /// One response with the literals in it.
    pub fn response(&mut self) -> Option<Vec<u8>> {
        let mut response = self.connection.try_line()?;
        while let Some(length) = literal_length(&response) {
            response.extend(b"\r\n");
            response.extend(self.connection.octets(length)?);
            response.extend(self.connection.try_line()?);
        }
        Some(response)
    }
    /// APPEND with a non-synchronizing literal (RFC 7888); `None` when it was not acknowledged.
    pub fn try_append(&mut self, mailbox: &str, message: &[u8]) -> Option<Answer> {
        let head = format!("APPEND \"{mailbox}\" {{{}+}}\r\n", message.len());
        self.try_command(&[head.as_bytes(), message].concat())
    }
    #[track_caller]
    pub fn append(&mut self, mailbox: &str, message: &[u8]) {
        self.try_append(mailbox, message).expect("an answer to APPEND").ok();
    }
    /// Selects `mailbox` and reads all of its messages, by UID.
    #[track_caller]
    pub fn fetch_all(&mut self, mailbox: &str) -> BTreeMap<u32, Vec<u8>> {
        self.command(&format!("SELECT \"{mailbox}\"")).ok();
        let fetched = self.command("UID FETCH 1:* (UID BODY.PEEK[])").ok();
        fetched.iter().filter_map(|line| Some((uid(line)?, literal(line)?.to_vec()))).collect()
    }
}

/// The length of the literal that a line announces at its end: `… {LENGTH}`.
fn literal_length(line: &[u8]) -> Option<usize> {
    let text = line.strip_suffix(b"}")?;
    let digits = &text[text.iter().rposition(|&c| c == b'{')? + 1..];
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The first literal of a response.
pub fn literal(response: &[u8]) -> Option<&[u8]> {
    let end = response.windows(3).position(|w| w == b"}\r\n")?;
    let length = literal_length(&response[..=end])?;
    response.get(end + 3..end + 3 + length)
}

/// The UID that a FETCH response names outside its literal.
fn uid(response: &[u8]) -> Option<u32> {
    let text = String::from_utf8_lossy(response);
    let digits = text.split_once("UID ")?.1;
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// RFC 4616 in RFC 4954's initial response.
pub fn auth_plain(user: &str, password: &str) -> String {
    format!("AUTH PLAIN {}", BASE64.encode(format!("\0{user}\0{password}").as_bytes()))
}

/// An SMTP client (RFC 5321).
pub struct Smtp(pub Connection);

impl Smtp {
    /// Takes the greeting and says EHLO.
    pub fn new(mut connection: Connection) -> Smtp {
        let greeting = connection.line();
        assert!(greeting.starts_with("220"), "{greeting}");
        let mut smtp = Smtp(connection);
        let reply = smtp.command("EHLO client.example");
        assert!(reply.starts_with("250"), "{reply}");
        smtp
    }
    pub fn login(connection: Connection, user: &str, password: &str) -> Smtp {
        let mut smtp = Smtp::new(connection);
        let reply = smtp.try_login(user, password);
        assert!(reply.starts_with("235"), "{reply}");
        smtp
    }
    /// Greeting and EHLO with an appliance that may be gone any moment.
    pub fn try_begin(mut connection: Connection) -> Option<Smtp> {
        connection.try_line()?;
        let mut smtp = Smtp(connection);
        smtp.try_command(b"EHLO client.example")?.starts_with("250").then_some(smtp)
    }
    pub fn try_login(&mut self, user: &str, password: &str) -> String {
        self.command(&auth_plain(user, password))
    }
    #[track_caller]
    pub fn command(&mut self, line: &str) -> String {
        self.try_command(line.as_bytes()).expect("a reply, but the connection is over")
    }
    /// The reply with all its lines; `None` when the connection is over.
    pub fn try_command(&mut self, line: &[u8]) -> Option<String> {
        self.0.try_send(&[line, b"\r\n"].concat()).ok()?;
        let mut reply = String::new();
        loop {
            let line = String::from_utf8_lossy(&self.0.try_line()?).into_owned();
            let last = line.as_bytes().get(3) != Some(&b'-');
            reply.push_str(&line);
            if last {
                return Some(reply);
            }
            reply.push('\n');
        }
    }
    /// Sends one message; the reply that ended it: the one to the final dot, or the first refusal.
    pub fn try_send(&mut self, from: &str, to: &[&str], message: &[u8]) -> Option<String> {
        let mut commands = vec![format!("MAIL FROM:<{from}>")];
        commands.extend(to.iter().map(|to| format!("RCPT TO:<{to}>")));
        for command in commands {
            let reply = self.try_command(command.as_bytes())?;
            if !reply.starts_with('2') {
                return Some(reply);
            }
        }
        let reply = self.try_command(b"DATA")?;
        if !reply.starts_with('3') {
            return Some(reply);
        }
        self.try_command(&[super::mail::dot_stuffed(message), b".".to_vec()].concat())
    }
    #[track_caller]
    pub fn send(&mut self, from: &str, to: &[&str], message: &[u8]) {
        let reply = self.try_send(from, to, message).expect("a reply to the message");
        assert!(reply.starts_with("250"), "{reply}");
    }
}
