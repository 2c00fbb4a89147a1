//! An export and an import that give the same mail back, also after interruptions.

use proptest::prelude::*;

use super::*;

/// A planned message: its mailbox, octets, repetitions, flags, keywords and date.
type Planned = (usize, Vec<u8>, usize, u64, Vec<usize>, i64);

#[derive(Debug, Clone)]
struct Plan {
    mailboxes: Vec<String>,
    messages: Vec<Planned>,
    expunged: Vec<usize>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let octets = "(Subject: x\r\n|Status: RO\r\n|From |>From |\r\n|\n|\r|\u{0}|>|ü|x){0,12}"
        .prop_map(String::into_bytes);
    let repeated = prop_oneof![9 => Just(1usize), 1 => Just(9000)];
    let message = (
        0usize..5,
        octets,
        repeated,
        0u64..32,
        prop::collection::vec(0usize..40, 0..3),
        -5i64..2_000_000_000,
    );
    let name = "[a.~&%\\\\ü日 :-]{1,9}(/[a.]{1,3}){0,2}";
    (
        prop::collection::vec(name, 0..4),
        prop::collection::vec(message, 0..12),
        prop::collection::vec(0usize..12, 0..3),
    )
        .prop_map(|(mailboxes, messages, expunged)| Plan { mailboxes, messages, expunged })
}

async fn build(plan: &Plan) -> Rc<store::Account> {
    let account = account();
    for (n, name) in plan.mailboxes.iter().enumerate() {
        let mut transaction = account.begin();
        transaction.create_mailbox(name);
        transaction.subscribe(name, n % 2 == 0);
        if n % 2 == 1 {
            transaction.annotate(name, "/shared/comment", Some(name.as_bytes()));
            transaction.annotate(name, "/private/empty", Some(b""));
        }
        let _ = transaction.commit().await;
    }
    let mut gone = account.begin();
    gone.delete_mailbox("Junk");
    gone.commit().await.unwrap();
    let ids = account.mailboxes();
    for (n, (mailbox, octets, repeated, flags, keywords, date)) in plan.messages.iter().enumerate() {
        let (id, _) = ids[mailbox % ids.len()];
        let keywords: Vec<String> = keywords.iter().map(|n| format!("key{n}")).collect();
        let keywords: Vec<&str> = keywords.iter().map(String::as_str).collect();
        deliver(&account, id, &octets.repeat(*repeated), Flags(*flags), &keywords, *date).await;
        if plan.expunged.contains(&n) {
            let uid = account.view(id, |mailbox| mailbox.uid_next - 1).unwrap();
            let mut transaction = account.begin();
            transaction.expunge(id, &[uid]);
            transaction.commit().await.unwrap();
        }
    }
    account
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_goes_out_comes_back_the_same(plan in plan()) {
        let before = smol::block_on(build(&plan));
        for format in Format::ALL {
            let folder = Folder::new();
            export_to(&before, &folder.join("a"), format);
            let after = account();
            import_from(&after, &folder.join("a"));
            prop_assert_eq!(dump(&after), dump(&before));
            export_to(&after, &folder.join("b"), format);
            prop_assert_eq!(tree(&folder.join("b")), tree(&folder.join("a")));

            // A second import changes nothing.
            let again = import_from(&after, &folder.join("a"));
            prop_assert_eq!(again.written, 0);
            prop_assert_eq!(dump(&after), dump(&before));
            let again = export_to(&before, &folder.join("b"), format);
            prop_assert_eq!(again.written, 0);
            prop_assert_eq!(tree(&folder.join("b")), tree(&folder.join("a")));
        }
    }

    #[test]
    fn what_is_interrupted_goes_on(plan in plan(), cuts in prop::collection::vec(1usize..40, 1..6)) {
        let before = smol::block_on(build(&plan));
        for format in Format::ALL {
            let folder = Folder::new();
            export_to(&before, &folder.join("whole"), format);
            let (dest, ear) = (folder.join("cut"), Ear::default());
            for steps in &cuts {
                for_a_while(*steps, export(&before, &dest, format, &ear));
            }
            export_to(&before, &dest, format);
            prop_assert_eq!(tree(&dest), tree(&folder.join("whole")));

            let after = account();
            for steps in &cuts {
                for_a_while(*steps, import(&after, &dest, &ear));
            }
            import_from(&after, &dest);
            prop_assert_eq!(dump(&after), dump(&before));
        }
    }
}
