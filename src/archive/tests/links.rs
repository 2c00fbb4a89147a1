//! Symbolic links, and other things that are neither files nor folders, in the folders of imports and exports.

use std::os::unix::fs::symlink;

use super::*;

const SECRET: &str =
    "From a Sat Jan  1 00:00:00 2000\nSubject: SECRET\n\nkeyword SECRET\n0 SECRET\nINBOX.SECRET\n";

/// A folder with mail, beside files that the appliance can read and the person who named the folder cannot.
fn given() -> Folder {
    let folder = Folder::new();
    for dir in ["mail/cur", "mail/new", "secret/cur", "secret/new"] {
        fs::create_dir_all(folder.join(dir)).unwrap();
    }
    fs::write(folder.join("mail/cur/1:2,S"), "Subject: harmless\n\n").unwrap();
    for file in ["secret/ca.key", "secret/cur/1:2,S", "secret/box.mbox"] {
        fs::write(folder.join(file), SECRET).unwrap();
    }
    folder
}

/// Imports `mail`. Returns how many messages came, and what was reported.
fn imported(folder: &Folder, mail: &str) -> (u64, String) {
    let (account, ear) = (account(), Ear::default());
    let outcome = smol::block_on(import(&account, &folder.join(mail), &ear));
    assert!(!dump(&account).contains("SECRET"), "{}", dump(&account));
    let told = ear.lines.borrow().join("\n");
    match outcome {
        Ok(summary) => {
            assert_eq!(summary.problems, ear.lines.borrow().len() as u64);
            (summary.written, told)
        }
        Err(failure) => (0, failure.words()),
    }
}

/// Catches: the CA's key in an INBOX, through a link anywhere the import reads, and a link that is skipped without a
/// report.
#[test]
fn an_import_follows_no_link() {
    for (link, to, name) in [
        ("mail/cur/2:2,S", "secret/ca.key", "cur/2:2,S"),
        ("mail/new/3", "secret/ca.key", "new/3"),
        ("mail/.Archive", "secret", ".Archive"),
        ("mail/.Sub/cur", "secret/cur", ".Sub/cur"),
        ("mail/pillarbox-mailbox", "secret/ca.key", "pillarbox-mailbox"),
        ("mail/pillarbox-export", "secret/ca.key", "pillarbox-export"),
        ("mail/dovecot-uidlist", "secret/ca.key", "dovecot-uidlist"),
        ("mail/dovecot-keywords", "secret/ca.key", "dovecot-keywords"),
        ("mail/subscriptions", "secret/ca.key", "subscriptions"),
    ] {
        for absolute in [true, false] {
            let folder = given();
            let at = folder.join(link);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            let up = "../".repeat(link.matches('/').count());
            let to = if absolute { folder.join(to) } else { PathBuf::from(up + to) };
            symlink(to, &at).unwrap();
            let (written, told) = imported(&folder, "mail");
            assert_eq!(written, 1, "{link}: {told}");
            assert!(told.contains(&format!("mail/{name}: ")) && told.contains("none is followed"), "{told}");
        }
    }
    // The link is all there is, or is what was named.
    let folder = given();
    for dir in ["boxes", "half/new"] {
        fs::create_dir_all(folder.join(dir)).unwrap();
    }
    symlink(folder.join("secret/box.mbox"), folder.join("boxes/inbox.mbox")).unwrap();
    symlink(folder.join("secret/cur"), folder.join("half/cur")).unwrap();
    symlink("secret", folder.join("link")).unwrap();
    for mail in ["boxes", "boxes/inbox.mbox", "half", "link", "link/"] {
        let (written, told) = imported(&folder, mail);
        assert!(written == 0 && told.contains("none is followed"), "{mail}: {told}");
    }
    // Other files beside a single mbox file are not looked at.
    symlink(folder.join("secret/ca.key"), folder.join("boxes/subscriptions")).unwrap();
    // A manifest beside an mbox file is.
    fs::write(folder.join("boxes/a.mbox"), "From a Sat Jan  1 00:00:00 2000\nSubject: harmless\n\n").unwrap();
    symlink(folder.join("secret/ca.key"), folder.join("boxes/a.pillarbox")).unwrap();
    let (written, told) = imported(&folder, "boxes/a.mbox");
    assert!(written == 1 && told.contains("a.pillarbox: not used") && !told.contains('\n'), "{told}");
}

/// Catches: an appliance that waits for the other end of a pipe for ever, with everybody's mail.
#[test]
fn an_import_waits_for_no_pipe() {
    for name in
        ["pillarbox-export", "pillarbox-mailbox", "dovecot-uidlist", "subscriptions", "cur/2", "new/2"]
    {
        let folder = given();
        let (pipe, mode) = (folder.join("mail").join(name), rustix::fs::Mode::RUSR);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert_eq!(imported(&folder, "mail").0, 1, "{name}");
    }
}

/// Catches: an export that writes through a link, over a file that the person who named the folder may not write.
#[test]
fn an_export_writes_through_no_link() {
    let account = smol::block_on(three());
    for format in Format::ALL {
        for (link, to) in [
            ("cur", "secret/cur"),
            ("tmp", "secret"),
            ("pillarbox-mailbox.new", "secret/ca.key"),
            ("pillarbox-mailbox", "secret/ca.key"),
            ("dovecot-uidlist.new", "secret/ca.key"),
            ("subscriptions.new", "secret/ca.key"),
            ("inbox.mbox.new", "secret/ca.key"),
            ("INBOX.mbox.new", "secret/ca.key"),
            ("INBOX.pillarbox.new", "secret/ca.key"),
            ("pillarbox-export.new", "secret/ca.key"),
        ] {
            let folder = given();
            let before = tree(&folder.join("secret"));
            export_to(&account, &folder.join("out"), format);
            let at = folder.join("out").join(link);
            if at.is_dir() {
                fs::remove_dir_all(&at).unwrap();
            } else {
                let _ = fs::remove_file(&at);
            }
            symlink(folder.join(to), &at).unwrap();
            // A message must be written again.
            smol::block_on(deliver(&account, INBOX, b"Subject: new\r\n\r\n", Flags::NONE, &[], 7));
            let outcome = smol::block_on(export(&account, &folder.join("out"), format, &Ear::default()));
            assert_eq!(tree(&folder.join("secret")), before, "{link}: {outcome:?}");
        }
    }
    let folder = given();
    symlink("secret", folder.join("link")).unwrap();
    let before = tree(&folder.join("secret"));
    let outcome = smol::block_on(export(&account, &folder.join("link"), Format::Mbox, &Ear::default()));
    assert!(outcome.unwrap_err().words().contains("none is followed"));
    assert_eq!(tree(&folder.join("secret")), before);
}

/// Catches: a line or a text without end that fills the memory.
#[test]
fn what_has_no_end_is_not_read_into_memory() {
    for (name, begin) in [
        ("pillarbox-mailbox", "pillarbox-mailbox 1\nname INBOX\nuidvalidity 7\nkeyword "),
        ("dovecot-uidlist", "3 V7 N9\n"),
    ] {
        let folder = given();
        let path = folder.join("mail").join(name);
        fs::write(&path, begin).unwrap();
        fs::File::options().append(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        let (written, told) = imported(&folder, "mail");
        assert!(written == 1 && told.contains(&format!("{name}: not used: ")), "{told}");
    }
}
