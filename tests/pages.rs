//! The pages in a real browser: Chromium, driven by `tests/browser/drive.mjs`, which says what is tried. What it saw is left in
//! `target/pages`.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::{Appliance, Port, allowed_to_skip, process};

/// Catches: whatever in the pages does not work for who has a browser and no manual: the first start, a switch without effect, a
/// mistake that is not told, a page that is too wide for a phone, that a screen reader cannot read, or that needs a script.
#[test]
fn a_home_is_set_up_in_a_browser() {
    if !Path::new("/usr/bin/chromium").exists() {
        assert!(allowed_to_skip("chromium"), "tests/install-peers.sh installs Chromium");
        return;
    }
    const CONFIG: &str = "[server]\nhostname = \"pillarbox.local\"\ndomains = [\"pillarbox.local\"]\n";
    let appliance = Appliance::start(CONFIG);
    let [http, https, imap, pop3] = [(); 4].map(|()| Port::reserve());
    let listen = [("http", &http), ("https", &https), ("imap", &imap), ("pop3", &pop3)];
    let lines: Vec<String> =
        listen.iter().map(|(name, port)| format!("{name} = [\"{}\"]", port.address())).collect();
    let text = format!(
        "{CONFIG}[listen]\npop3s = []\nimaps = []\nsubmission = []\nsubmissions = []\n{}\n",
        lines.join("\n")
    );
    let file = appliance.scratch.write("pages.toml", text);
    appliance.verb("import", &[file.to_str().unwrap()]).success();
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shots = crate_folder.join("target/pages");
    let mut node = Command::new("node");
    node.arg("drive.mjs").current_dir(crate_folder.join("tests/browser"));
    node.args([
        format!("http://localhost:{}", http.address().port()),
        format!("https://localhost:{}", https.address().port()),
        imap.address().port().to_string(),
        pop3.address().port().to_string(),
        shots.display().to_string(),
    ]);
    let told = process::run(&mut node, Duration::from_secs(400)).success();
    assert!(told.contains("all is well"), "{told}");
}
