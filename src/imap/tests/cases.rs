//! The responses for odd messages (`tests/data/cases`): envelope, structure, the octets of every part, and what
//! searches find. All of them are in `tests/data/golden/cases.txt`, which was read message by message.

use super::*;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cases");
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/golden/cases.txt");
/// Strings up to so many octets are shown whole; of longer ones the beginning and the checksum are shown.
const SHOWN: usize = 400;

/// The searches that are made.
const SEARCHES: [(&str, &str); 49] = [
    ("BODY", "grüße"),
    ("BODY", "Проверка"),
    ("BODY", "中文测试"),
    ("BODY", "中文測試"),
    ("BODY", "日本語テキスト"),
    ("BODY", "한국어 문장"),
    ("BODY", "ทดสอบ"),
    ("BODY", "Δοκιμή"),
    ("BODY", "בדיקה"),
    ("BODY", "findjson"),
    ("BODY", "strasse"),
    ("BODY", "straße"),
    ("BODY", "foobar"),
    ("BODY", "foo bar"),
    ("BODY", "one two three"),
    ("BODY", "ur über x"),
    ("BODY", "lost@b.test"),
    ("BODY", "inner"),
    ("BODY", "in@b.test"),
    ("BODY", "hiddenbody"),
    ("BODY", "hiddensubj"),
    ("BODY", "SUMMARY:grüße"),
    ("BODY", "grüße.pdf"),
    ("BODY", "needleword"),
    ("TEXT", "grüße"),
    ("TEXT", "hiddensubj"),
    ("SUBJECT", "grüße"),
    ("SUBJECT", "grüße aus wien"),
    ("SUBJECT", "Проверка"),
    ("SUBJECT", "中文测试"),
    ("SUBJECT", "中文測試"),
    ("SUBJECT", "日本語テキスト"),
    ("SUBJECT", "한국어 문장"),
    ("SUBJECT", "ทดสอบ"),
    ("SUBJECT", "żółć"),
    ("SUBJECT", "ığdır"),
    ("SUBJECT", "اختبار"),
    ("SUBJECT", "בדיקה"),
    ("SUBJECT", "café"),
    ("SUBJECT", "one two three four"),
    ("SUBJECT", "aaa bbb"),
    ("HEADER X-B", "aaa bbb"),
    ("HEADER X-Long", "aaa bbb"),
    ("FROM", "grüße"),
    ("FROM", "Ann Example"),
    ("FROM", "ann@home.test"),
    ("FROM", "andré"),
    ("TO", "jörg"),
    ("CC", "lf@home.test"),
];

/// Catches: a part that includes the line end before its boundary, a charset's name that is not known, and anything
/// else that changes a response for one of these messages; APPEND and delivery that keep different octets.
#[test]
fn odd_messages_are_told_as_ever() {
    story(|world| async move {
        let mut files: Vec<_> = std::fs::read_dir(FOLDER).unwrap().map(|file| file.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "eml"));
        files.sort();
        let names: Vec<String> =
            files.iter().map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        let messages: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
        deliver(&world, &messages).await;
        let mut client = world.login().await;
        client.play("C: c CREATE appended\nS: c OK *").await;
        for message in &messages {
            let mut command = format!("a APPEND appended {{{}+}}\r\n", message.len()).into_bytes();
            command.extend_from_slice(message);
            command.extend_from_slice(b"\r\n");
            assert!(client.ask(&command).await.starts_with(b"a OK"));
        }
        let delivered = told(&mut client, "INBOX", &names).await;
        let appended = told(&mut client, "appended", &names).await;
        assert!(delivered == appended, "APPEND and delivery differ");
        if std::env::var_os("PILLARBOX_BLESS").is_some() {
            std::fs::write(GOLDEN, &delivered).unwrap();
        }
        let golden = std::fs::read_to_string(GOLDEN).unwrap();
        let differences: Vec<String> = golden
            .lines()
            .zip(delivered.lines())
            .filter(|(golden, told)| golden != told)
            .map(|(golden, told)| format!("-{golden}\n+{told}"))
            .collect();
        assert!(differences.is_empty(), "{}", differences.join("\n"));
        assert_eq!(golden, delivered);
    });
}

