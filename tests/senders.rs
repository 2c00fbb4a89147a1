//! Programs that send through the appliance: scripts, applications, and other mail servers of the house. What each of them does
//! in its own way arrives as it was meant.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::path::Path;
use std::process::Command;

use support::smarthost::Letter;
use support::{Appliance, Connection, Imap, PATIENCE, Satellite, Scratch, Smarthost, Smtp, run, wait_for};

/// What a smarthost of today offers.
const OFFERS: &[&str] = &["8BITMIME", "SIZE 0", "SMTPUTF8", "DSN"];

/// An appliance of this house, and where its mail leaves.
struct House {
    // Fields are dropped in this order.
    appliance: Appliance,
    smarthost: Smarthost,
}

impl House {
    fn open() -> House {
        let smarthost = Smarthost::offering(OFFERS);
        let appliance = Appliance::start(&format!(
            "[server]\ndomains = [\"home.example\"]\n[smarthost]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\n\
             [[account]]\nname = \"anna\"\naddress = \"anna@home.example\"\npassword = \"anna's own\"\n\
             [[account]]\nname = \"ben\"\naddress = \"ben@home.example\"\npassword = \"ben's own\"\n",
            smarthost.address().port(),
        ));
        House { appliance, smarthost }
    }

    /// So many letters that left, when there are; by subject.
    fn letters(&self, count: usize) -> Vec<Letter> {
        let mut letters = wait_for("the letters", || {
            Some(self.smarthost.letters()).filter(|letters| letters.len() >= count)
        });
        assert_eq!(letters.len(), count, "{letters:?}");
        letters.sort_by(|a, b| a.subject.cmp(&b.subject));
        letters
    }

    fn inbox(&self, account: &str, count: usize) -> Vec<String> {
        wait_for("mail in the house", || {
            let connection = Connection::open_tls(self.appliance.ports.imaps.address(), &self.appliance.ca());
            let mut imap = Imap::login(connection, account, &format!("{account}'s own"));
            let messages: Vec<_> = imap.fetch_all("INBOX").into_values().collect();
            (messages.len() >= count)
                .then(|| messages.into_iter().map(|message| String::from_utf8(message).unwrap()).collect())
        })
    }

    fn logins(&self) -> usize {
        self.appliance.log.lines().iter().filter(|line| line.contains("login: service=submission")).count()
    }

    fn submission(&self) -> String {
        self.appliance.ports.submission.number.to_string()
    }

    fn submissions(&self) -> String {
        self.appliance.ports.submissions.number.to_string()
    }
}

/// Header and text of what left.
fn parts(letter: &Letter) -> (String, String) {
    let content = String::from_utf8_lossy(&letter.content).into_owned();
    let (header, text) = content.split_once("\r\n\r\n").unwrap();
    (format!("\r\n{header}\r\n"), text.to_owned())
}

/// Catches: a Bcc that the others see, a mechanism that is offered and does not work, one that is not offered and is waited for.
#[test]
fn swaks_sends_by_every_way_there_is() {
    let house = House::open();
    let swaks = |name: &str, port: &str, more: &[&str]| {
        let mut swaks = Command::new("swaks");
        swaks.args(["--server", "localhost", "--port", port, "--from", "anna@home.example"]);
        swaks.args(["--header", &format!("Subject: {name}"), "--helo", "client.example"]);
        swaks.args([
            "--header",
            "Bcc: secret@outside.example",
            "--header",
            "To: friend@outside.example",
            "--body",
            ".\n..dots\n.\nend\n",
        ]);
        run(swaks.args(more), PATIENCE)
    };
    let ca = house.appliance.ca().display().to_string();
    let verified =
        ["--tls-verify", "--tls-ca-path", &ca, "--auth-user", "anna", "--auth-password", "anna's own"];
    let to = ["--to", "friend@outside.example,secret@outside.example"];
    for (name, port, how) in [
        ("by login", house.submissions(), ["--tls-on-connect", "--auth", "LOGIN"].as_slice()),
        ("by plain", house.submission(), &["--tls", "--auth", "PLAIN"]),
        ("in groups", house.submission(), &["--tls", "--auth", "PLAIN", "--pipeline"]),
    ] {
        swaks(name, &port, &[how, &verified, &to].concat()).success();
    }
    let refused = swaks(
        "cram",
        &house.submissions(),
        &[&["--tls-on-connect", "--auth", "CRAM-MD5"], &verified[..], &to].concat(),
    );
    assert!(
        refused.code != Some(0) && refused.stderr.contains("Auth not attempted"),
        "{}{}",
        refused.text(),
        refused.stderr
    );
    // A device: no login, no TLS.
    let lan = house.appliance.ports.lan_smtp.number.to_string();
    swaks("of a device", &lan, &["--to", "ben@home.example"]).success();
    let outside = swaks("of a device", &lan, &to);
    assert!(outside.code != Some(0) && house.smarthost.letters().len() <= 3, "{outside:?}");

    for letter in house.letters(3) {
        let (header, text) = parts(&letter);
        assert_eq!(letter.to, ["friend@outside.example", "secret@outside.example"]);
        assert!(!header.contains("Bcc") && !header.contains("secret"), "{header}");
        assert!(text.starts_with(".\r\n..dots\r\n.\r\nend\r\n"), "{text}");
    }
    let [message] = &house.inbox("ben", 1)[..] else { panic!("one message") };
    assert!(message.contains("\r\nSubject: of a device\r\n") && !message.contains("Bcc"), "{message}");
}

