//! `commit confirmed` with the real binary: what nobody confirms is taken back, by time and by a restart.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use support::{Appliance, wait_for};

const CONFIG: &str = "[server]\ndomains = [\"home.example\"]\n[[account]]\nname = \"demo\"\naddress = \"demo@home.example\"\n\
                      password = \"pass\"\n";
const SETTING: &str = "server.max_connections";

/// Catches settings on trial that are stored, that stay, or that nobody can confirm but who made them.
#[test]
fn what_nobody_confirms_is_taken_back() {
    let mut appliance = Appliance::start(CONFIG);
    let in_force = |appliance: &Appliance| {
        let shown = appliance.console(&format!("show config {SETTING}"));
        shown.trim().rsplit(' ').next().unwrap().to_owned()
    };
    let try_out = |appliance: &Appliance, value: u32, time: &str| {
        let set = format!("set {SETTING} {value}");
        appliance.verb("console", &["-c", &set, "-c", &format!("commit confirmed {time}")]).success()
    };
    let before = in_force(&appliance);

    let said = try_out(&appliance, 71, "10s");
    assert!(said.contains("in force") && said.contains("`confirm`"), "{said}");
    assert_eq!(in_force(&appliance), "71");
    assert!(appliance.console("show status").contains("on trial"));
    wait_for("the settings before", || (in_force(&appliance) == before).then_some(()));
    let late = appliance.verb("console", &["-c", "confirm"]);
    assert!(late.code == Some(1) && late.stderr.contains("nothing is on trial"), "{late:?}");

    // The power goes within the time.
    try_out(&appliance, 72, "1h");
    appliance.kill();
    appliance.restart_with(&[]);
    assert_eq!(in_force(&appliance), before);

    // Confirmed by somebody else: it outlasts both.
    try_out(&appliance, 73, "1h");
    assert!(appliance.console("confirm").contains("it is stored"));
    appliance.kill();
    appliance.restart_with(&[]);
    assert_eq!(in_force(&appliance), "73");
    appliance.stop();
}
