//! A private Postfix as its Debian package sets it up, as far as speed goes: it takes mail over TLS from who logs in, and sends it
//! through the sink.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::super::support::dovecot::{Certificate, Dovecot, open_to_all};
use super::super::support::process::{Peer, as_root};
use super::super::support::{PATIENCE, Port, Scratch, run, wait_for};

/// Ends and leaves nothing when dropped.
pub struct Postfix {
    // Fields are dropped in this order: the server first, then what it lies in.
    _server: Peer,
    scratch: Scratch,
    submissions: Port,
    pub ca: PathBuf,
}

impl Postfix {
    /// Starts; `dovecot` knows the logins. With `tls` it speaks it to the sink from the first octet.
    pub fn start(dovecot: &Dovecot, sink: SocketAddr, tls: bool) -> Postfix {
        let scratch = Scratch::new("sending");
        open_to_all(scratch.path());
        let certificate = Certificate::make(&scratch);
        let submissions = Port::reserve();
        scratch.write("etc/main.cf", main_cf(&scratch, &certificate, dovecot, sink, tls));
        scratch.write("etc/master.cf", master_cf(&submissions));
        for folder in ["spool", "data"] {
            std::fs::create_dir(scratch.join(folder)).unwrap();
        }
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
        wait_for("Postfix", || std::net::TcpStream::connect(submissions.address()).ok());
        Postfix { _server: server, ca: certificate.ca, scratch, submissions }
    }

    /// Where it takes mail, with TLS from the first octet.
    pub fn submissions(&self) -> SocketAddr {
        self.submissions.address()
    }

    /// How many messages wait because they did not get through.
    pub fn deferred(&self) -> usize {
        let mut find = as_root("find");
        find.arg(self.scratch.join("spool/deferred")).args(["-type", "f"]);
        run(&mut find, PATIENCE).text().lines().count()
    }

    /// All that waits is tried now.
    pub fn flush(&self) {
        run(as_root("postqueue").arg("-c").arg(self.scratch.join("etc")).arg("-f"), PATIENCE).success();
    }
}

fn main_cf(
    scratch: &Scratch,
    certificate: &Certificate,
    dovecot: &Dovecot,
    sink: SocketAddr,
    tls: bool,
) -> String {
    let to_sink = if tls { "smtp_tls_wrappermode = yes\nsmtp_tls_security_level = encrypt\n" } else { "" };
    format!(
        "compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = pillarbox.example
mydestination =
mynetworks =
alias_maps =
alias_database =
smtpd_tls_cert_file = {chain}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = encrypt
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {authentication}
smtpd_relay_restrictions = permit_sasl_authenticated, reject
relayhost = [{host}]:{port}
{to_sink}",
        folder = scratch.path().display(),
        chain = certificate.chain.display(),
        key = certificate.key.display(),
        authentication = dovecot.authentication().display(),
        host = sink.ip(),
        port = sink.port(),
    )
}

fn master_cf(submissions: &Port) -> String {
    format!(
        "{} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
pickup unix n - n 60 1 pickup
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
smtp unix - - n - - smtp
scache unix - - n - 1 scache
error unix - - n - - error
retry unix - - n - - error
",
        submissions.address(),
    )
}
