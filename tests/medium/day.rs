//! A day in the life of an appliance on a recorded medium: all kinds of things that it acknowledges.

use super::recorder::{Mounted, Recorder};
use super::seen::{Seen, look};
use super::support::mail::named;
use super::support::{Appliance, Connection, Imap, Pop3, Port, Smtp};

fn config(smarthost: &Port) -> String {
    format!(
        "[server]\ndomains = [\"home.example\"]\n\
         [smarthost]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\n\
         [[account]]\nname = \"anna\"\naddress = \"anna@home.example\"\npassword = \"pass\"\n\
         [[account]]\nname = \"ben\"\naddress = \"ben@home.example\"\npassword = \"pass\"\n",
        smarthost.number
    )
}

/// An appliance and its medium.
pub struct OnMedium {
    pub appliance: Appliance,
    pub recorder: Recorder,
    /// The medium, where it is not the first one; here, because the appliance has to end before it does.
    resumed: Option<Mounted>,
    pub told: Vec<Told>,
    /// Nobody is there.
    _smarthost: Port,
}

/// Something that was acknowledged.
pub struct Told {
    pub what: &'static str,
    /// Events on the medium by then.
    pub position: usize,
    /// What clients saw then.
    pub seen: Seen,
}

impl OnMedium {
    pub fn start(recorder: Recorder) -> OnMedium {
        let smarthost = Port::reserve();
        let appliance = Appliance::start_on(recorder.path(), &config(&smarthost));
        OnMedium { appliance, recorder, resumed: None, told: Vec::new(), _smarthost: smarthost }
    }

    /// Killed in the evening.
    pub fn after_a_day(recorder: Recorder) -> OnMedium {
        let mut on = OnMedium::start(recorder);
        day(&mut on);
        on.appliance.kill();
        on
    }

    /// Starts again on another medium, which takes the place of this one.
    pub fn resume(&mut self, mounted: Mounted) {
        self.recorder = mounted.recorder.clone();
        self.resumed = Some(mounted);
        self.appliance.restart_on(self.recorder.path());
    }

    /// Does what the appliance acknowledges, and keeps what clients see from then on.
    fn tell(&mut self, what: &'static str, deed: impl FnOnce(&Appliance)) {
        deed(&self.appliance);
        let position = self.recorder.position();
        self.told.push(Told { what, position, seen: look(&self.appliance) });
    }
}

pub fn imap(appliance: &Appliance, account: &str) -> Imap {
    Imap::login(Connection::open(appliance.ports.imap.address()), account, "pass")
}

/// A day in the life of two accounts.
fn day(on: &mut OnMedium) {
    let append =
        |what| move |appliance: &Appliance| imap(appliance, "anna").append("INBOX", &named(what, 2_000));
    let select = |appliance: &Appliance| {
        let mut imap = imap(appliance, "anna");
        imap.command("SELECT INBOX").ok();
        imap
    };
    on.tell("the first logins", |appliance| drop(look(appliance)));
    on.tell("APPEND", append("one"));
    on.tell("APPEND of a large message", |appliance| {
        imap(appliance, "anna").append("INBOX", &named("large", 150_000));
    });
    on.tell("CREATE", |appliance| drop(imap(appliance, "anna").command("CREATE Work/Plans").ok()));
    on.tell("SUBSCRIBE", |appliance| drop(imap(appliance, "anna").command("SUBSCRIBE Work/Plans").ok()));
    on.tell("COPY", |appliance| drop(select(appliance).command("COPY 1:2 Work/Plans").ok()));
    on.tell("STORE", |appliance| drop(select(appliance).command("STORE 1 +FLAGS (\\Flagged work)").ok()));
    on.tell("APPEND to be expunged", append("two"));
    on.tell("EXPUNGE", |appliance| {
        let mut imap = select(appliance);
        imap.command("STORE 2:3 +FLAGS.SILENT (\\Deleted)").ok();
        imap.command("EXPUNGE").ok();
    });
    on.tell("RENAME", |appliance| drop(imap(appliance, "anna").command("RENAME Work/Plans Done").ok()));
    on.tell("SMTP on the LAN", |appliance| {
        let mut smtp = Smtp::new(Connection::open(appliance.ports.lan_smtp.address()));
        smtp.send("anna@home.example", &["anna@home.example", "ben@home.example"], &named("scan", 90_000));
    });
    on.tell("submission", |appliance| {
        let submission = Connection::open_tls(appliance.ports.submissions.address(), &appliance.ca());
        let mut smtp = Smtp::login(submission, "anna", "pass");
        smtp.send("anna@home.example", &["friend@outside.example"], &named("letter", 70_000));
    });
    on.tell("DELE and QUIT", |appliance| {
        let mut pop3 = Pop3::login(Connection::open(appliance.ports.pop3.address()), "ben", "pass");
        assert!(pop3.command("DELE 1").starts_with("+OK"));
        assert!(pop3.command("QUIT").starts_with("+OK"));
    });
    on.tell("a setting", |appliance| {
        let file = appliance.scratch.join("config.toml");
        let text = std::fs::read_to_string(&file).unwrap() + "quota = \"1 GiB\"\n";
        let file = appliance.scratch.write("changed.toml", text);
        let outcome = appliance.verb("import", &[file.to_str().unwrap()]);
        outcome.success();
    });
    on.tell("a new segment", |appliance| {
        let mut imap = imap(appliance, "anna");
        let segment = appliance.data().join("accounts/anna/log/00000002");
        for n in 0.. {
            imap.append("Trash", &named(&format!("bulk {n}"), 64_000));
            if segment.exists() {
                break;
            }
        }
    });
    on.tell("the end of the day", append("three"));
}
