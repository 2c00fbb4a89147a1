//! Each text announces with `#!` the problems of its lines. All of them have to be found at once, on their lines, and no
//! others.

use super::LEAST;
use crate::config::Config;
use crate::config::text::{MAX_TEXT, parse};

/// `LINE: text` of every problem that a `#!` in `text` announces.
fn announced(text: &str) -> Vec<String> {
    let on_line = |(i, line): (usize, &str)| {
        line.split("#! ").skip(1).map(move |p| format!("{}: {}", i + 1, p.trim())).collect::<Vec<_>>()
    };
    text.lines().enumerate().flat_map(on_line).collect()
}

fn found(text: &[u8]) -> Vec<String> {
    let problems = match parse(text, None) {
        Ok(parsed) => parsed.warnings,
        Err(problems) => problems,
    };
    problems.iter().map(|problem| problem.to_string().trim_start_matches("line ").to_owned()).collect()
}

#[track_caller]
pub fn finds_what_it_announces(text: &str) {
    let (mut found, mut announced) = (found(text.as_bytes()), announced(text));
    found.sort();
    announced.sort();
    assert_eq!(found, announced, "\n--- found\n{}\n--- in\n{text}", found.join("\n"));
}

#[test]
fn the_least_text_has_no_problem() {
    finds_what_it_announces(LEAST);
}

#[test]
fn values_of_the_wrong_kind() {
    finds_what_it_announces(
        r#"
[server]
hostname = "pillar box"          #! hostname: "pillar box" is not a host name such as "mail.home.example"
domains = ["home.example",
  "-x.example",                  #! domains: "-x.example" is not a domain such as "home.example" (an international one in its xn-- form)
]
lan = "10.0.0.0/8"               #! lan: "10.0.0.0/8" is not a list in brackets, each a network such as "192.168.0.0/16" or "fe80::/10", or one address
connector = "yes"                #! connector: "yes" is not true or false
max_connections = 0              #! max_connections: 0 is not a number from 1 to 10000
max_message_size = "50MB"        #! max_message_size: "50MB" is not a size such as "500KiB", "25MiB" or "1GiB", from 64KiB to 2GiB

[listen]
imap = ["localhost:143"]         #! imap: "localhost:143" is not an ADDRESS:PORT such as "127.0.0.1:1143" or "[::]:143"
pop3 = [110]                     #! pop3: 110 is not an ADDRESS:PORT such as "127.0.0.1:1143" or "[::]:143"

[tls]
plaintext_login = "sometimes"    #! plaintext_login: "sometimes" is not "never", "lan" or "always"

[smarthost]
port = 70000                     #! port: 70000 is not a port from 1 to 65535
security = true                  #! security: true is not "tls", "starttls" or "none"
password = 4711                  #! password: this is not a text in quotes without control characters
retry = []                       #! retry: a list of 0 does not fit: it takes 1 to 16 values
expire = "5 weeks"               #! expire: "5 weeks" is not a duration such as "90s", "10m", "1h" or "5d", from 1s to 30d

[multipop]
interval = 10                    #! interval: 10 is not a duration such as "90s", "10m", "1h" or "5d", from 1s to 30d
warn_after = 2.5                 #! warn_after: 2.5 is not a number from 1 to 1000

[[account]]
name = "Office"                  #! name: "Office" is not a name of a-z, 0-9, ".", "_" and "-" that does not begin with "."
address = "office"               #! address: "office" is not a mail address such as "office@home.example"
password = ""                    #! password: this is not a password in quotes, at most 512 octets without control characters
quota = 0                        #! quota: 0 is not "0" or a size such as "500KiB", "25MiB" or "1GiB", at most 16384GiB
smarthost_username = "a\r\nb"    #! smarthost_username: "a\r\nb" is not a login such as "office@provider.example", or ""
multipop = true

[[account.source]]
host = "pop provider"            #! host: "pop provider" is not a host name such as "mail.home.example" or an address such as "192.168.1.9"
username = ""                    #! username: "" is not a login such as "office@provider.example"
auth = "plain"                   #! auth: "plain" is not "auto", "SCRAM-SHA-256", "CRAM-MD5", "APOP", "PLAIN", "LOGIN", "USER" or "oauth2"
interval = "0s"                  #! interval: "0s" is not "", "push" or a duration such as "90s", "10m", "1h" or "5d", from 1s to 30d
oauth2 = { client_id = 5, token_url = "ftp://x" } #! client_id: 5 is not a client identifier without control characters, or "" #! token_url: "ftp://x" is not a URL such as "https://login.provider.example/token", or ""

[[account]]
name = "x"
address = "x@home.example"
verifier = "SCRAM-SHA-256$1:a"   #! verifier: not a verifier: it looks like SCRAM-SHA-256$4096:SALT$STOREDKEY:SERVERKEY, in base64
"#,
    );
}

