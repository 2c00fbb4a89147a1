use super::*;

/// Catches: names of mailboxes and of subscriptions that are lost or listed twice where one hundred ends and the next
/// begins, a STATUS that does not follow its mailbox, and a groupware folder that is listed to a mail program.
#[test]
fn very_many_subscriptions_are_told_once_each_with_their_status() {
    story(|world| async move {
        let fred = world.fred().await;
        let mut transaction = fred.begin();
        for n in 0..130 {
            transaction.create_mailbox(&format!("m{n:03}"));
            transaction.subscribe(&format!("m{n:03}"), true);
            transaction.subscribe(&format!("m{n:03}/gone"), true);
            transaction.create_mailbox(&format!("mx{n:03}"));
        }
        transaction.create_mailbox("group");
        transaction.create_mailbox("group/shown");
        transaction.annotate("group", "/shared/vendor/kolab/folder-type", Some(b"event"));
        transaction.annotate("group/shown", "/shared/vendor/kolab/folder-type", Some(b"event"));
        transaction.subscribe("group/shown", true);
        transaction.commit().await.unwrap();
        let expected: Vec<String> = (0..130)
            .flat_map(|n| {
                [
                    format!(r#"* LIST (\HasNoChildren \Subscribed) "/" m{n:03}"#),
                    format!("* STATUS m{n:03} (MESSAGES 0)"),
                    format!(r#"* LIST (\NonExistent \HasNoChildren \Subscribed) "/" m{n:03}/gone"#),
                ]
            })
            .collect();
        let mut client = world.login().await;
        client.send("l LIST (SUBSCRIBED) \"\" m* RETURN (STATUS (MESSAGES))\r\n").await;
        let told = client.until("l OK").await;
        let wrong = told.iter().zip(&expected).find(|(told, expected)| told != expected);
        assert_eq!((wrong, told.len()), (None, expected.len() + 1), "and the tagged response");
        client
            .play(
                "C: 1 LIST (SPECIAL-USE) \"\" m*
                S: 1 OK *
                C: 2 LIST (SUBSCRIBED) \"\" group*
                S: * LIST (\\HasNoChildren \\Subscribed) \"/\" group/shown
                S: 2 OK *
                C: 3 LIST (SUBSCRIBED RECURSIVEMATCH) \"\" group
                S: * LIST (\\HasChildren) \"/\" group (\"CHILDINFO\" (\"SUBSCRIBED\"))
                S: 3 OK *",
            )
            .await;
    });
}
