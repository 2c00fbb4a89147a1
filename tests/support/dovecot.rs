//! A private Dovecot on loopback: the provider that MultiPOP collects from, the peer of the measurements, and the one who
//! knows the logins for [`super::Postfix`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{Peer, as_root, run};
use super::{PATIENCE, Port, Scratch, wait_for};

/// A running Dovecot 2.3 with Maildir; ends and leaves nothing when dropped.
pub struct Dovecot {
    // Fields are dropped in this order: the server first, then what it lies in.
    _server: Peer,
    scratch: Scratch,
    pub ports: Ports,
    certificate: Certificate,
}

/// Where it listens.
pub struct Ports {
    pub imap: Port,
    pub imaps: Port,
    pub pop3: Port,
    pub pop3s: Port,
    pub lmtp: Port,
}

impl Ports {
    fn reserve() -> Ports {
        Ports {
            imap: Port::reserve(),
            imaps: Port::reserve(),
            pop3: Port::reserve(),
            pop3s: Port::reserve(),
            lmtp: Port::reserve(),
        }
    }
}

impl Dovecot {
    /// Starts with these logins and passwords, and `mail_fsync=always`.
    pub fn start(logins: &[(&str, &str)]) -> Dovecot {
        Dovecot::start_with(logins, |_| PASSWORDS.to_owned())
    }

    /// Starts with `mechanism` alone, which is one for access tokens; what they are worth the introspection endpoint
    /// at `url` tells.
    pub fn with_tokens(mechanism: &str, url: &str) -> Dovecot {
        Dovecot::start_with(&[], |scratch| {
            let client = format!(
                "introspection_mode = post\nintrospection_url = {url}\n\
                 username_attribute = username\nactive_attribute = active\nactive_value = true\n"
            );
            let client = scratch.write("oauth2", client);
            format!(
                "auth_mechanisms = {mechanism}\npassdb {{\n driver = oauth2\n mechanisms = {mechanism}\n args = {}\n}}\n",
                client.display()
            )
        })
    }

    fn start_with(logins: &[(&str, &str)], mechanisms: impl FnOnce(&Scratch) -> String) -> Dovecot {
        let scratch = Scratch::new("dovecot");
        let mechanisms = mechanisms(&scratch);
        open_to_all(scratch.path());
        let certificate = Certificate::make(&scratch);
        let users: String =
            logins.iter().map(|(user, password)| format!("{user}:{{PLAIN}}{password}\n")).collect();
        scratch.write("users", users);
        let ports = Ports::reserve();
        let configuration =
            scratch.write("dovecot.conf", configuration(scratch.path(), &certificate, &ports, &mechanisms));
        std::fs::create_dir(scratch.join("mail")).unwrap();
        give_to_mail(&scratch.join("mail"));
        let server = Peer::spawn("dovecot", &["-F", "-c", configuration.to_str().unwrap()], scratch.path());
        for port in [&ports.imap, &ports.imaps, &ports.pop3, &ports.pop3s, &ports.lmtp] {
            wait_for("Dovecot", || std::net::TcpStream::connect(port.address()).ok());
        }
        Dovecot { _server: server, scratch, ports, certificate }
    }

    /// Where all mail lies.
    pub fn mail(&self) -> PathBuf {
        self.scratch.join("mail")
    }

    /// Puts messages into the INBOX of `user` as Maildir files, in this order; only before its first login.
    pub fn fill<'a>(&self, user: &str, messages: impl IntoIterator<Item = &'a Vec<u8>>) {
        let maildir = self.scratch.join("staging").join(user);
        for folder in ["cur", "new", "tmp"] {
            std::fs::create_dir_all(maildir.join(folder)).unwrap();
        }
        for (n, message) in messages.into_iter().enumerate() {
            std::fs::write(maildir.join(format!("new/1700000000.M{n:06}P1.peer")), message).unwrap();
        }
        give_to_mail(&maildir);
        run(as_root("mv").arg(&maildir).arg(self.scratch.join("mail")), PATIENCE).success();
    }

    /// Makes a copy of `maildir` the mail of `user`; only before its first login.
    pub fn adopt(&self, user: &str, maildir: &Path) {
        let own = self.scratch.join("mail").join(user);
        run(as_root("cp").arg("-a").arg(maildir).arg(&own), PATIENCE).success();
        give_to_mail(&own);
    }

    /// Copies the Maildir of `user` to `dest`, for whoever runs the test.
    pub fn copy_maildir(&self, user: &str, dest: &Path) {
        run(as_root("cp").arg("-a").arg(self.scratch.join("mail").join(user)).arg(dest), PATIENCE).success();
        let id = rustix::process::geteuid().as_raw().to_string();
        run(as_root("chown").args(["-R", &id]).arg(dest), PATIENCE).success();
    }

    /// The certificate that clients are to trust: the CA's.
    pub fn ca(&self) -> &Path {
        &self.certificate.ca
    }
    /// The socket on which it answers Postfix's questions about logins.
    pub fn authentication(&self) -> PathBuf {
        self.scratch.join("run/postfix-auth")
    }
    /// The pids of all its processes.
    pub fn pids(&self) -> Vec<u32> {
        // It answers before it has written this.
        let master = self.scratch.join("run/master.pid");
        let master: u32 =
            wait_for("Dovecot's master.pid", || std::fs::read_to_string(&master).ok()?.trim().parse().ok());
        let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap();
        std::iter::once(master)
            .chain(children.split_whitespace().filter_map(|pid| pid.parse().ok()))
            .collect()
    }
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.scratch.join("log")).unwrap_or_default()
    }
}