#[test]
fn keys_that_do_not_exist() {
    finds_what_it_announces(
        r#"
colour = "blue"                  #! unknown section colour: there are [server], [listen], [network], [tls], [smarthost], [multipop] and [[account]]
[server]
hostnam = "mail.home.example"    #! unknown key hostnam: did you mean hostname?
domains = ["home.example"]
motd = "hello"                   #! unknown key motd: known here are hostname, domains, lan, shared_domains, postmaster, connector, max_connections, max_message_size, lan_smtp_relay, lan_smtp_sender, users_edit_sources, operator_password, operator_verifier
[smart_host]                     #! unknown section smart_host: did you mean [smarthost]?
port = 25
[[account]]
name = "office"
address = "office@home.example"
password = "long enough"
pop_only_lan = true              #! unknown key pop_only_lan: did you mean pop_lan_only?
sources = []                     #! unknown key sources: did you mean source?
[[account.sauce]]                #! unknown key sauce: did you mean source?
[[acount]]                       #! unknown section acount: did you mean [[account]]?
["\u001b[2Jx"]                   #! unknown section "\u001B[2Jx": there are [server], [listen], [network], [tls], [smarthost], [multipop] and [[account]]
[listen]
"a\rb" = 1                       #! unknown key "a\rb": known here are pop3, pop3s, imap, imaps, submission, submissions, lan_smtp, http, https
hostname = "mail.home.example"   #! unknown key hostname: it belongs into [server]
[smarthost]
port = "465"                     #! port: "465" is a text: write it without quotes
[multipop]
enabled = "true"                 #! enabled: "true" is a text: write it without quotes
"#,
    );
}

#[test]
fn a_password_comes_in_one_form() {
    let text = LEAST.replace("verifier", "password = \"long enough\"\nverifier");
    let both = "verifier and password are the same setting in two forms: keep one of them";
    assert_eq!(found(text.as_bytes()), [format!("{}: {both}", LEAST.lines().count() + 1)]);
}

#[test]
fn more_than_fits() {
    let account = |n: usize| format!("[[account]]\nname = \"u{n}\"\naddress = \"u{n}@home.example\"\n");
    let all: String = (0..=Config::MAX_ACCOUNTS).map(account).collect();
    let found_in = |text: String| found(text.as_bytes());
    let told = found_in(format!("[server]\ndomains = [\"home.example\"]\n{all}"));
    assert!(told.contains(&"1503: too many accounts: 500 fit".to_owned()), "{told:?}");
    let source = "multipop = true\n[[account.source]]\nhost = \"h\"\nusername = \"u\"\npassword = \"p\"\n";
    let further = |n: usize| source.replace("multipop = true\n", "").replace("\"u\"", &format!("\"u{n}\""));
    let sources = source.to_owned() + &(0..Config::MAX_SOURCES).map(further).collect::<String>();
    assert_eq!(found_in(format!("{LEAST}{sources}")), ["74: too many sources: 16 fit in an account"]);
}

#[test]
fn what_is_missing_is_told_on_the_line_of_its_section() {
    finds_what_it_announces(
        r#"#! server.domains: domains is missing: it is a list in brackets, each a domain such as "home.example" (an international one in its xn-- form)
[[account]] #! name is missing: it is a name of a-z, 0-9, ".", "_" and "-" that does not begin with "." #! address is missing: it is a mail address such as "office@home.example" #! password is missing: without one no one can log in
multipop = true
[[account.source]] #! host is missing: it is a host name such as "mail.home.example" or an address such as "192.168.1.9" #! username is missing: it is a login such as "office@provider.example" #! password is missing: only auth = "oauth2" does without
"#,
    );
    assert_eq!(
        found(b""),
        [
            r#"1: server.domains: domains is missing: it is a list in brackets, each a domain such as "home.example" (an international one in its xn-- form)"#,
            "1: warning: account: no account is configured: no one can log in",
        ]
    );
}

