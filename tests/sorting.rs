//! SORT, THREAD and SEARCH answer as another server does: Dovecot, which has had them for many years, on the same messages.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use support::{Appliance, Connection, Dovecot, Imap};

const MESSAGES: u64 = 250;

/// Numbers that are the same each time (a linear congruential generator by Knuth).
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    fn address(&mut self) -> String {
        let (local, n) = (self.one(&["a", "b", "c", "X", "Y"]), self.below(5));
        let address = format!("{local}{n}@{}", self.one(&["h.test", "k.test"]));
        match self.one(&["Ann", "\"Bob, B\"", "=?utf-8?Q?Carl?=", "zed", ""]) {
            "" => address,
            name => format!("{name} <{address}>"),
        }
    }

    /// Mail of people who answer each other, some of whose messages are not here, in circles too.
    fn message(&mut self, n: u64) -> Vec<u8> {
        let mut text = String::new();
        if self.below(20) > 0 {
            let words = self.one(&[
                "lunch",
                "[list] budget",
                "report (fwd)",
                "a b  c",
                "",
                "alpha_1",
                "[x] [y] z",
                "fw",
            ]);
            let subject = format!("{words}{}", self.one(&["", "1", "2"]));
            let around =
                self.one(&["%", "%", "%", "Re: %", "RE[2]: %", "[list] Re: %", "[Fwd: %]", "Fw: Re: %"]);
            text.push_str(&format!("Subject: {}\r\n", around.replace('%', &subject)));
        }
        text.push_str(&format!("From: {}\r\n", self.address()));
        for (name, one_in) in [("To", 2), ("Cc", 3)] {
            if self.below(one_in) == 0 {
                text.push_str(&format!("{name}: {}, {}\r\n", self.address(), self.address()));
            }
        }
        let (day, hour, minute) = (1 + self.below(28), self.below(24), self.below(60));
        let zone = self.one(&["+0000", "-0500", "+0930"]);
        text.push_str(&format!("Date: {day} Jan 2020 {hour:02}:{minute:02}:00 {zone}\r\n"));
        let id = if self.below(30) > 0 { n } else { self.below(MESSAGES) };
        text.push_str(&format!("Message-ID: <{id}@x>\r\n"));
        match self.below(6) {
            0..3 => {
                let ids: String =
                    (0..=self.below(4)).map(|_| format!(" <{}@x>", self.below(MESSAGES * 5 / 4))).collect();
                text.push_str(&format!("References:{ids}\r\n"));
            }
            3 => text.push_str(&format!("In-Reply-To: <{}@x>\r\n", self.below(MESSAGES * 5 / 4))),
            _ => (),
        }
        text.push_str(&format!("\r\n{}\r\n", "x".repeat(usize::try_from(self.below(50)).unwrap())));
        text.into_bytes()
    }
}

/// Catches: an order or a thread that is this appliance's own idea.
#[test]
fn sorted_and_threaded_as_by_dovecot() {
    let mut chance = Chance(1);
    let messages: Vec<Vec<u8>> = (0..MESSAGES).map(|n| chance.message(n)).collect();
    let dovecot = Dovecot::start(&[("u0", "pass")]);
    dovecot.fill("u0", &messages);
    let appliance = Appliance::start(
        "[server]\ndomains = [\"home.example\"]\n\
         [[account]]\nname = \"u0\"\naddress = \"u0@home.example\"\npassword = \"pass\"\n",
    );
    let mut own = Imap::login(Connection::open(appliance.ports.imap.address()), "u0", "pass");
    messages.iter().for_each(|message| own.append("INBOX", message));
    let mut other =
        Imap::login(Connection::open_tls(dovecot.ports.imaps.address(), dovecot.ca()), "u0", "pass");
    for imap in [&mut own, &mut other] {
        imap.command("SELECT INBOX").ok();
    }
    for command in [
        "THREAD REFERENCES UTF-8 ALL",
        "THREAD REFERENCES UTF-8 10:120",
        "UID THREAD REFERENCES UTF-8 FROM ann",
        "THREAD ORDEREDSUBJECT UTF-8 ALL",
        "SORT (DATE) UTF-8 ALL",
        "SORT (SIZE) UTF-8 ALL",
        "SORT (SUBJECT) UTF-8 ALL",
        "SORT (FROM) UTF-8 ALL",
        "SORT (TO) UTF-8 ALL",
        "SORT (CC) UTF-8 ALL",
        "SORT (DISPLAYFROM) UTF-8 ALL",
        "SORT (DISPLAYTO) UTF-8 ALL",
        "SORT (REVERSE SUBJECT DATE) UTF-8 ALL",
        "UID SORT (FROM REVERSE SIZE) UTF-8 TO b1@",
        "SORT (REVERSE DATE REVERSE FROM CC) UTF-8 NOT CC zed",
        "SEARCH OR FROM bob SUBJECT re",
    ] {
        let [ours, theirs] = [&mut own, &mut other].map(|imap| imap.command(command).text());
        let response = |text: &str| {
            let is_one =
                |line: &&str| ["SORT ", "THREAD ", "SEARCH "].iter().any(|word| line.starts_with(word));
            let line = text.lines().find(is_one).unwrap_or_default().trim_end().to_owned();
            assert!(line.len() > 20, "{command}: {text}");
            line
        };
        assert_eq!(response(&ours), response(&theirs), "{command}");
    }
}
