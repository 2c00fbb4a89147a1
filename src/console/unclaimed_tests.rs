use super::*;
use crate::console::tests::{Pretended, told};

fn left(name: &str, id: u64) -> Unclaimed {
    Unclaimed::known(name, id)
}

#[test]
fn it_is_named_as_shortly_as_one_likes() {
    let several = || vec![left("office", 0x0123 << 48), left("office", 0x0145 << 48), left("shop", 7)];
    let named = |typed: &str| meant(several(), typed).map(|left| left.handle());
    assert_eq!(named("shop").as_deref(), Ok("shop~00000000"));
    assert_eq!(named("office~014").as_deref(), Ok("office~01450000"));
    let why = "office: there are several: name one of office~01230000, office~01450000";
    assert_eq!(named("office"), Err(why.to_owned()));
    assert!(named("offi").unwrap_err().contains("it is one of office~01230000"));
    assert!(meant(Vec::new(), "office").is_err());
}

/// Catches: mail that is deleted by a slip at a terminal, and a claim for an account that there is not yet.
#[test]
fn what_cannot_be_brought_back_is_asked() {
    let mut world = Pretended::new();
    world.unclaimed = vec![left("office", 0x0123 << 48)];
    let mut session = Session::at_a_terminal(&world, false);
    let asked = "> remove unclaimed office\n\
        all mail of office~01230000 is deleted, and cannot be brought back\n\
        > no\n\
        ! nothing was done\n\
        > remove unclaimed office\n\
        all mail of office~01230000 is deleted, and cannot be brought back\n\
        > yes\n\
        Work(Unclaimed(Delete { left: \"office~01230000\" }))\n";
    assert_eq!(crate::console::tests::replay(&world, &mut session, asked), asked);
    told(
        &world,
        "> claim office nobody
         ! \"nobody\": no such account: show accounts lists them
         > add account nobody
         `password nobody` gives it a password
         > claim office nobody
         ! nobody is not in force yet: `commit` first
         > claim shop demo
         ! shop: there is none: it is one of office~01230000
         > claim office demo
         Work(Unclaimed(Claim { left: \"office~01230000\", account: \"demo\" }))",
    );
    // What it is called is offered.
    let candidates = crate::console::command::complete(&session, "claim of");
    assert_eq!(candidates, ["office~01230000"]);
}