async fn deliver(world: &World, messages: &[Vec<u8>]) {
    let fred = world.fred().await;
    let mut transaction = fred.begin();
    for octets in messages {
        let mut message = fred.incoming();
        message.write(octets).unwrap();
        transaction.deliver(store::INBOX, message, Flags::NONE, &[], 0);
    }
    transaction.commit().await.unwrap();
}

/// The responses for the messages of a mailbox. `names` are the names of the messages.
async fn told(client: &mut Client, mailbox: &str, names: &[String]) -> String {
    client.ask(format!("a SELECT {mailbox}\r\n").as_bytes()).await;
    let mut told = String::new();
    for (at, name) in names.iter().enumerate() {
        told.push_str(&format!("## {name}\n"));
        client.item(at, "ENVELOPE", &mut told).await;
        let structure = client.item(at, "BODYSTRUCTURE", &mut told).await;
        client.item(at, "BODY.PEEK[TEXT]", &mut told).await;
        let mut parts = Vec::new();
        let mut rest = structure.as_str();
        Node::read(&mut rest).parts("", &mut parts);
        for (part, has_message) in parts {
            client.item(at, &format!("BODY.PEEK[{part}.MIME]"), &mut told).await;
            client.item(at, &format!("BODY.PEEK[{part}]"), &mut told).await;
            client.item(at, &format!("BINARY.PEEK[{part}]"), &mut told).await;
            if has_message {
                client.item(at, &format!("BODY.PEEK[{part}.HEADER]"), &mut told).await;
                client.item(at, &format!("BODY.PEEK[{part}.TEXT]"), &mut told).await;
            }
        }
        told.push('\n');
    }
    for (key, text) in SEARCHES {
        let answer = client
            .ask(format!("a SEARCH CHARSET UTF-8 {key} {{{}+}}\r\n{text}\r\n", text.len()).as_bytes())
            .await;
        let answer = String::from_utf8(answer).unwrap();
        let found = answer.lines().next().unwrap().strip_prefix("* SEARCH").unwrap();
        told.push_str(&format!("{key} {text:?}\n"));
        for number in found.split_whitespace() {
            told.push_str(&format!("    {}\n", names[number.parse::<usize>().unwrap() - 1]));
        }
    }
    told
}

impl Client {
    /// Sends a command, and returns the response as it came.
    async fn ask(&mut self, command: &[u8]) -> Vec<u8> {
        self.stream.queue(command);
        deadline(PATIENCE, self.stream.flush()).await.unwrap();
        let (mut answer, mut line) = (Vec::new(), 0);
        loop {
            while let Some(length) = answer[line..].iter().position(|&octet| octet == b'\n') {
                let (start, end) = (line, line + length + 1);
                let text: &[u8] = &answer[start..end];
                let literal = literal(text).unwrap_or(0);
                if answer.len() < end + literal {
                    break;
                }
                if text.starts_with(b"a ") {
                    return answer;
                }
                line = end + literal;
            }
            let more = deadline(PATIENCE, self.stream.fill()).await.unwrap().to_vec();
            assert!(!more.is_empty(), "closed after {}", answer.escape_ascii());
            self.stream.consume(more.len());
            answer.extend_from_slice(&more);
        }
    }

    /// Appends one item of a message to `told`, and returns its value.
    async fn item(&mut self, at: usize, item: &str, told: &mut String) -> String {
        let answer = self.ask(format!("a FETCH {} {item}\r\n", at + 1).as_bytes()).await;
        let answer = shown(&answer);
        let value = answer
            .split_once(" FETCH (")
            .and_then(|(_, rest)| rest.split_once(' '))
            .and_then(|(_, rest)| rest.split_once(")\\r\\na "))
            .map_or(answer.as_str(), |(value, _)| value);
        told.push_str(&format!("{} {value}\n", item.replace(".PEEK", "")));
        value.to_owned()
    }
}

