//! A private OpenSMTPD on loopback, a smarthost with moods and without any of the extensions that save round trips. It speaks
//! no TLS and knows no logins: version 6.8 of Debian 12 fails every handshake, because its way of keeping the key in another
//! process is none for OpenSSL 3, and it offers AUTH within TLS only.

use super::dovecot::{give_to_mail, open_to_all};
use super::moods::{CLOSES, GREY, LATE, LATENESS, Moods, NOBODY};
use super::process::{Peer, as_root, run};
use super::unpacked::Unpacked;
use super::{PATIENCE, Port, Relayed, Scratch, wait_for};

/// A running OpenSMTPD; ends and leaves nothing when dropped.
pub struct OpenSmtpd {
    // Fields are dropped in this order: the server first, then what it lies in.
    server: Peer,
    scratch: Scratch,
    port: Port,
}

impl Moods for OpenSmtpd {
    fn start() -> OpenSmtpd {
        let scratch = Scratch::new("opensmtpd");
        open_to_all(scratch.path());
        let port = Port::reserve();
        let filter = format!(
            "NOBODY, GREY, CLOSES, LATE = \"{NOBODY}\", \"{GREY}\", \"{CLOSES}\", \"{LATE}\"\nLATENESS = {}\n{}",
            LATENESS.as_secs(),
            include_str!("opensmtpd_moods.py")
        );
        scratch.write("moods.py", filter);
        let configuration = scratch.write("etc/smtpd.conf", configuration(&scratch, &port));
        for folder in ["spool/smtpd", "lib/opensmtpd/empty", "run", "mail"] {
            std::fs::create_dir_all(scratch.join(folder)).unwrap();
        }
        give_to_mail(&scratch.join("mail"));
        // OpenSMTPD insists that what it reads and works in is root's.
        for folder in ["etc", "spool", "lib", "run"] {
            run(as_root("chown").args(["-R", "root"]).arg(scratch.join(folder)), PATIENCE).success();
        }
        run(as_root("chmod").arg("711").arg(scratch.join("spool/smtpd")), PATIENCE).success();
        let package = Unpacked::find("opensmtpd");
        let program = Unpacked::seen_at(&scratch).join("usr/sbin/smtpd");
        let server = package.spawn(
            &scratch,
            &["opensmtpd", "opensmtpq"],
            &[
                (scratch.join("spool"), "/var/spool"),
                (scratch.join("lib"), "/var/lib"),
                (scratch.join("run"), "/run"),
                (package.join("usr/libexec"), "/usr/libexec"),
            ],
            &[program.to_str().unwrap(), "-d", "-f", configuration.to_str().unwrap()],
        );
        let opensmtpd = OpenSmtpd { server, scratch, port };
        opensmtpd.wait();
        opensmtpd
    }
    fn settings(&self) -> String {
        format!("host = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\n", self.port.number)
    }
    fn relayed(&self) -> Vec<Relayed> {
        Relayed::all(&self.scratch.join("mail"))
    }
    fn down(&mut self) {
        self.server.down();
    }
    fn up(&mut self) {
        self.server.up();
        self.wait();
    }
    fn log(&self) -> String {
        run(as_root("cat").arg(self.scratch.join("output")), PATIENCE).text()
    }
}

impl OpenSmtpd {
    fn wait(&self) {
        wait_for("OpenSMTPD", || std::net::TcpStream::connect(self.port.address()).ok());
    }
}

fn configuration(scratch: &Scratch, port: &Port) -> String {
    format!(
        r#"filter moods proc-exec "/usr/bin/python3 {folder}/moods.py" user nobody group nogroup
listen on 127.0.0.1 port {port} filter moods hostname smarthost.example
table everyone {{ "@" = mail }}
action keep maildir "{folder}/mail" virtual <everyone>
match from any for domain outside.example action keep
"#,
        folder = scratch.path().display(),
        port = port.number,
    )
}
