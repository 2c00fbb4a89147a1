//! A private Postfix on loopback, the smarthost: it takes mail only after a login over TLS, notes the login in the
//! message, and keeps what it took.

use std::path::PathBuf;

use super::dovecot::{Certificate, Dovecot, give_to_mail, open_to_all};
use super::process::{Peer, as_root, run};
use super::{PATIENCE, Port, Scratch, wait_for};

/// A running Postfix; ends and leaves nothing when dropped.
pub struct Postfix {
    // Fields are dropped in this order: the server first, then what it lies in.
    _server: Peer,
    scratch: Scratch,
    /// TLS from the first octet.
    pub submissions: Port,
    /// STARTTLS, demanded.
    pub submission: Port,
    /// As `submissions`, by a server that knows none of the extensions that mail can do without.
    pub old: Port,
    pub ca: PathBuf,
}

/// A message that arrived at the smarthost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relayed {
    /// The login that the sender of this message used.
    pub login: String,
    pub sender: String,
    /// As in the RCPT command.
    pub recipient: String,
    pub message: String,
}

impl Postfix {
    /// Starts; `dovecot` knows the logins. Everyone outside lives at `outside.example`.
    pub fn start(dovecot: &Dovecot) -> Postfix {
        let scratch = Scratch::new("postfix");
        open_to_all(scratch.path());
        let certificate = Certificate::make(&scratch);
        let (submissions, submission, old) = (Port::reserve(), Port::reserve(), Port::reserve());
        scratch.write("etc/main.cf", main_cf(&scratch, &certificate, dovecot));
        scratch.write("etc/master.cf", master_cf(&submissions, &submission, &old));
        for folder in ["spool", "data", "mail"] {
            std::fs::create_dir(scratch.join(folder)).unwrap();
        }
        give_to_mail(&scratch.join("mail"));
        // Postfix insists that its configuration is root's and its data folder its own.
        run(
            as_root("chown").args(["-R", "root"]).arg(scratch.join("etc")).arg(scratch.join("spool")),
            PATIENCE,
        )
        .success();
        run(as_root("chown").arg("postfix").arg(scratch.join("data")), PATIENCE).success();
        let etc = scratch.join("etc");
        run(as_root("postfix").arg("-c").arg(&etc).arg("check"), PATIENCE).success();
        let server =
            Peer::spawn("/usr/lib/postfix/sbin/master", &["-c", etc.to_str().unwrap(), "-s"], scratch.path());
        for port in [&submissions, &submission, &old] {
            wait_for("Postfix", || std::net::TcpStream::connect(port.address()).ok());
        }
        Postfix { _server: server, ca: certificate.ca, scratch, submissions, submission, old }
    }

    /// All that arrived so far, in no order.
    pub fn relayed(&self) -> Vec<Relayed> {
        let maildir = self.scratch.join("mail/outside/new");
        let files = run(as_root("find").arg(maildir).args(["-type", "f"]), PATIENCE).text();
        files.lines().map(|file| Relayed::read(&run(as_root("cat").arg(file), PATIENCE).text())).collect()
    }

    pub fn log(&self) -> String {
        run(as_root("cat").arg(self.scratch.join("log")), PATIENCE).text()
    }
}

impl Relayed {
    fn read(message: &str) -> Relayed {
        let between = |before: &str, after: char| {
            message
                .split_once(before)
                .and_then(|(_, rest)| rest.split_once(after))
                .map_or("", |(found, _)| found)
        };
        Relayed {
            login: between("(Authenticated sender: ", ')').to_owned(),
            sender: between("Return-Path: <", '>').to_owned(),
            recipient: between("Delivered-To: ", '\n').to_owned(),
            message: message.to_owned(),
        }
    }
}

fn main_cf(scratch: &Scratch, certificate: &Certificate, dovecot: &Dovecot) -> String {
    format!(
        "compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = smarthost.example
mydestination =
mynetworks =
alias_maps =
alias_database =
virtual_mailbox_domains = outside.example
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:outside/
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_tls_cert_file = {chain}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = encrypt
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {authentication}
smtpd_sasl_authenticated_header = yes
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = check_recipient_access inline:{{nobody@outside.example=REJECT}}, permit_sasl_authenticated, reject
",
        folder = scratch.path().display(),
        uid = number_of_mail("-u"),
        gid = number_of_mail("-g"),
        chain = certificate.chain.display(),
        key = certificate.key.display(),
        authentication = dovecot.authentication().display(),
    )
}

fn number_of_mail(which: &str) -> String {
    run(std::process::Command::new("id").args([which, "mail"]), PATIENCE).success().trim().to_owned()
}

fn master_cf(submissions: &Port, submission: &Port, old: &Port) -> String {
    format!(
        "{} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
{} inet n - n - - smtpd
{} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes \
  -o smtpd_discard_ehlo_keywords=8bitmime,smtputf8,chunking,dsn,pipelining,size
postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
",
        submissions.address(),
        submission.address(),
        old.address()
    )
}
