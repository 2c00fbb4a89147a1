//! `status --json` is what `docs/status.schema.json` says, and so is `/status.json`, from a device that is new to one with a queue, a
//! source that fails and mail of somebody who is gone.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use support::mail::named;
use support::process::{Outcome, run_with_input};
use support::{Appliance, Connection, PATIENCE, Port, Smtp, wait_for};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/status.schema.json");

/// Validates standard input by the schema, which is one itself, knows no field without words, and refuses others than its own.
const VALIDATE: &str = "
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
def fields(part, name):
    assert part.get('description') or name.endswith('[]'), name
    if 'properties' in part:
        assert part['additionalProperties'] is False and sorted(part['required']) == sorted(part['properties']), name
    for key, inner in part.get('properties', {}).items():
        fields(inner, name + '.' + key)
    if 'items' in part:
        fields(part['items'], name + '[]')
fields(schema, 'status')
for line in sys.stdin:
    jsonschema.Draft202012Validator(schema).validate(json.loads(line))
    print('valid')
";

/// What `/status.json` says, without a login.
fn page(http: &Port) -> String {
    let mut stream = TcpStream::connect(http.address()).unwrap();
    stream.write_all(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, content) = reply.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("Content-Type: application/json"), "{head}");
    content.to_owned()
}

fn validated(lines: &[String]) -> Outcome {
    let text: String = lines.iter().map(|line| line.trim().to_owned() + "\n").collect();
    run_with_input(Command::new("/usr/bin/python3").args(["-c", VALIDATE, SCHEMA]), text.as_bytes(), PATIENCE)
}

/// Catches: a field that the schema does not know, or knows otherwise, in any state; one that nobody explains; and a page without a
/// login that names somebody.
#[test]
fn a_real_status_is_what_the_schema_says() {
    let [closed, http] = [(); 2].map(|()| Port::reserve());
    let server = "[server]\ndomains = [\"home.example\"]\n";
    let smarthost = format!(
        "[smarthost]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\nretry = [\"1s\", \"1h\"]\n",
        closed.number
    );
    let demo = "[[account]]\nname = \"demo\"\naddress = \"demo@home.example\"\npassword = \"long enough\"\n";
    let anna = "[[account]]\nname = \"anna\"\naddress = \"anna@home.example\"\npassword = \"long enough\"\n";
    let source = "multipop = true\n[[account.source]]\nhost = \"127.0.0.1\"\nport = 9\nsecurity = \"none\"\n\
        username = \"friend@provider.example\"\npassword = \"long enough\"\n";
    let mut appliance = Appliance::prepare();
    let listen = format!("http = [\"{}\"]", http.address());
    let text = |appliance: &Appliance, config: &str| appliance.text(config).replace("http = []", &listen);
    appliance.begin_in(server, &[], &[]);
    let import = |appliance: &Appliance, config: &str| {
        let file = appliance.scratch.write("other.toml", text(appliance, config));
        appliance.verb("import", &[file.to_str().unwrap()]).success();
    };
    let json = |appliance: &Appliance| appliance.verb("status", &["--json"]).success();

    // A device that nobody has set up.
    import(&appliance, server);
    let mut states = vec![json(&appliance), page(&http)];
    // One in use, with nothing to tell.
    import(&appliance, &format!("{server}{smarthost}{anna}{demo}"));
    let mut smtp = Smtp::login(Connection::open(appliance.ports.submission.address()), "anna", "long enough");
    smtp.send("anna@home.example", &["anna@home.example"], &named("m0", 500));
    states.extend([json(&appliance), page(&http)]);
    // A message waits, a source fails, and somebody has left her mail.
    import(&appliance, &format!("{server}{smarthost}{demo}{source}"));
    let mut smtp = Smtp::login(Connection::open(appliance.ports.submission.address()), "demo", "long enough");
    smtp.send("demo@home.example", &["friend@else.example"], &named("m1", 500));
    let full = wait_for("a failed try and a failed poll", || {
        let json = json(&appliance);
        (json.contains("\"failures\":1") && json.contains("\"attempts\":1")).then_some(json)
    });
    assert!(full.contains("\"unclaimed\":1") && full.contains("friend@else.example"), "{full}");
    let shown = page(&http);
    assert!(shown.contains("\"unclaimed\":1") && shown.contains("\"failures\":1"), "{shown}");
    for person in ["friend", "else.example", "provider", "demo", "anna"] {
        assert!(!shown.contains(person), "{person}: {shown}");
    }
    states.extend([full.clone(), shown]);
    // The same, held and stopped.
    appliance.console("queue hold all");
    appliance.console("collect stop demo");
    let held = json(&appliance);
    assert!(held.contains("\"held\":true"), "{held}");
    states.extend([held, page(&http)]);

    assert_eq!(validated(&states).success(), "valid\n".repeat(states.len()));
    // The schema refuses what is not so, or this test could not fail.
    for (is, is_not) in [
        ("\"failures\":1", "\"failures\":\"1\""),
        ("\"unclaimed\":1", "\"unclaimed\":-1"),
        ("\"unclaimed\":1", "\"unclaimed\":1,\"more\":1"),
        ("\"unclaimed\":1,", ""),
    ] {
        assert!(full.contains(is), "{is}: {full}");
        assert_ne!(validated(&[full.replace(is, is_not)]).code, Some(0), "{is_not}");
    }
}