/// Catches: STARTTLS and implicit TLS with a program that has its own ideas of both; an attachment or an umlaut that is changed.
#[test]
fn s_nail_sends_an_attachment() {
    let house = House::open();
    let scratch = Scratch::new("s-nail");
    let attachment = scratch.write("data.bin", (0..=255).collect::<Vec<u8>>());
    for (name, scheme, port) in
        [("Größe A", "smtp", house.submission()), ("Größe B", "smtps", house.submissions())]
    {
        let text = format!("{name}\n.\nvon Jürgen\n");
        let set = [
            "v15-compat=yes".to_owned(),
            format!("mta={scheme}://anna:anna%27s%20own@localhost:{port}"),
            "smtp-config=-all,ehlo,starttls,plain".to_owned(),
            format!("tls-ca-file={}", house.appliance.ca().display()),
            "tls-ca-no-defaults".to_owned(),
            "tls-verify=strict".to_owned(),
            "from=Anna Öst <anna@home.example>".to_owned(),
            "ttycharset=utf-8".to_owned(),
            "sendcharsets=utf-8".to_owned(),
            "sendwait".to_owned(),
        ];
        let mut s_nail = Command::new("s-nail");
        s_nail.env("HOME", scratch.path()).env("LC_ALL", "C.UTF-8").arg("-:/");
        s_nail.args(set.iter().flat_map(|set| ["-S", set]));
        s_nail.args(["-s", name, "-b", "secret@outside.example", "-a"]).arg(&attachment);
        s_nail.arg("friend@outside.example");
        support::process::run_with_input(&mut s_nail, text.as_bytes(), PATIENCE).success();
    }
    for (letter, which) in house.letters(2).iter().zip(["A", "B"]) {
        let (header, text) = parts(letter);
        assert_eq!(letter.to.len(), 2, "{letter:?}");
        assert!(!header.contains("secret"), "{header}");
        let message = mail_parser::MessageParser::default().parse(&letter.content).unwrap();
        assert_eq!(message.subject(), Some(format!("Größe {which}").as_str()), "{header}");
        let author = message.from().unwrap().first().unwrap();
        assert_eq!((author.name(), author.address()), (Some("Anna Öst"), Some("anna@home.example")));
        assert_eq!(
            message.body_text(0).unwrap().replace('\r', ""),
            format!("Größe {which}\n.\nvon Jürgen\n"),
            "{text}"
        );
        let data = message.attachment(0).unwrap().contents();
        assert!(data.iter().copied().eq(0..=255), "{data:?}");
    }
}