#[test]
fn sections_in_the_wrong_brackets() {
    let domains = "server.domains: domains is missing: it is a list in brackets, each a domain such as \"home.example\" (an international one in its xn-- form)";
    for (text, problem) in [
        ("[[server]]", format!("1: {domains}")),
        ("[[server]]", "1: server is a section: write [server] once, its settings below".to_owned()),
        ("tls = 3", "1: tls is a section: write [tls] once, its settings below".to_owned()),
        ("[account]\nname = \"x\"", "1: an account begins with [[account]], in double brackets".to_owned()),
        ("[account.office]", "1: an account begins with [[account]], in double brackets".to_owned()),
        (
            "[[account]]\n[account.source]",
            "2: a source begins with [[account.source]], in double brackets".to_owned(),
        ),
        (
            "[[account]]\n[[account.source]]\noauth2 = true",
            "3: oauth2 is a table: oauth2 = { provider = …, client_id = …, … }".to_owned(),
        ),
    ] {
        assert!(found(text.as_bytes()).contains(&problem), "{text}: {:?}", found(text.as_bytes()));
    }
}

#[test]
fn what_is_not_toml() {
    finds_what_it_announces(
        r#"
[server]
domains = ["home.example"]
hostname = mail.home.example     #! not valid TOML: string values must be quoted, expected literal string
connector = yes                  #! not valid TOML: string values must be quoted, expected literal string
max_connections = "many"         #! max_connections: "many" is not a number from 1 to 10000
lan = ["10.0.0.0/8"]
lan = ["10.0.0.0/8"]             #! lan stands here a second time: keep one of them
[tls]
key = "\q"                       #! not valid TOML: missing escaped value, expected `b`, `e`, `f`, `n`, `r`, `\`, `"`, `x`, `u`, `U`
[[account]]
name = "office"
address = "office@home.example"
password = "long enough"
"#,
    );
    // Where a bracket is missing, nothing after it can be judged.
    assert_eq!(found(b"[server\nhostname = 5\n"), ["1: not valid TOML: unclosed table, expected `]`"]);
}

#[test]
fn what_is_not_even_text() {
    let broken = [LEAST.as_bytes(), b"aliases = [\"\xff\"]\nquota = \"\xc3\"\nimap = 3\n"].concat();
    let line = LEAST.lines().count() + 1;
    assert_eq!(
        found(&broken),
        [
            format!("{line}: not UTF-8: save the file in the encoding UTF-8"),
            format!("{}: not UTF-8: save the file in the encoding UTF-8", line + 1),
            format!("{}: imap: 3 is not true or false", line + 2),
        ]
    );
    let giant = vec![b'\n'; MAX_TEXT + 1];
    assert_eq!(found(&giant), ["1: 1048577 octets are too many for a configuration: 1 MiB is the limit"]);
    assert!(parse(format!("\u{feff}{LEAST}").replace('\n', "\r\n").as_bytes(), None).is_ok());
    assert_eq!(found("x\n".repeat(100_000).as_bytes()).len(), 1001);
    assert!(!found(format!("a = {}", "[".repeat(100_000)).as_bytes()).is_empty());
}

#[test]
fn texts_that_are_too_long() {
    let long = |n| "a".repeat(n);
    for (key, value, octets) in [
        ("smarthost_username", long(255), 254),
        ("smarthost_password", long(513), 512),
        (
            "address",
            format!("{}@{}.example", long(60), [long(60), long(60), long(60), long(10)].join(".")),
            254,
        ),
    ] {
        let text =
            LEAST.replace("address = \"office@home.example\"\n", "") + &format!("{key} = \"{value}\"\n");
        let found = found(text.as_bytes());
        let end = format!("is too long: at most {octets} octets fit");
        assert!(found.iter().any(|p| p.contains(key) && p.ends_with(&end)), "{found:?}");
    }
}

/// Catches: a password that is easily guessed and accepted without a warning, or that is refused.
#[test]
fn short_passwords_are_taken_with_a_warning() {
    let warning = |key: &str| format!("warning: {key}: less than 8 characters are soon guessed");
    let account = |password: &str| {
        let text = LEAST.replace("[server]", &format!("[server]\noperator_password = \"{password}\""));
        let verifier = text.lines().find(|line| line.starts_with("verifier")).unwrap().to_owned();
        text.replace(&verifier, &format!("password = \"{password}\""))
    };
    for (password, short) in
        [("7 chars", true), ("8 chars!", false), ("sieben\u{e4}", true), ("achtach\u{e4}", false)]
    {
        let found = found(account(password).as_bytes());
        let expected = ["operator_password", "password"].map(warning);
        assert_eq!(found.len(), if short { 2 } else { 0 }, "{password}: {found:?}");
        assert!(found.iter().zip(&expected).all(|(line, text)| line.ends_with(text.as_str())), "{found:?}");
    }
}
