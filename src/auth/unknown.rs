//! Salts for unknown logins, which nobody can tell from those of known ones.
//!
//! A SCRAM client hears a salt before it proves anything (RFC 5802 section 3). All spellings of a name have one salt: in any case,
//! alone or before any domain, and whether the login is known or not. There is one exception: two accounts share a name where the
//! address of one begins with the name of the other, and their salts differ. As many unknown names differ in the same way, by a
//! keyed choice. The salts depend on the key alone, so they are the same at every try and after every start.

use std::collections::BTreeMap;

use ring::hmac;

use crate::config::{Account, Config};
use crate::credential::verifier::{DEFAULT_ITERATIONS, octets};
use crate::credential::{Salt, Verifier};

/// Makes up salts for unknown logins.
pub(super) struct Unknown {
    key: hmac::Key,
}

/// What the key is asked for.
#[derive(Clone, Copy)]
enum What {
    Salt = 0,
    StoredKey = 1,
    ServerKey = 2,
    Iterations = 3,
    Difference = 4,
}

impl Unknown {
    pub(super) fn new(key: &[u8; 32]) -> Unknown {
        Unknown { key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// What a SCRAM client hears of any login. The work is the same for all.
    pub(super) fn salt(&self, config: &Config, login: &str) -> Salt {
        let login = login.to_ascii_lowercase();
        let (name, domain) = parts(&login);
        let names = names(config);
        let differs = self.share(What::Difference, &login) < differing(config, &names, domain);
        let made_up = self.made_up(config, if differs { &login } else { name });
        let account = config.account_by_login(&login).or_else(|| names.get(name).copied());
        account.map_or(made_up, |account| account.verifier.salt())
    }

    /// What the password of an unknown login is checked against: no password fits it.
    pub(super) fn verifier(&self, config: &Config, login: &str) -> Verifier {
        let Salt { salt, iterations } = self.salt(config, login);
        let [stored_key, server_key] =
            [What::StoredKey, What::ServerKey].map(|what| self.octets(what, login));
        Verifier { iterations, salt, stored_key, server_key }
    }

    /// The rounds are those of some account.
    fn made_up(&self, config: &Config, name: &str) -> Salt {
        let mut salt = [0; 16];
        salt.iter_mut().zip(self.octets(What::Salt, name)).for_each(|(place, octet)| *place = octet);
        let mut iterations: Vec<u32> =
            config.accounts.iter().map(|account| account.verifier.iterations).collect();
        iterations.sort_unstable();
        // In their order, so that a new account changes them for few names.
        let share = self.share(What::Iterations, name);
        let like = iterations.iter().zip(1..).find(|(_, n)| share * iterations.len() < *n * WHOLE);
        Salt { salt, iterations: like.map_or(DEFAULT_ITERATIONS, |(iterations, _)| *iterations) }
    }

    /// A keyed number below [`WHOLE`].
    fn share(&self, what: What, text: &str) -> usize {
        let [high, low, ..] = self.octets(what, text);
        usize::from(high) << 8 | usize::from(low)
    }

    fn octets(&self, what: What, text: &str) -> [u8; 32] {
        #[cfg(test)]
        crate::credential::verifier::count_hash();
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&[what as u8]);
        context.update(text.as_bytes());
        octets(context.sign().as_ref())
    }
}

/// What [`Unknown::share`] is a share of.
const WHOLE: usize = 1 << 16;

/// The name that a login begins with, and the domain behind it.
fn parts(login: &str) -> (&str, &str) {
    login.split_once('@').unwrap_or((login, ""))
}

/// The names that the logins of accounts begin with, each with the account whose salt it has: that of this name, else the
/// first one whose address begins with it.
fn names(config: &Config) -> BTreeMap<String, &Account> {
    let own = config.accounts.iter().map(|account| (account.name.as_str(), account));
    let of_addresses = config.accounts.iter().map(|account| (parts(&account.address).0, account));
    let mut names = BTreeMap::new();
    for (name, account) in own.chain(of_addresses) {
        names.entry(name.to_ascii_lowercase()).or_insert(account);
    }
    names
}

/// The share of `names` that have another salt alone than before this domain, of [`WHOLE`].
fn differing(config: &Config, names: &BTreeMap<String, &Account>, domain: &str) -> usize {
    let differ = config.accounts.iter().filter(|account| {
        let (name, its_domain) = parts(&account.address);
        let alone = names.get(&name.to_ascii_lowercase());
        its_domain.eq_ignore_ascii_case(domain)
            && alone.is_some_and(|alone| alone.verifier.salt() != account.verifier.salt())
    });
    differ.count() * WHOLE / names.len().max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::Address;
    use crate::credential::random;

    fn account(name: &str, address: &str) -> Account {
        let verifier = Verifier { salt: random(), iterations: 4096, ..Account::default().verifier };
        let address = Address::try_from(address).unwrap();
        Account { name: name.try_into().unwrap(), address, verifier, ..Account::default() }
    }

    fn config(accounts: &[(&str, &str)]) -> Config {
        let mut config = Config::default();
        config.server.domains = ["home.example", "other.test"].map(|d| d.try_into().unwrap()).into();
        config.accounts = accounts.iter().map(|(name, address)| account(name, address)).collect();
        config
    }

    /// Which spellings of a name have another salt than the name alone.
    fn pattern(unknown: &Unknown, config: &Config, name: &str) -> Vec<bool> {
        let upper = name.to_ascii_uppercase();
        let alone = unknown.salt(config, name);
        [
            upper.clone(),
            format!("{name}@home.example"),
            format!("{upper}@Home.Example"),
            format!("{name}@other.test"),
            format!("{upper}@OTHER.test"),
            format!("{name}@elsewhere.example"),
            format!("{name}@"),
            format!("{name}@other.test@home.example"),
        ]
        .iter()
        .map(|spelling| unknown.salt(config, spelling) != alone)
        .collect()
    }

    /// How often each pattern is seen among `names`, in percent.
    fn seen<'a>(
        unknown: &Unknown,
        config: &Config,
        names: impl Iterator<Item = &'a str>,
    ) -> BTreeMap<Vec<bool>, f64> {
        let patterns: Vec<Vec<bool>> = names.map(|name| pattern(unknown, config, name)).collect();
        let mut seen = BTreeMap::new();
        for pattern in &patterns {
            *seen.entry(pattern.clone()).or_default() += 100.0 / patterns.len() as f64;
        }
        seen
    }

