//! A device that is set up with a browser and nothing else: neither a file on the card nor a word on the console.

use std::process::Command;

use crate::device::{Device, LONG};
use crate::support::process::run;
use crate::support::wait_up_to;

/// Somebody with a browser on the home's network, who has installed the device's certificate.
struct Browser<'d> {
    device: &'d Device,
    ca: std::path::PathBuf,
}

impl Browser<'_> {
    /// What `path` answers, with its head, to a form where there is one.
    fn ask(&self, path: &str, form: &[(&str, &str)]) -> String {
        let site = format!("https://localhost:{}", self.device.ports.https.number);
        let jar = self.ca.with_file_name("cookies");
        let mut curl = Command::new("curl");
        curl.args(["-s", "-i", "--max-time", "60", "-H", &format!("Origin: {site}"), "--cacert"])
            .arg(&self.ca);
        curl.arg("-b").arg(&jar).arg("-c").arg(&jar);
        for (name, value) in form {
            curl.arg("--data-urlencode").arg(format!("{name}={value}"));
        }
        run(curl.arg(site + path), LONG).text()
    }

    /// The token of the form on a page.
    fn token(&self, path: &str) -> String {
        let page = self.ask(path, &[]);
        let (_, rest) = page.split_once("name=\"token\" value=\"").unwrap_or_else(|| panic!("{page}"));
        rest.split('"').next().unwrap().to_owned()
    }
}

/// Catches: a device that cannot be set up without a console, that is not known by the fingerprint which it tells, or forgets
/// with the power what its owner has typed.
#[test]
#[ignore = "needs a card image: make test-image"]
fn a_device_is_set_up_by_its_page_alone() {
    let mut device = Device::new();
    device.power_on();
    let greeting = device.expect("ready: ") + &device.prompt();
    let ca = device.ca();
    let mut openssl = Command::new("openssl");
    openssl.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(&ca);
    let said = run(&mut openssl, LONG).success();
    let fingerprint = said.trim().rsplit('=').next().unwrap().to_owned();
    let halves = [&fingerprint[..47], &fingerprint[48..]];
    assert!(halves.iter().all(|half| greeting.contains(half)), "{fingerprint}: {greeting}");

    let browser = Browser { device: &device, ca: ca.clone() };
    let page = browser.ask("/", &[]);
    assert!(page.contains("href=\"/first\""), "{page}");
    let token = browser.token("/first");
    let form = [
        ("token", token.as_str()),
        ("operator_password", "the operator"),
        ("operator_password_again", "the operator"),
        ("house", "pillarbox"),
        ("account", "demo"),
        ("account_password", "open sesame"),
        ("account_password_again", "open sesame"),
    ];
    let reply = browser.ask("/first", &form);
    assert!(reply.contains("Location: /first/mail?demo"), "{reply}");
    let token = browser.token("/first/mail?demo");
    let reply = browser.ask("/first/mail?demo", &[("token", &token)]);
    assert!(reply.contains("class=\"good\""), "{reply}");
    wait_up_to(LONG, "the test mail", || (device.imap(&ca).fetch_all("INBOX").len() == 1).then_some(()));

    device.cut_power();
    let result = device.read_from_card("pillarbox-result.txt");
    assert!(halves.iter().all(|half| result.contains(half)), "{fingerprint}: {result}");
    device.power_on();
    // The console asks for the password now.
    device.expect("operator's password: ");
    assert_eq!(std::fs::read(device.ca()).unwrap(), std::fs::read(&ca).unwrap(), "the same CA as before");
    assert_eq!(device.imap(&ca).fetch_all("INBOX").len(), 1);
    let browser = Browser { device: &device, ca };
    assert!(!browser.ask("/", &[]).contains("href=\"/first\""), "nobody else becomes its operator");
}