/// Catches: several messages over one connection that are mixed up, threads that are torn because a Message-ID is changed, and names
/// beyond ASCII that are.
#[test]
fn git_sends_a_thread_of_patches() {
    let house = House::open();
    let scratch = Scratch::new("git");
    let git = |args: &[&str]| {
        let mut git = Command::new("/usr/bin/git");
        git.arg("-C").arg(scratch.path()).envs([
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_AUTHOR_NAME", "Jürgen Größer"),
            ("GIT_AUTHOR_EMAIL", "juergen@outside.example"),
            ("GIT_COMMITTER_NAME", "Anna"),
            ("GIT_COMMITTER_EMAIL", "anna@home.example"),
            ("LC_ALL", "C.UTF-8"),
        ]);
        run(git.env("HOME", scratch.path()).args(args), PATIENCE).success()
    };
    git(&["init", "-q", "."]);
    for n in 0..4 {
        scratch.write("file", format!("{n}\n.\n..\nFrom here\nÄ\n"));
        git(&["add", "."]);
        git(&["commit", "-q", "-m", &format!("Die Änderung {n}\n\nWarum: darum.")]);
    }
    let patches = git(&["format-patch", "-3", "--cover-letter", "--thread", "-o", "out"]);
    let patches: Vec<&str> = patches.lines().collect();
    assert_eq!(patches.len(), 4);
    let cover = std::fs::read_to_string(scratch.join(patches[0])).unwrap();
    std::fs::write(scratch.join(patches[0]), cover.replace("*** SUBJECT HERE ***", "Vier Änderungen"))
        .unwrap();
    let (port, ca) = (house.submissions(), house.appliance.ca().display().to_string());
    let send = [
        "send-email",
        "--quiet",
        "--confirm=never",
        "--no-validate",
        "--force",
        "--smtp-encryption=ssl",
        "--smtp-server=localhost",
        "--smtp-server-port",
        &port,
        "--smtp-ssl-cert-path",
        &ca,
        "--smtp-user=anna",
        "--smtp-pass=anna's own",
        "--from=Anna Öst <anna@home.example>",
        "--to=list@outside.example",
        "--suppress-cc=self",
        "--cc=Jörg <joerg@outside.example>",
        "--8bit-encoding=UTF-8",
    ];
    git(&[&send, &patches[..]].concat());

    let letters = house.letters(4);
    assert_eq!(house.logins(), 1, "{:?}", house.appliance.log.lines());
    let parsed: Vec<_> = letters
        .iter()
        .map(|letter| mail_parser::MessageParser::default().parse(&letter.content).unwrap())
        .collect();
    let subjects: Vec<_> = parsed.iter().map(|message| message.subject().unwrap()).collect();
    assert_eq!(
        subjects,
        [
            "[PATCH 0/3] Vier Änderungen",
            "[PATCH 1/3] Die Änderung 1",
            "[PATCH 2/3] Die Änderung 2",
            "[PATCH 3/3] Die Änderung 3"
        ]
    );
    for (n, message) in parsed.iter().enumerate() {
        let author = message.from().unwrap().first().unwrap();
        assert_eq!((author.name(), author.address()), (Some("Anna Öst"), Some("anna@home.example")));
        let written = std::fs::read_to_string(scratch.join(patches[n])).unwrap();
        let id = written
            .lines()
            .find_map(|line| line.strip_prefix("Message-ID: ").or(line.strip_prefix("Message-Id: ")));
        assert_eq!(message.message_id().map(|id| format!("<{id}>")).as_deref(), id);
        if n > 0 {
            assert_eq!(message.in_reply_to().as_text(), parsed[0].message_id());
            // The patch is what git made, with the author in front, who is not the sender.
            let body = message.body_text(0).unwrap().replace('\r', "");
            let made = written.split_once("\n\n").unwrap().1;
            assert_eq!(body, format!("From: Jürgen Größer <juergen@outside.example>\n\n{made}"));
        }
        assert_eq!(letters[n].to.len(), if n == 0 { 2 } else { 3 }, "{:?}", letters[n].rcpt);
    }
}

/// Catches: a pool of connections that is closed too early, options that are lost on the way, and addresses that are.
#[test]
fn nodemailer_sends_over_a_pool_of_connections() {
    let house = House::open();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/nodemailer_session.js");
    run(Command::new("node").arg(script).arg(house.submission()).arg(house.appliance.ca()), PATIENCE)
        .success();
    let letters = house.letters(12);
    assert!((2..=4).contains(&house.logins()), "{}", house.logins());
    let (utf8, letters) = letters.split_first().unwrap();
    assert_eq!(utf8.to, ["jürgen@xn--bcher-kva.example"], "{:?}", utf8.rcpt);
    assert!(utf8.mail.contains(" SMTPUTF8"), "{}", utf8.mail);
    for (n, letter) in letters[..10].iter().enumerate() {
        assert_eq!(letter.subject, format!("pooled {n}"));
        assert_eq!(parts(letter).1, format!(".{n}\r\n..\r\n.\r\n").repeat(50));
    }
    let reports = &letters[10];
    assert!(reports.mail.contains(" RET=HDRS ENVID=a+2Bb+201"), "{}", reports.mail);
    for rcpt in &reports.rcpt {
        assert!(rcpt.contains(" NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;anna@home.example"), "{rcpt}");
    }
    assert_eq!(reports.to, ["friend@outside.example", "secret@outside.example"]);
    assert!(!parts(reports).0.contains("secret"));
    let message = mail_parser::MessageParser::default().parse(&reports.content).unwrap();
    assert_eq!(message.attachment(0).unwrap().contents(), [0, 255, 10, 13, 46, 13, 10]);
    assert_eq!(message.body_html(0).unwrap(), "<p>Größe</p>");
}

