//! Passwords that are too short, secrets on the line, and a device without an operator's password.

use crate::board::device::Standing;
use crate::config::Config;
use crate::console::session::{Session, Step};
use crate::console::tests::{Pretended, replay, told};
use crate::credential::Verifier;
use crate::operator::World;

/// Catches: a short password that is taken, and an offer that is not what is set.
#[test]
fn a_short_password_is_refused_and_one_is_offered() {
    let world = Pretended::new();
    let mut session = Session::new(&world);
    for (path, verifier) in [
        ("demo", (|config| config.accounts[0].verifier.clone()) as fn(&Config) -> Verifier),
        ("server.operator_password", |config| config.server.operator_verifier.clone()),
    ] {
        session.line(&world, &format!("password {path}"));
        let Step::Refuse(why) = session.line(&world, "7 chars") else { panic!("it was taken") };
        let offer = why.rsplit(' ').next().unwrap().to_owned();
        assert!(why.starts_with("at least 8 characters") && offer.len() == 16, "{why}");
        assert_eq!(session.prompt().0, "new password: ");
        let Step::Say(said) = session.line(&world, "") else { panic!("the offer was not taken") };
        assert_eq!(said, format!("the password is {offer}: it is not shown again\n"));
        assert!(verifier(session.candidate()).verify(offer.as_bytes()), "{path}");
        // Another one in place of the offer.
        session.line(&world, &format!("password {path}"));
        session.line(&world, "short");
        session.line(&world, "long enough");
        session.line(&world, "long enough");
        assert!(verifier(session.candidate()).verify(b"long enough"), "{path}");
    }
    // What another server wants is not ours to judge.
    session.line(&world, "password smarthost.password");
    assert!(matches!(session.line(&world, "short"), Step::Say(_)));
}

/// Catches: a secret that is taken from a line that everybody can read.
#[test]
fn secrets_are_asked_for_and_not_taken_from_the_line() {
    let world = Pretended::new();
    told(
        &world,
        "> set smarthost.password hush
         ! `smarthost.password` is a secret, which nobody is to see: type it at the prompt
         > hush hush
         > hush hush
         > set account.demo.password open sesame
         ! `account.demo.password` is a secret, which nobody is to see: type it at the prompt
         >
         ! nothing was typed: the password stays as it was
         > commit
         in force",
    );
    assert_eq!(world.config().smarthost.password.reveal(), "hush hush");
    assert!(world.config().accounts[0].verifier.verify(b"pass"));
    let mut session = Session::new(&world);
    session.line(&world, "set smarthost.password hush");
    assert!(session.asks_for_a_secret() && session.ended().is_err());
}

/// Catches: a device that is left open without a word, one that asks again and again, and an appliance elsewhere that
/// asks.
#[test]
fn a_device_without_an_operator_s_password_asks_for_one() {
    let world = Pretended::new();
    assert_eq!(Session::new(&world).begin(&world), "");
    *world.board.borrow_mut() = Some(Standing::default());
    let mut session = Session::new(&world);
    assert!(session.begin(&world).contains("No operator's password is set"));
    assert_eq!(session.prompt().0, "new password: ");
    let put_off = replay(&world, &mut session, "> \n> quit");
    assert_eq!(put_off, ">\nno password was set\n> quit\n(the end)\n");

    let mut session = Session::new(&world);
    session.begin(&world);
    let set = replay(&world, &mut session, "> let me in\n> let me in\n> quit");
    assert_eq!(set, "> let me in\n> let me in\nin force\n> quit\n(the end)\n");
    assert!(world.config().server.operator_verifier.verify(b"let me in"));
    assert_eq!(Session::new(&world).begin(&world), "");
}
