//! A private Postfix on loopback, the smarthost: it takes mail only after a login over TLS, notes the login in the
//! message, and keeps what it took.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::dovecot::{Certificate, Dovecot, give_to_mail, open_to_all};
use super::process::{Peer, as_root, run};
use super::relayed::Relayed;
use super::{PATIENCE, Port, Scratch, wait_for};

/// A running Postfix; ends and leaves nothing when dropped.
pub struct Postfix {
    // Fields are dropped in this order: the server first, then what it lies in.
    server: Peer,
    scratch: Scratch,
    /// TLS from the first octet.
    pub submissions: Port,
    /// STARTTLS, demanded.
    pub submission: Port,
    /// As `submissions`, by a server that knows none of the extensions that mail can do without.
    pub old: Port,
    pub ca: PathBuf,
}

impl Postfix {
    /// Starts; `dovecot` knows the logins. Everyone outside lives at `outside.example`.
    pub fn start(dovecot: &Dovecot) -> Postfix {
        Postfix::start_with(dovecot, "policy =\n")
    }

    /// As [`Postfix::start`]; it asks the policy server at this address about each recipient and each content.
    pub fn with_policy(dovecot: &Dovecot, address: SocketAddr) -> Postfix {
        let policy = format!("check_policy_service inet:{address}");
        Postfix::start_with(
            dovecot,
            &format!("policy = {policy}\nsmtpd_end_of_data_restrictions = $policy\n"),
        )
    }

    fn start_with(dovecot: &Dovecot, more: &str) -> Postfix {
        let scratch = Scratch::new("postfix");
        open_to_all(scratch.path());
        let certificate = Certificate::make(&scratch);
        let (submissions, submission, old) = (Port::reserve(), Port::reserve(), Port::reserve());
        let main = main_cf(&scratch, &certificate, dovecot) + more;
        std::fs::create_dir(scratch.join("mail")).unwrap();
        give_to_mail(&scratch.join("mail"));
        let server = launch(&scratch, &main, &master_cf(&submissions, &submission, &old));
        let postfix = Postfix { server, ca: certificate.ca, scratch, submissions, submission, old };
        postfix.wait();
        postfix
    }

    fn wait(&self) {
        for port in [&self.submissions, &self.submission, &self.old] {
            wait_for("Postfix", || std::net::TcpStream::connect(port.address()).ok());
        }
    }

    /// Ends all of it.
    pub fn down(&mut self) {
        self.server.down();
    }

    /// Starts it again as it was.
    pub fn up(&mut self) {
        self.server.up();
        self.wait();
    }

    /// All that arrived so far, in no order.
    pub fn relayed(&self) -> Vec<Relayed> {
        Relayed::all(&self.scratch.join("mail/outside"))
    }

    pub fn log(&self) -> String {
        run(as_root("cat").arg(self.scratch.join("log")), PATIENCE).text()
    }
}

/// Starts Postfix with what is in main.cf and master.cf beside what every instance here has.
pub fn launch(scratch: &Scratch, main: &str, master: &str) -> Peer {
    let folder = scratch.path().display();
    let main = format!(
        "compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
alias_maps =
alias_database =
{main}"
    );
    scratch.write("etc/main.cf", main);
    scratch.write("etc/master.cf", format!("{master}{MASTER}"));
    for folder in ["spool", "data"] {
        std::fs::create_dir(scratch.join(folder)).unwrap();
    }
    // Postfix insists that its configuration is root's and its data folder its own.
    run(as_root("chown").args(["-R", "root"]).arg(scratch.join("etc")).arg(scratch.join("spool")), PATIENCE)
        .success();
    run(as_root("chown").arg("postfix").arg(scratch.join("data")), PATIENCE).success();
    let etc = scratch.join("etc");
    run(as_root("postfix").arg("-c").arg(&etc).arg("check"), PATIENCE).success();
    Peer::spawn("/usr/lib/postfix/sbin/master", &["-c", etc.to_str().unwrap(), "-s"], scratch.path())
}

fn main_cf(scratch: &Scratch, certificate: &Certificate, dovecot: &Dovecot) -> String {
    format!(
        "myhostname = smarthost.example
mynetworks =
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
smtpd_recipient_restrictions = check_recipient_access inline:{{nobody@outside.example=REJECT}}, $policy, permit_sasl_authenticated, reject
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

/// The services of every instance.
const MASTER: &str = "postlog unix-dgram n - n - 1 postlogd
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
";

fn master_cf(submissions: &Port, submission: &Port, old: &Port) -> String {
    format!(
        "{} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
{} inet n - n - - smtpd
{} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes \
  -o smtpd_discard_ehlo_keywords=8bitmime,smtputf8,chunking,dsn,pipelining,size
",
        submissions.address(),
        submission.address(),
        old.address()
    )
}