/// Catches: a recipient that is refused and takes the others with it, and a file that is sent otherwise than it is.
#[test]
fn curl_sends_a_file() {
    let house = House::open();
    let scratch = Scratch::new("curl");
    let text = format!("..\r\n{}.\r\nJürgen\r\n", "0123456789".repeat(99) + "\r\n");
    let file = scratch.write("mail", format!("From: anna@home.example\r\nSubject: a file\r\n\r\n{text}"));
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--user", "anna:anna's own", "--mail-from", "anna@home.example"]);
    curl.args([
        "--mail-rcpt-allowfails",
        "--mail-rcpt",
        "nobody@home.example",
        "--mail-rcpt",
        "friend@outside.example",
    ]);
    curl.arg("--cacert").arg(house.appliance.ca()).arg("--upload-file").arg(file);
    run(curl.arg(format!("smtps://localhost:{}/client.example", house.submissions())), PATIENCE).success();
    let [letter] = &house.letters(1)[..] else { panic!("one letter") };
    assert_eq!((letter.to.concat().as_str(), parts(letter).1), ("friend@outside.example", text));
}

/// Catches: a mail server of the house whose reports are refused, so that nobody hears what became of its mail; a trace that is
/// cut; and a login that it cannot make.
#[test]
fn a_postfix_satellite_reports_what_it_could_not_deliver() {
    let house = House::open();
    let satellite = Satellite::start(&house.appliance, "anna", "anna's own");
    let post = |from: &str, to: &str, message: &str| {
        Smtp::new(Connection::open(satellite.smtp.address())).send(from, &[to], message.as_bytes());
    };
    let trace: String = (1..=3)
        .map(|n| format!("Received: from host{n}.example (host{n}.example [192.0.2.{n}])\r\n\tby host{}.example with ESMTP id {n};\r\n\tMon, 2 Feb 2026 10:00:0{n} +0000\r\n", n + 1))
        .collect();
    let head =
        "From: anna@home.example\r\nTo: friend@outside.example\r\nMessage-ID: <1@nas.home.example>\r\n";
    post(
        "anna@home.example",
        "friend@outside.example",
        &format!("{trace}{head}Subject: 1 traced\r\n\r\n.\r\n..\r\n"),
    );
    // What another server of the house has to report, to somebody outside.
    let report =
        "From: MAILER-DAEMON@nas.home.example (Mail Delivery System)\r\nAuto-Submitted: auto-replied\r\n";
    post("", "friend@outside.example", &format!("{report}Subject: 2 report\r\n\r\nnot delivered\r\n"));
    let letters = house.letters(2);
    let (header, text) = parts(&letters[0]);
    assert!(header.contains(&trace) && header.contains(head), "{header}");
    assert_eq!(header.matches("\r\nReceived: ").count(), 5, "{header}");
    assert_eq!(
        (letters[0].mail.split(' ').next(), text.as_str()),
        (Some("FROM:<anna@home.example>"), ".\r\n..\r\n")
    );
    let (header, text) = parts(&letters[1]);
    assert!(header.contains(report), "{header}");
    assert_eq!((letters[1].mail.split(' ').next(), text.as_str()), (Some("FROM:<>"), "not delivered\r\n"));

    // What the machine itself writes has the address that the operator gave it.
    let own = "From: root@nas.home.example (Cron)\r\nSubject: 3 cron\r\n\r\ndone\r\n";
    post("root@nas.home.example", "friend@outside.example", own);
    let letter = &house.letters(3)[2];
    assert!(parts(letter).0.contains("\r\nFrom: anna+nas@home.example (Cron)\r\n"), "{letter:?}");

    // The appliance refuses the recipient: the satellite's own report reaches the sender.
    post("anna@home.example", "nobody@home.example", &format!("{head}Subject: to nobody\r\n\r\nx\r\n"));
    let [told] = &house.inbox("anna", 1)[..] else { panic!("one report") };
    for line in [
        "\r\nFrom: Mail Delivery System <MAILER-DAEMON@nas.home.example>\r\n",
        "\r\nFinal-Recipient: rfc822; nobody@home.example\r\n",
        "\r\nAction: failed\r\n",
        "\r\nSubject: to nobody\r\n",
    ] {
        assert!(told.contains(line), "{line:?} is not in {told}");
    }
    assert!(told.starts_with("Return-Path: <>\r\n"), "{told}");
}