    /// Accounts whose name is their address's, and others; of two pairs the address of one begins with the name of the other.
    const BOTH_KINDS: [(&str, &str); 6] = [
        ("office", "office@home.example"),
        ("second", "u1@other.test"),
        ("sales", "Sales@other.test"),
        ("info", "info@home.example"),
        ("archive", "info@other.test"),
        ("boss", "office@other.test"),
    ];
    const NAMES: [&str; 7] = ["office", "second", "u1", "sales", "info", "archive", "boss"];

    /// Catches: salts whose agreements tell a known name from an unknown one: an address whose name is
    /// another one than the account's, a name before another local domain, and a choice that is never or always made.
    #[test]
    fn the_spellings_of_a_name_agree_and_differ_as_often_whether_there_is_an_account_or_not() {
        let made_up: Vec<String> = (0..4000).map(|n| format!("nobody{n}")).collect();
        for (accounts, names) in [(&BOTH_KINDS[..], &NAMES[..]), (&BOTH_KINDS[..3], &NAMES[..4]), (&[], &[])]
        {
            let (unknown, config) = (Unknown::new(&[7; 32]), config(accounts));
            let there = seen(&unknown, &config, names.iter().copied());
            let not_there = seen(&unknown, &config, made_up.iter().map(String::as_str));
            if !accounts.is_empty() {
                let both: Vec<_> = there.keys().collect();
                assert_eq!(both, not_there.keys().collect::<Vec<_>>());
            }
            assert_eq!(not_there.len(), if accounts.len() == 6 { 2 } else { 1 });
            for (pattern, share) in there {
                let found = not_there[&pattern];
                assert!((share - found).abs() < 3.0, "{pattern:?}: {share} and {found} percent");
            }
        }
    }

    /// Catches: a choice that is made anew at each try or after a start, and one that a new account makes anew for everyone.
    #[test]
    fn what_is_made_up_stays() {
        let (key, mut config) = ([7; 32], config(&BOTH_KINDS));
        config.accounts[1].verifier.iterations = 8192;
        let spellings: Vec<String> = (0..500)
            .flat_map(|n| ["", "@home.example", "@other.test"].map(|domain| format!("nobody{n}{domain}")))
            .collect();
        let salts = |unknown: &Unknown, config: &Config| -> Vec<Salt> {
            spellings.iter().map(|login| unknown.salt(config, login)).collect()
        };
        let unknown = Unknown::new(&key);
        let before = salts(&unknown, &config);
        assert!(before == salts(&unknown, &config), "at the next try");
        assert!(before == salts(&Unknown::new(&key), &config), "after a start");
        let changed = |other: &[Salt]| before.iter().zip(other).filter(|(one, other)| one != other).count();
        assert_eq!(changed(&salts(&Unknown::new(&[8; 32]), &config)), before.len(), "elsewhere");
        config.accounts.push(account("new", "new@home.example"));
        assert!(changed(&salts(&unknown, &config)) < before.len() / 10, "with one more account");
    }

    #[test]
    fn what_is_made_up_is_like_an_account() {
        let (unknown, mut config) = (Unknown::new(&[7; 32]), config(&BOTH_KINDS[..4]));
        for (account, iterations) in config.accounts.iter_mut().zip([5000, 6000, 5000, 6000]) {
            account.verifier.iterations = iterations;
        }
        let salts: Vec<Salt> = (0..1000).map(|n| unknown.salt(&config, &format!("nobody{n}"))).collect();
        let few = salts.iter().filter(|salt| salt.iterations == 5000).count();
        assert!(
            (400..600).contains(&few) && salts.iter().all(|salt| [5000, 6000].contains(&salt.iterations))
        );
        let different: BTreeSet<_> = salts.iter().map(|salt| salt.salt).collect();
        assert_eq!(different.len(), salts.len(), "no two accounts have one salt either");
        assert_eq!(unknown.salt(&config, "Office@home.example"), config.accounts[0].verifier.salt());
        assert_eq!(unknown.salt(&Config::default(), "nobody").iterations, DEFAULT_ITERATIONS);
    }
}
