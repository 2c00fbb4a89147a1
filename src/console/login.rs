//! `test login`: what a login would come to, by each service, from the LAN and from outside, with the reason that only the
//! operator is told. Nobody logs in: nothing is noted, nobody waits, and it counts for no limit.

use std::net::IpAddr;

use zeroize::Zeroizing;

use super::session::{Expecting, Session, Step};
use super::show::table;
use crate::access::on_lan;
use crate::auth;
use crate::config::{Config, Service, path};
use crate::operator::World;

/// Every service that a login opens.
const SERVICES: [Service; 3] = [Service::Pop3, Service::Imap, Service::Submission];
/// Nobody's addresses (RFC 5737, RFC 3849): the first that is not on the LAN stands for all outside.
const OUTSIDE: [&str; 4] = ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"];

/// The names of the services, for the tab key.
pub(super) fn services() -> Vec<String> {
    SERVICES.iter().map(|service| service.name().to_owned()).collect()
}

impl Session {
    pub(super) fn test_login(&mut self, world: &dyn World, words: &[&str]) -> Step {
        let (name, service) = (words.first().unwrap_or(&""), words.get(1));
        let config = world.config();
        if config.account(name).is_none() {
            return Step::Refuse(match self.candidate().account(name) {
                Some(_) => format!("{name} is not in force yet: `commit` first"),
                None => path::no_such_account(&config, name).to_string(),
            });
        }
        let wanted = SERVICES.into_iter().find(|known| service.is_some_and(|named| known.name() == *named));
        if let (Some(named), None) = (service, wanted) {
            return Step::Refuse(format!("{named}: no such service: it is one of {}", services().join(", ")));
        }
        self.expecting = Expecting::Login { account: (*name).to_owned(), service: wanted };
        Step::Say(String::new())
    }
}

/// The password was typed.
pub(super) fn tried(world: &dyn World, name: &str, service: Option<Service>, password: &str) -> Step {
    let config = world.config();
    let Some(account) = config.account(name) else {
        return Step::Refuse(path::no_such_account(&config, name).to_string());
    };
    if password.is_empty() {
        return Step::Refuse("nothing was typed: nothing was tried".to_owned());
    }
    if !account.has_password() {
        return Step::Refuse(format!("{name} has no password yet: `password {name}` gives it one"));
    }
    let (lan, outside) = places(&config);
    let services = SERVICES.into_iter().filter(|known| service.is_none_or(|wanted| wanted == *known));
    let password = Zeroizing::new(password.as_bytes().to_vec());
    let key = account.verifier.hash(&password);
    let mut device = None;
    let rows: Vec<[String; 3]> = services
        .map(|service| {
            let mut cell = |address: Option<IpAddr>, nobody: &str| {
                let Some(address) = address else { return nobody.to_owned() };
                match auth::would_admit(&config, account, &key, service, address) {
                    Ok(app) => {
                        device = device.take().or(app);
                        "admitted".to_owned()
                    }
                    Err(reason) => format!("refused: {reason}"),
                }
            };
            [service.name().to_owned(), cell(lan, "nobody is there"), cell(outside, "nobody is outside")]
        })
        .collect();
    let by = device.map_or(String::new(), |app| format!("it is the app password {app}\n"));
    Step::Say(table(["SERVICE", "FROM THE LAN", "FROM OUTSIDE"], rows.into_iter()) + &by)
}

/// An address on the LAN and one outside.
fn places(config: &Config) -> (Option<IpAddr>, Option<IpAddr>) {
    let lan = config.server.lan.first().map(|network| network.network());
    let outside = OUTSIDE.iter().filter_map(|address| address.parse().ok());
    (lan, outside.into_iter().find(|address| !on_lan(config, *address)))
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::console::tests::{Pretended, told};

    /// Catches: a reason that is not the one of the log, a service that is not told, and a test that nobody asks a password for.
    #[test]
    fn the_true_reason_is_told_of_each_service() {
        let world = Pretended::new();
        let mut config = Config::clone(&world.config());
        config.accounts[0].pop = false;
        config.accounts[0].imap_lan_only = true;
        path::add_app_password(&mut config, "demo", "phone", "secret").unwrap();
        config.accounts[0].app_passwords[0].services = vec![Service::Submission];
        *world.config.borrow_mut() = Rc::new(config);
        told(
            &world,
            "> test login demo
             > pass
             SERVICE     FROM THE LAN                                          FROM OUTSIDE
             pop3        refused: the service is switched off for the account  refused: the service is switched off for the account
             imap        admitted                                              refused: the service is for the LAN only, and the address is outside it
             submission  admitted                                              admitted
             > test login demo imap
             > wrong
             SERVICE  FROM THE LAN             FROM OUTSIDE
             imap     refused: wrong password  refused: wrong password
             > test login demo submission
             > secret
             SERVICE     FROM THE LAN  FROM OUTSIDE
             submission  admitted      admitted
             it is the app password phone
             > test login demo imap
             > secret
             SERVICE  FROM THE LAN                                       FROM OUTSIDE
             imap     refused: the app password is not for this service  refused: the service is for the LAN only, and the address is outside it
             > test login demo
             >
             ! nothing was typed: nothing was tried
             > test login nobody
             ! \"nobody\": no such account: show accounts lists them
             > test login demo ftp
             ! ftp: no such service: it is one of pop3, imap, submission",
        );
        let mut session = Session::new(&world);
        session.line(&world, "test login demo");
        assert_eq!(session.prompt(), ("password: ", crate::console::line::Input::Secret));
        assert!(session.ended().is_err(), "a script that ends before the password");
    }
}
