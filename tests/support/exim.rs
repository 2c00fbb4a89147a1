//! A private Exim on loopback, a smarthost with moods: it takes mail only after a login over TLS, and notes the login in
//! the message.

use super::dovecot::{Certificate, give_to_mail, open_to_all};
use super::moods::{CLOSES, GREY, LATE, LATENESS, Moods, NOBODY};
use super::process::{Peer, as_root, run};
use super::unpacked::Unpacked;
use super::{PATIENCE, Port, Relayed, Scratch, wait_for};

/// A running Exim; ends and leaves nothing when dropped.
pub struct Exim {
    // Fields are dropped in this order: the server first, then what it lies in.
    server: Peer,
    scratch: Scratch,
    port: Port,
    certificate: Certificate,
}

impl Moods for Exim {
    fn start() -> Exim {
        let scratch = Scratch::new("exim");
        open_to_all(scratch.path());
        let certificate = Certificate::make(&scratch);
        let port = Port::reserve();
        let configuration = scratch.write("conf", configuration(&scratch, &certificate, &port));
        for folder in ["spool", "log", "mail"] {
            std::fs::create_dir(scratch.join(folder)).unwrap();
            give_to_mail(&scratch.join(folder));
        }
        give_to_mail(&certificate.key);
        // Exim trusts no configuration that others than root may change.
        run(as_root("chown").arg("root").arg(&configuration), PATIENCE).success();
        let program = program(&scratch);
        let server = Unpacked::find("exim4-daemon-light").spawn(
            &scratch,
            &["Debian-exim"],
            &[],
            &[&program, "-C", configuration.to_str().unwrap(), "-bdf"],
        );
        let exim = Exim { server, scratch, port, certificate };
        exim.wait();
        exim
    }
    fn settings(&self) -> String {
        format!(
            "host = \"localhost\"\nport = {}\nsecurity = \"starttls\"\nca = \"{}\"\nusername = \"box\"\npassword = \"global\"\n",
            self.port.number,
            self.certificate.ca.display()
        )
    }
    fn relayed(&self) -> Vec<Relayed> {
        Relayed::all(&self.scratch.join("mail"))
    }
    /// Who is connected already may stay: Exim has a process for each.
    fn down(&mut self) {
        self.server.down();
    }
    fn up(&mut self) {
        self.server.up();
        self.wait();
    }
    fn log(&self) -> String {
        run(as_root("cat").arg(self.scratch.join("log/main")), PATIENCE).text()
    }
}

impl Exim {
    fn wait(&self) {
        wait_for("Exim", || std::net::TcpStream::connect(self.port.address()).ok());
    }
}

fn program(scratch: &Scratch) -> String {
    Unpacked::seen_at(scratch).join("usr/sbin/exim4").display().to_string()
}

fn configuration(scratch: &Scratch, certificate: &Certificate, port: &Port) -> String {
    format!(
        r#"exim_path = {program}
exim_user = mail
exim_group = mail
deliver_drop_privilege
primary_hostname = smarthost.example
spool_directory = {folder}/spool
log_file_path = {folder}/log/%s
keep_environment =
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
smtp_accept_queue_per_connection = 0
tls_certificate = {chain}
tls_privatekey = {key}
tls_advertise_hosts = *
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
dsn_advertise_hosts = *
acl_smtp_rcpt = recipient
acl_smtp_data = content

begin acl
recipient:
  deny    !authenticated = *
          message = 550 5.7.1 log in first
  deny    local_parts = {NOBODY}
          message = 550 5.1.1 no such user
  defer   local_parts = ^{GREY}
          !seen = -0s / key=$local_part
          message = 451 4.7.1 greylisted
  accept
content:
  warn    add_header = X-Login: (Authenticated sender: $authenticated_id)
  # Without a word: the process that talks is gone.
  accept  condition = ${{if match{{$recipients}}{{^{CLOSES}}}}}
          !seen = -0s / key=$recipients
          condition = ${{run{{/bin/kill -KILL $pid}}{{yes}}{{yes}}}}
  accept  condition = ${{if match{{$recipients}}{{^{LATE}}}}}
          delay = {lateness}s
  accept

begin routers
all:
  driver = accept
  transport = maildir

begin transports
maildir:
  driver = appendfile
  maildir_format
  directory = {folder}/mail
  headers_add = "Return-Path: <$sender_address>\nDelivered-To: $local_part@$domain"

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{box}}}}{{eq{{$auth3}}{{global}}}}}}}}
  server_set_id = $auth2
"#,
        program = program(scratch),
        folder = scratch.path().display(),
        port = port.number,
        chain = certificate.chain.display(),
        key = certificate.key.display(),
        lateness = LATENESS.as_secs(),
    )
}