/// The octets of the literal that a line announces at its end; `None` when it announces none.
fn literal(line: &[u8]) -> Option<usize> {
    let line =
        std::str::from_utf8(line.strip_suffix(b"}\r\n")?.rsplit(|&octet| octet == b'{').next()?).ok()?;
    line.parse().ok()
}

/// A response on one line, with literals in quotes after their length.
fn shown(answer: &[u8]) -> String {
    let (mut rest, mut shown) = (answer, String::new());
    while let Some(length) = rest.iter().position(|&octet| octet == b'\n') {
        let (line, behind) = rest.split_at(length + 1);
        rest = behind;
        let Some(length) = literal(line) else {
            shown.push_str(&String::from_utf8_lossy(line).replace("\r\n", "\\r\\n"));
            continue;
        };
        let (octets, behind) = rest.split_at(length);
        rest = behind;
        shown.push_str(&String::from_utf8_lossy(&line[..line.len() - 2]));
        if octets.len() > SHOWN {
            let checksum = crc32c::crc32c(octets);
            shown.push_str(&format!("\"{}…\" CRC32C {checksum:08x}", octets[..40].escape_ascii()));
        } else {
            shown.push_str(&format!("\"{}\"", octets.escape_ascii()));
        }
    }
    shown
}

/// A value in parentheses, parsed as far as is needed to find the parts of a message.
enum Node {
    List(Vec<Node>),
    Text(String),
}

impl Node {
    fn read(rest: &mut &str) -> Node {
        *rest = rest.trim_start_matches(' ');
        if let Some(inside) = rest.strip_prefix('(') {
            *rest = inside;
            let mut list = Vec::new();
            while !rest.starts_with(')') {
                assert!(!rest.is_empty(), "a list without an end");
                list.push(Node::read(rest));
            }
            *rest = &rest[1..];
            return Node::List(list);
        }
        let (mut quoted, mut escaped) = (false, false);
        let end = rest.find(|c| {
            let ends = !quoted && matches!(c, ' ' | '(' | ')');
            quoted ^= c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let (text, behind) = rest.split_at(end.unwrap_or(rest.len()));
        *rest = behind;
        Node::Text(text.trim_matches('"').to_ascii_lowercase())
    }

    /// Adds the parts of a message with this structure to `parts`, each with whether it contains a message.
    fn parts(&self, above: &str, parts: &mut Vec<(String, bool)>) {
        let Node::List(list) = self else { return };
        let number = |n: usize| if above.is_empty() { n.to_string() } else { format!("{above}.{n}") };
        if let Some(Node::List(_)) = list.first() {
            let children = list.iter().take_while(|node| matches!(node, Node::List(_)));
            for (at, child) in children.enumerate() {
                match child.is_multipart() {
                    true => {
                        parts.push((number(at + 1), false));
                        child.parts(&number(at + 1), parts);
                    }
                    false => child.single(number(at + 1), parts),
                }
            }
        } else {
            self.single(number(1), parts);
        }
    }

    fn is_multipart(&self) -> bool {
        matches!(self, Node::List(list) if matches!(list.first(), Some(Node::List(_))))
    }

    fn single(&self, number: String, parts: &mut Vec<(String, bool)>) {
        let Node::List(list) = self else { return };
        let message = match (list.first(), list.get(8)) {
            (Some(Node::Text(text)), Some(message @ Node::List(_))) if text == "message" => Some(message),
            _ => None,
        };
        parts.push((number.clone(), message.is_some()));
        if let Some(message) = message {
            message.parts(&number, parts);
        }
    }
}