/// A `[[account.source]]` for `user`'s mailbox on this address.
pub fn source(address: SocketAddr, security: &str, user: &str, password: &str, ca: &Path) -> String {
    format!(
        "[[account.source]]\nhost = \"localhost\"\nport = {}\nsecurity = \"{security}\"\n\
         username = \"{user}\"\npassword = \"{password}\"\nca = \"{}\"\n",
        address.port(),
        ca.display()
    )
}

/// A CA and a certificate for `localhost` and 127.0.0.1 that it signed.
pub struct Certificate {
    pub ca: PathBuf,
    pub chain: PathBuf,
    pub key: PathBuf,
}

impl Certificate {
    pub fn make(scratch: &Scratch) -> Certificate {
        const SCRIPT: &str = r#"set -e; cd "$1"
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=peer test CA" \
                -addext keyUsage=keyCertSign -keyout ca.key -out ca.pem
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout key.pem -out req.pem
            echo "subjectAltName=DNS:localhost,IP:127.0.0.1" > ext
            openssl x509 -req -in req.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile ext -out cert.pem"#;
        run(Command::new("/bin/sh").args(["-c", SCRIPT, "openssl"]).arg(scratch.path()), PATIENCE).success();
        Certificate {
            ca: scratch.join("ca.pem"),
            chain: scratch.join("cert.pem"),
            key: scratch.join("key.pem"),
        }
    }
}

/// Peers run as users of their own, which must get through the folder.
pub fn open_to_all(folder: &Path) {
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

/// Gives a folder to the user `mail`, whom Dovecot and Postfix deliver as.
pub fn give_to_mail(folder: &Path) {
    run(as_root("chown").args(["-R", "mail:mail"]).arg(folder), PATIENCE).success();
}

/// Logins with passwords.
const PASSWORDS: &str = "auth_mechanisms = plain login cram-md5 apop scram-sha-256\n";

fn configuration(folder: &Path, certificate: &Certificate, ports: &Ports, mechanisms: &str) -> String {
    let folder = folder.display();
    let listener = |name: &str, port: &Port, more: &str| {
        format!("inet_listener {name} {{\n address = 127.0.0.1\n port = {}\n {more}\n}}", port.number)
    };
    format!(
        "base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/log
protocols = imap pop3 lmtp
mail_location = maildir:{folder}/mail/%u
mail_uid = mail
mail_gid = mail
first_valid_uid = 1
mail_fsync = always
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = no
{mechanisms}auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={folder}/mail/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
mail_max_userip_connections = 2000
service anvil {{
  client_limit = 4000
}}
service auth {{
  client_limit = 4000
  unix_listener {folder}/run/postfix-auth {{
mode = 0666
  }}
}}
service imap-login {{
  service_count = 0
  process_min_avail = 1
  client_limit = 2000
  {imap}
  {imaps}
}}
service imap {{
  process_limit = 2000
}}
service pop3-login {{
  service_count = 0
  {pop3}
  {pop3s}
}}
service lmtp {{
  {lmtp}
}}
",
        certificate = certificate.chain.display(),
        key = certificate.key.display(),
        imap = listener("imap", &ports.imap, ""),
        imaps = listener("imaps", &ports.imaps, "ssl = yes"),
        pop3 = listener("pop3", &ports.pop3, ""),
        pop3s = listener("pop3s", &ports.pop3s, "ssl = yes"),
        lmtp = listener("lmtp", &ports.lmtp, ""),
    )
}
