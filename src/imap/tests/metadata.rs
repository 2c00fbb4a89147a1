//! METADATA (RFC 5464), and what Connector clients find with it.

use super::*;
use crate::store::{ANNOTATION_MAX, ANNOTATIONS_MAX};

const CONNECTOR: &str = "C: i ID (\"name\" \"Outlook Connector\")";

#[test]
fn annotations_of_a_mailbox_and_of_the_account() {
    story(|world| async move {
        let mut client = world.login().await;
        client
            .play(
                "C: 1 SETMETADATA INBOX (/shared/comment \"all\" /private/Comment \"mine \\\"own\\\"\")
                S: 1 OK *
                C: 2 GETMETADATA inbox (/SHARED/comment /private/comment)
                S: * METADATA INBOX (\"/shared/comment\" \"all\" \"/private/comment\" \"mine \\\"own\\\"\")
                S: 2 OK *
                C: 3 GETMETADATA \"\" /shared/comment
                S: * METADATA \"\" (\"/shared/comment\" NIL)
                S: 3 OK *
                C: 4 SETMETADATA \"\" (/shared/comment ~{7+}
                C: one
                C: tw)
                S: 4 OK *
                C: 5 GETMETADATA \"\" (/shared/comment)
                S: * METADATA \"\" (\"/shared/comment\" {7}
                S: one
                S: tw)
                S: 5 OK *
                C: 6 SETMETADATA INBOX (/shared/comment NIL /private/none NIL)
                S: 6 OK *
                C: 7 GETMETADATA INBOX (/shared/comment /private/comment)
                S: * METADATA INBOX (\"/shared/comment\" NIL \"/private/comment\" *
                S: 7 OK *
                C: 8 GETMETADATA nowhere /shared/comment
                S: 8 NO [NONEXISTENT] *
                C: 9 SETMETADATA nowhere (/shared/comment x)
                S: 9 BAD *
                C: 10 SETMETADATA nowhere (/shared/comment \"x\")
                S: 10 NO [NONEXISTENT] *",
            )
            .await;
    });
}

#[test]
fn depth_and_the_longest_value() {
    story(|world| async move {
        let mut client = world.login().await;
        client
            .play(
                "C: 1 SETMETADATA INBOX (/shared/a \"1\" /shared/a/b \"22\" /shared/a/b/c \"333\" /shared/ab \"4\")
                S: 1 OK *
                C: 2 GETMETADATA (DEPTH 1) INBOX /shared/a
                S: * METADATA INBOX (\"/shared/a\" \"1\" \"/shared/a/b\" \"22\")
                S: 2 OK *
                C: 3 GETMETADATA (MAXSIZE 1 DEPTH infinity) INBOX (/shared/a)
                S: * METADATA INBOX (\"/shared/a\" \"1\")
                S: 3 OK [METADATA LONGENTRIES 3] *
                C: 4 GETMETADATA (DEPTH infinity) INBOX (/shared/a/b /shared/a)
                S: * METADATA INBOX (\"/shared/a/b\" \"22\" \"/shared/a/b/c\" \"333\" \"/shared/a\" \"1\")
                S: 4 OK GETMETADATA *
                C: 5 GETMETADATA (MAXSIZE 2) INBOX /shared/a/b/c
                S: 5 OK [METADATA LONGENTRIES 3] *
                C: 6 GETMETADATA (DEPTH infinity) INBOX /private/a
                S: 6 OK *",
            )
            .await;
    });
}

#[test]
fn annotations_have_limits_and_a_refusal_changes_nothing() {
    story(|world| async move {
        let mut client = world.login().await;
        let long = "x".repeat(ANNOTATION_MAX + 1);
        client.send(&format!("1 SETMETADATA INBOX (/shared/a \"1\" /shared/b {{{}+}}\r\n", long.len())).await;
        client.send(&format!("{long})\r\n")).await;
        client
            .play(&format!(
                "S: 1 NO [METADATA MAXSIZE {ANNOTATION_MAX}] *
                C: 2 GETMETADATA INBOX /shared/a
                S: * METADATA INBOX (\"/shared/a\" NIL)
                S: 2 OK *"
            ))
            .await;
    });
}

#[test]
fn there_are_only_so_many_annotations() {
    story(|world| async move {
        let mut client = world.login().await;
        let all: Vec<String> = (0..ANNOTATIONS_MAX).map(|n| format!("/shared/{n} \"x\"")).collect();
        client
            .play(&format!(
                "C: 1 SETMETADATA INBOX ({all} /shared/more \"x\")
                S: 1 NO [METADATA TOOMANY] *
                C: 2 SETMETADATA INBOX ({all})
                S: 2 OK *
                C: 3 SETMETADATA INBOX (/shared/more \"x\")
                S: 3 NO [METADATA TOOMANY] *
                C: 4 SETMETADATA INBOX (/shared/0 \"y\")
                S: 4 OK *
                C: 5 SETMETADATA INBOX (/shared/0 NIL /shared/more \"x\")
                S: 5 OK *
                C: 6 SETMETADATA \"\" (/shared/more \"x\")
                S: 6 OK *",
                all = all.join(" ")
            ))
            .await;
    });
}

#[test]
fn an_annotation_goes_with_its_mailbox_and_lasts() {
    story(|world| async move {
        let mut client = world.login().await;
        client
            .play(
                "C: 1 CREATE a
                S: 1 OK *
                C: 2 SETMETADATA a (/shared/comment \"x\")
                S: 2 OK *
                C: 3 RENAME a b/c
                S: 3 OK *
                C: 4 GETMETADATA b/c /shared/comment
                S: * METADATA b/c (\"/shared/comment\" \"x\")
                S: 4 OK *
                C: 5 CREATE a
                S: 5 OK *
                C: 6 GETMETADATA a /shared/comment
                S: * METADATA a (\"/shared/comment\" NIL)
                S: 6 OK *
                C: 7 LOGOUT
                S: * BYE *
                S: 7 OK *
                S:",
            )
            .await;
        // Called twice: only the second call finds the account unused.
        world.context.store.close_unused();
        world.context.store.close_unused();
        assert!(world.context.store.open_accounts().is_empty());
        let mut client = world.login().await;
        client
            .play(
                "C: 1 GETMETADATA b/c /shared/comment
                S: * METADATA b/c (\"/shared/comment\" \"x\")
                S: 1 OK *
                C: 2 DELETE b/c
                S: 2 OK *
                C: 3 CREATE b/c
                S: 3 OK *
                C: 4 GETMETADATA b/c /shared/comment
                S: * METADATA b/c (\"/shared/comment\" NIL)
                S: 4 OK *",
            )
            .await;
    });
}

fn connectors(world: &World) {
    world.reconfigure(|config| {
        config.server.connector = true;
        config.accounts[0].connector = true;
    });
}

const FOLDERS: [(&str, &str); 5] = [
    ("Calendar", "event.default"),
    ("Contacts", "contact.default"),
    ("Tasks", "task.default"),
    ("Notes", "note.default"),
    ("Journal", "journal.default"),
];

#[test]
fn a_connector_client_finds_its_folders() {
    for id_first in [true, false] {
        story(|world| async move {
            connectors(&world);
            let mut mail = world.login().await;
            mail.play("C: 1 LIST \"\" Calendar\nS: 1 OK *").await;
            let mut client = world.connect().await;
            client.play("S: * OK *").await;
            let (id, login) =
                (format!("{CONNECTOR}\nS: * ID *\nS: i OK *"), "C: l LOGIN fred secret\nS: l OK *");
            let steps = if id_first { [&id, login] } else { [login, &id] };
            for step in steps {
                client.play(step).await;
            }
            for (name, kind) in FOLDERS {
                client
                    .play(&format!(
                        "C: 1 LIST \"\" {name}
                        S: * LIST (\\HasNoChildren) \"/\" {name}
                        S: 1 OK *
                        C: 2 GETMETADATA {name} /shared/vendor/kolab/folder-type
                        S: * METADATA {name} (\"/shared/vendor/kolab/folder-type\" \"{kind}\")
                        S: 2 OK *"
                    ))
                    .await;
                // Mail programs see the folder when they have subscribed to it.
                mail.play(&format!("C: 1 LIST \"\" {name}\nS: 1 OK *")).await;
                mail.play(&format!("C: 2 SUBSCRIBE {name}\nS: 2 OK *")).await;
                mail.play(&format!("C: 3 LIST \"\" {name}\nS: * LIST *\nS: 3 OK *")).await;
            }
        });
    }
}

/// Catches: a groupware folder above a listed mailbox that is listed as `\Noselect`, or not at all.
#[test]
fn a_folder_of_groupware_above_a_subscribed_one_is_told() {
    story(|world| async move {
        let mut mail = world.login().await;
        mail.play(
            "C: 1 CREATE Team/Calendar/Mine
            S: 1 OK *
            C: 3 SETMETADATA Team/Calendar (/shared/vendor/kolab/folder-type \"event\")
            S: 3 OK *
            C: 4 SETMETADATA Team/Calendar/Mine (/shared/vendor/kolab/folder-type \"event\")
            S: 4 OK *
            C: 5 LIST \"\" Team*
            S: * LIST (\\HasNoChildren) \"/\" Team
            S: 5 OK *
            C: 6 SUBSCRIBE Team/Calendar/Mine
            S: 6 OK *
            C: 7 LIST \"\" Team*
            S: * LIST (\\HasChildren) \"/\" Team
            S: * LIST (\\HasChildren) \"/\" Team/Calendar
            S: * LIST (\\HasNoChildren) \"/\" Team/Calendar/Mine
            S: 7 OK *",
        )
        .await;
    });
}

#[test]
fn folders_that_are_there_are_not_made_again() {
    story(|world| async move {
        connectors(&world);
        let mut mail = world.login().await;
        mail.play("C: 1 CREATE Notes\nS: 1 OK *").await;
        let mut client = world.login().await;
        let id = format!("{CONNECTOR}\nS: * ID *\nS: i OK *");
        client.play(&id).await;
        // The user's own folder gets the mark, and is still listed.
        mail.play("C: 2 LIST \"\" Notes\nS: * LIST *\nS: 2 OK *").await;
        client.play("C: 3 RENAME Calendar Kalender\nS: 3 OK *\nC: 4 DELETE Tasks\nS: 4 OK *").await;
        client.play(&id).await;
        client
            .play(
                "C: 5 LIST \"\" Calendar
                S: 5 OK *
                C: 6 LIST \"\" Tasks
                S: * LIST *
                S: 6 OK *
                C: 7 CREATE Kalender/Lists
                S: 7 OK *",
            )
            .await;
        // A groupware folder above a mail folder is listed.
        mail.play(
            "C: 8 LIST \"\" Kal*
            S: * LIST (\\HasChildren) \"/\" Kalender
            S: * LIST (\\HasNoChildren) \"/\" Kalender/Lists
            S: 8 OK *",
        )
        .await;
    });
}

#[test]
fn without_the_right_no_folders_are_made() {
    story(|world| async move {
        let mut client = world.login().await;
        client.play(&format!("{CONNECTOR}\nS: * BYE *\nS:")).await;
        assert!(world.fred().await.find("Calendar").is_none());
    });
}

#[test]
fn a_full_flash_keeps_no_connector_client_out() {
    story(|world| async move {
        connectors(&world);
        let mut client = world.login().await;
        world.flash.limit(Some(0));
        client.play(&format!("{CONNECTOR}\nS: * ID *\nS: i OK *")).await;
        assert!(world.fred().await.find("Calendar").is_none());
        world.flash.limit(None);
        client.play("C: 1 NOOP\nS: 1 OK *").await;
        client.play(&format!("{CONNECTOR}\nS: * ID *\nS: i OK *")).await;
        assert!(world.fred().await.find("Calendar").is_some());
    });
}
