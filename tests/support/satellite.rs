//! A private Postfix that has no mailboxes, and hands all mail to the appliance under a login: a NAS or another server in the house.

use super::dovecot::open_to_all;
use super::process::{Peer, as_root, run};
use super::{Appliance, PATIENCE, Port, Scratch, postfix, wait_for};

/// A running one; ends and leaves nothing when dropped.
pub struct Satellite {
    // Fields are dropped in this order: the server first, then what it lies in.
    _server: Peer,
    scratch: Scratch,
    /// Takes mail from this machine.
    pub smtp: Port,
}

impl Satellite {
    /// Starts one that logs in as this account.
    pub fn start(appliance: &Appliance, account: &str, password: &str) -> Satellite {
        let scratch = Scratch::new("satellite");
        open_to_all(scratch.path());
        // Its users cannot get to the appliance's folder.
        let ca = scratch.write("ca.pem", std::fs::read(appliance.ca()).unwrap());
        let smtp = Port::reserve();
        let server = format!("[localhost]:{}", appliance.ports.submissions.number);
        let passwords = scratch.write("passwords", format!("{server} {account}:{password}\n"));
        let main = format!(
            "myhostname = nas.home.example
mynetworks = 127.0.0.0/8
local_transport = error:no mailboxes here
relayhost = {server}
smtp_host_lookup = native
smtp_tls_wrappermode = yes
smtp_tls_security_level = secure
smtp_tls_CAfile = {ca}
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = texthash:{passwords}
smtp_sasl_security_options = noanonymous
smtp_generic_maps = inline:{{root@nas.home.example={account}+nas@home.example}}
",
            ca = ca.display(),
            passwords = passwords.display(),
        );
        let master = format!("{} inet n - n - - smtpd\nsmtp unix - - n - - smtp\n", smtp.address());
        let server = postfix::launch(&scratch, &main, &master);
        wait_for("Postfix", || std::net::TcpStream::connect(smtp.address()).ok());
        Satellite { _server: server, scratch, smtp }
    }
}

impl Drop for Satellite {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = run(as_root("cat").arg(self.scratch.join("log")), PATIENCE).text();
            eprintln!("what the satellite wrote down:\n{log}");
        }
    }
}
