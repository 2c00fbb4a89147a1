//! `status --json` is what `docs/status.schema.json` says, with a queue and a source that fails, and so is `/status.json`.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::process::Command;

use support::mail::named;
use support::process::run_with_input;
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

/// Catches: a field that the schema does not know, or knows otherwise; one that nobody explains.
#[test]
fn a_real_status_is_what_the_schema_says() {
    let closed = Port::reserve();
    let config = format!(
        "[server]\ndomains = [\"home.example\"]\n[smarthost]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\n\
         retry = [\"1s\", \"1h\"]\n[[account]]\nname = \"demo\"\naddress = \"demo@home.example\"\npassword = \"long enough\"\n\
         multipop = true\n[[account.source]]\nhost = \"127.0.0.1\"\nport = 9\nsecurity = \"none\"\nusername = \"x\"\n\
         password = \"long enough\"\n",
        closed.address().port()
    );
    drop(closed);
    let appliance = Appliance::start(&config);
    let json = || appliance.verb("status", &["--json"]).success();
    let empty = json();
    let mut smtp = Smtp::login(Connection::open(appliance.ports.submission.address()), "demo", "long enough");
    smtp.send("demo@home.example", &["friend@else.example"], &named("m1", 500));
    let full = wait_for("a failed try and a failed poll", || {
        let json = json();
        (json.contains("\"failures\":1") && json.contains("\"attempts\":1")).then_some(json)
    });
    let said = run_with_input(
        Command::new("/usr/bin/python3").args(["-c", VALIDATE, SCHEMA]),
        format!("{}\n{}\n", empty.trim(), full.trim()).as_bytes(),
        PATIENCE,
    );
    assert_eq!(said.success(), "valid\nvalid\n");
    // The schema refuses what is not so, or this test could not fail.
    let wrong = full.replace("\"failures\":1", "\"failures\":\"1\"");
    let said = run_with_input(
        Command::new("/usr/bin/python3").args(["-c", VALIDATE, SCHEMA]),
        wrong.as_bytes(),
        PATIENCE,
    );
    assert_ne!(said.code, Some(0));
}
