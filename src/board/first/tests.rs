//! The story of a card between a PC and a device.

use super::*;
use crate::config::export::to_toml;
use crate::config::problem::Severity;

const FILE: &str = "\u{feff}[server]\r\ndomains = [\"home.example\"]\r\noperator_password = \"s3cret-o\"\r\n\
    [smarthost]\r\nhost = \"smtp.provider.example\"\r\nusername = \"home\"\r\npassword = \"s3cret-\\\"s\\\"\"\r\n\
    [[account]]\r\nname = \"office\"\r\naddress = \"office@home.example\"\r\npassword = \"s3cret-ä\"\r\n";

/// A card and a data folder; gone when dropped.
struct Device {
    folder: PathBuf,
}

impl Device {
    fn new(test: &str) -> Device {
        let folder = std::env::temp_dir().join(format!("pillarbox-first-{test}-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("card")).unwrap();
        std::fs::write(folder.join("card").join(words::RESULT), " ".repeat(8192)).unwrap();
        Device { folder }
    }
    fn card(&self) -> PathBuf {
        self.folder.join("card")
    }
    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
    fn put(&self, octets: impl AsRef<[u8]>) {
        std::fs::write(self.card().join(NAMES[0]), octets).unwrap();
    }
    fn file(&self) -> Vec<u8> {
        std::fs::read(self.card().join(NAMES[0])).unwrap()
    }
    fn boot(&self) -> Outcome {
        import(&self.card(), &self.data()).unwrap()
    }
    fn imports(&self) -> Config {
        match self.boot() {
            Outcome::Imported { config, .. } => {
                assert_eq!(self.stored().0, *config);
                *config
            }
            other => panic!("{other:?}"),
        }
    }
    /// The note is as it was while the stars were written.
    fn pending(&self) {
        let flash = Disk::new(self.data()).unwrap();
        let mut note = Note::read(&flash).unwrap().unwrap();
        note.pending = true;
        write(&note, &flash, &self.data()).unwrap();
    }
    fn stored(&self) -> (Config, u64) {
        let loaded = file::load(&Disk::new(self.data()).unwrap()).unwrap().unwrap();
        (loaded.config, loaded.generation)
    }
    fn result(&self) -> String {
        let text = std::fs::read_to_string(self.card().join(words::RESULT)).unwrap();
        assert_eq!(text.len(), 8192);
        text
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_card_from_a_pc_configures_the_device_and_keeps_no_secret() {
    let device = Device::new("import");
    assert!(matches!(device.boot(), Outcome::NoFile));
    let result = device.result();
    assert!(result.contains("The device is new") && result.contains("http://pillarbox.local/"), "{result}");

    device.put(FILE);
    let config = device.imports();
    assert!(config.accounts[0].verifier.verify("s3cret-ä".as_bytes()));
    assert_eq!(config.smarthost.password.reveal(), "s3cret-\"s\"");
    assert_eq!(config.listen, Config::on_a_board().listen);
    let file = String::from_utf8(device.file()).unwrap();
    assert!(!file.contains("s3cret") && file.len() == FILE.len(), "{file}");
    assert!(file.contains("password = \"************\"") && file.contains("office@home.example"), "{file}");
    let result = device.result();
    assert!(result.contains("pillarbox.toml were imported and are in force.\r\n"), "{result}");
    assert!(
        result.contains("\r\n  office  office@home.example\r\n") && !result.contains("s3cret"),
        "{result}"
    );

    // Starts to come change nothing, whatever the operator does on the console.
    assert!(matches!(device.boot(), Outcome::Known));
    assert_eq!(device.stored().1, 1);

    // The stars stand for what is stored, until something is written over them.
    device.put(file.replace("home.example\"]", "home.example\", \"b.example\"]"));
    let changed = device.imports();
    assert_eq!((changed.server.domains.len(), &changed.accounts), (2, &config.accounts));
    assert_eq!(changed.smarthost.password, config.smarthost.password);
    assert_eq!(changed.server.operator_verifier, config.server.operator_verifier);
    let stars = "operator_password = \"********\"";
    device.put(file.replace(stars, "operator_password = \"new\""));
    assert!(device.imports().server.operator_verifier.verify(b"new"));
    // Also where the new one is as long as the old one.
    device.put(file.replace(stars, "operator_password = \"8 octets\""));
    assert!(device.imports().server.operator_verifier.verify(b"8 octets"));
    assert!(matches!(device.boot(), Outcome::Known));
}

/// Catches: the owner who compares what a browser warns of with the card, and finds nothing there, or the fingerprint of a CA
/// that there is no longer.
#[test]
fn the_card_says_by_which_fingerprint_the_device_is_known() {
    let device = Device::new("fingerprint");
    let shown = |device: &Device| {
        let text = device.result();
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| line.split(':').filter(|it| it.len() == 2).count() == 16);
        lines.collect::<String>()
    };
    let real = |device: &Device| {
        let pem = std::fs::read(device.data().join("tls/ca.pem")).unwrap();
        let der = rustls::pki_types::pem::PemObject::from_pem_slice(&pem).unwrap();
        let der: rustls::pki_types::CertificateDer = der;
        let octets = sha256(&der);
        octets.map(|octet| format!("{octet:02X}")).join(":")
    };
    assert!(matches!(device.boot(), Outcome::NoFile));
    let first = real(&device);
    assert_eq!(shown(&device), first, "{}", device.result());
    assert!(device.result().contains("is new"));
    // The same at each start, and when the file comes.
    assert!(matches!(device.boot(), Outcome::NoFile));
    device.put(FILE);
    let config = device.imports();
    assert_eq!((shown(&device), real(&device)), (first.clone(), first.clone()));

    // A host name that the first CA does not sign for: another certificate, and the card says so.
    let mut changed = config;
    changed.server.hostname = "mail.home.example".try_into().unwrap();
    let flash = Disk::new(device.data()).unwrap();
    async_io::block_on(file::save(&flash, &changed)).unwrap();
    let before = device.result();
    assert!(matches!(device.boot(), Outcome::Known));
    assert_ne!(real(&device), first);
    assert_eq!(shown(&device), real(&device), "{}", device.result());
    assert_ne!(device.result(), before);
    std::fs::remove_file(device.card().join(NAMES[0])).unwrap();
    assert!(matches!(device.boot(), Outcome::NoFile));
    assert!(device.result().contains("has its settings already"), "{}", device.result());

    // With a certificate from elsewhere there is no fingerprint to compare.
    changed.tls.certificate = "/etc/cert.pem".try_into().unwrap();
    changed.tls.key = "/etc/key.pem".try_into().unwrap();
    async_io::block_on(file::save(&flash, &changed)).unwrap();
    assert!(matches!(device.boot(), Outcome::NoFile));
    assert_eq!(shown(&device), "");
}

#[test]
fn mistakes_are_told_with_their_lines_and_change_nothing() {
    let device = Device::new("mistakes");
    device.put(FILE.replace("domains =", "domain ="));
    let Outcome::Refused(problems) = device.boot() else { panic!() };
    assert_eq!(problems.len(), 3);
    assert!(device.file().windows(6).any(|octets| octets == b"s3cret"), "it is needed for the next try");
    let result = device.result();
    assert!(result.contains("\r\n  line 2: unknown key domain: did you mean domains?\r\n"), "{result}");
    assert!(!device.data().join("config.postcard").exists() && !result.contains("s3cret"));

    // On another device the stars stand for nothing.
    device.put(FILE.replace("s3cret-ä", "********"));
    let Outcome::Refused(problems) = device.boot() else { panic!() };
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "line 11: password: the stars stand for what the device has stored, but it has nothing stored for this: write the password itself"
        ]
    );

    device.put("x\n".repeat(100_000));
    assert!(matches!(device.boot(), Outcome::Refused(_)));
    assert!(device.result().trim_end().ends_with("... and more than fits here"));
    // What is right at last is taken.
    device.put(FILE);
    device.imports();
}

#[test]
fn what_notepad_saves_is_understood() {
    let device = Device::new("notepad");
    let utf16 = |octets: fn(u16) -> [u8; 2]| -> Vec<u8> { FILE.encode_utf16().flat_map(octets).collect() };
    for octets in [utf16(u16::to_le_bytes), utf16(u16::to_be_bytes), FILE.replace("\r\n", "\n").into_bytes()]
    {
        device.put(&octets);
        assert!(device.imports().accounts[0].verifier.verify("s3cret-ä".as_bytes()));
        let after = device.file();
        let text = String::from_utf8(Encoding::of(&after).decoded(&after).into_owned()).unwrap();
        assert!(!text.contains("s3cret") && text.contains("office@home.example"), "{text}");
        assert_eq!(after.len(), octets.len());
        assert!(matches!(device.boot(), Outcome::Known));
    }
    // The old code page of Windows.
    device.put(b"[server]\r\ndomains = [\"home.example\"]\r\n# \xe4\r\n");
    assert!(matches!(device.boot(), Outcome::Refused(_)));
    assert!(device.result().contains("line 3: not UTF-8: save the file in the encoding UTF-8"));
    // Windows hides the ending that its editor adds.
    std::fs::remove_file(device.card().join(NAMES[0])).unwrap();
    std::fs::write(device.card().join(NAMES[1]), FILE).unwrap();
    device.imports();
    assert!(device.result().contains("pillarbox.toml.txt were imported"));
}

#[test]
fn a_power_cut_leaves_no_secret_readable_and_no_half_of_one_imported() {
    let device = Device::new("cut");
    device.put(FILE);
    let config = device.imports();
    let (before, after) = (FILE.as_bytes(), device.file());
    let generation = device.stored().1;
    // Sectors of any size reach the card in any order: here all up to some octet, or all behind it.
    for cut in (0..before.len()).step_by(7) {
        for (first, second) in [(&after[..], before), (before, &after[..])] {
            let torn = [&first[..cut], &second[cut..]].concat();
            device.pending();
            device.put(&torn);
            match device.boot() {
                Outcome::Blanked => {}
                Outcome::Known => assert_eq!(torn, after),
                other => panic!("{other:?}"),
            }
            assert_eq!(device.file(), after);
        }
    }
    assert_eq!(device.stored(), (config.clone(), generation));

    // A cut before the note: imported again, and the same comes of it.
    std::fs::remove_file(device.data().join(note::NAME)).unwrap();
    device.put(FILE);
    let again = device.imports();
    assert_eq!(device.file(), after);
    let shown = |config: &Config| to_toml(config, false);
    assert_eq!(shown(&again), shown(&config));
    assert!(again.accounts[0].verifier.verify("s3cret-ä".as_bytes()));
}

/// A file with passwords that are no longer, or not yet, in force.
const COMMENTED: &str = "\u{feff}# operator_password = \"s3cret-1\"\r\n[server]\r\ndomains = [\"home.example\"]\r\n\
    [[account]]\r\nname = \"office\" # Password: s3cret-2 ä\r\naddress = \"office@home.example\"\r\n\
    \t## password : 's3cret-3'\r\npassword = \"s3cret # password = x\"\r\n# [[account.source]]\r\n\
    #password = \"\"\"\r\n#   s3cret-4\r\n# \"\"\"\r\n# the office is open on Monday\r\n";

/// Catches: a password that stays readable since it is in a comment, in each encoding; one in force that is taken for a comment; a
/// file that is imported again and again; an owner who is not told.
#[test]
fn a_secret_in_a_comment_is_as_unreadable_as_the_others() {
    let device = Device::new("comments");
    let utf16 =
        |octets: fn(u16) -> [u8; 2]| -> Vec<u8> { COMMENTED.encode_utf16().flat_map(octets).collect() };
    let unix = COMMENTED.replace("\r\n", "\n").into_bytes();
    for octets in [COMMENTED.as_bytes().to_vec(), utf16(u16::to_le_bytes), utf16(u16::to_be_bytes), unix] {
        device.put(&octets);
        assert!(device.imports().accounts[0].verifier.verify(b"s3cret # password = x"));
        let after = device.file();
        let text = String::from_utf8(Encoding::of(&after).decoded(&after).into_owned()).unwrap();
        assert!(!text.contains("s3cret") && text.contains("# the office is open on Monday"), "{text}");
        assert!(
            text.contains("# operator_password = \"********\"") && text.contains("## password : '********'"),
            "{text}"
        );
        assert_eq!(after.len(), octets.len());
        let result = device.result();
        assert!(
            result.contains("keeps nothing: line 1, 5, 7, 11.\r\n") && !result.contains("s3cret"),
            "{result}"
        );
        assert!(matches!(device.boot(), Outcome::Known));
        assert_eq!(device.file(), after);
    }
    // An edit, with stars where they were: nothing is new in the comments, and nothing is said of them.
    let text = String::from_utf8(device.file()).unwrap();
    device.put(text.replace("Monday", "Sunday"));
    device.imports();
    assert!(!device.result().contains("keeps nothing"), "{}", device.result());
    // Refused: all is readable still, and that is said.
    device.put(COMMENTED.replace("domains =", "domain ="));
    assert!(matches!(device.boot(), Outcome::Refused(_)));
    assert!(device.result().contains("also those in comments, are still readable"), "{}", device.result());
}

/// Catches: cards of an earlier version, whose comments stay readable for ever, and a cut while that is made good.
#[test]
fn comments_that_an_earlier_version_has_left_get_their_stars_at_the_next_start() {
    let device = Device::new("left");
    device.put(COMMENTED);
    device.imports();
    let generation = device.stored().1;
    // As that version has left it: stars in what is in force, and a note of that.
    let starred = COMMENTED.replace("\"s3cret # password = x\"", "\"*********************\"");
    let flash = Disk::new(device.data()).unwrap();
    let in_force = secrets::places(&starred);
    let mut note = Note::new(starred.as_bytes(), Encoding::Utf8, in_force);
    note.pending = false;
    write(&note, &flash, &device.data()).unwrap();
    device.put(&starred);
    let Outcome::CommentsBlanked(lines) = device.boot() else { panic!() };
    assert_eq!(lines, [1, 5, 7, 11]);
    let after = device.file();
    assert!(!String::from_utf8_lossy(&after).contains("s3cret"));
    assert!(
        device.result().contains("imported at an earlier start")
            && device.result().contains("line 1, 5, 7, 11")
    );
    assert!(matches!(device.boot(), Outcome::Known));
    assert_eq!(device.stored().1, generation, "nothing was imported");

    for cut in (0..after.len()).step_by(5) {
        device.pending();
        device.put([&after[..cut], &starred.as_bytes()[cut..]].concat());
        assert!(matches!(device.boot(), Outcome::Blanked | Outcome::Known));
        assert_eq!(device.file(), after);
    }
    assert_eq!(device.stored().1, generation);
}

/// Catches: a refused file that has moved the settings about, and accounts that get another identity, so that their mail is nobody's,
/// when the settings of the moment are damaged.
#[test]
fn a_refused_file_is_a_look_and_changes_nothing_in_the_data_folder() {
    let device = Device::new("look");
    device.put(FILE);
    let first = device.imports();
    let text = String::from_utf8(device.file()).unwrap();
    device.put(text.replace("home.example\"]", "home.example\", \"b.example\"]"));
    device.imports();
    std::fs::write(device.data().join("config.postcard"), "damaged").unwrap();
    let names = || {
        let mut names: Vec<_> =
            std::fs::read_dir(device.data()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    device.put(text.replace("domains =", "domain ="));
    assert!(matches!(device.boot(), Outcome::Refused(_)));
    assert_eq!(names(), before);
    assert_eq!(std::fs::read(device.data().join("config.postcard")).unwrap(), b"damaged");
    // One that is taken: the identity stays, and what is damaged is kept for inspection.
    device.put(text.replace("home.example\"]", "home.example\", \"c.example\"]"));
    let config = device.imports();
    assert_eq!(config.accounts[0].id, first.accounts[0].id);
    assert!(device.data().join("config.postcard.damaged").exists());
}

/// Catches: a status that names persons or shows a secret, and one that says nothing.
#[test]
fn the_status_says_where_the_mistakes_are_and_not_what_they_are() {
    let problem = |at, severity| Problem { at, severity, text: "office: s3cret".to_owned() };
    let line = |line| problem(At::Line(line), Severity::Error);
    let path = || problem(At::Path("account.office.password".to_owned()), Severity::Error);
    for (problems, words) in [
        (vec![line(7)], "mistakes in line 7;"),
        (
            vec![line(11), line(2), line(2), problem(At::Line(5), Severity::Warning)],
            "mistakes in lines 2, 11;",
        ),
        (vec![line(3), path()], "mistakes in line 3, and in the file as a whole;"),
        (vec![path()], "mistakes in the file as a whole;"),
        ((1..=30).map(line).collect(), "mistakes in lines 1, 2, 3, 4, 5, 6, 7, 8 and 22 more;"),
    ] {
        let told = refusal(&problems);
        assert!(told.contains(words), "{told}");
        assert!(!told.contains("office") && !told.contains("s3cret"), "{told}");
        assert!(told.len() < 300, "a remark has no more room");
    }
}

/// Catches: a result file that is written anew at each start though it is right, which wears the card and loses what the import said.
#[test]
fn a_result_that_is_right_is_left_alone() {
    let device = Device::new("left-alone");
    device.put(FILE);
    device.imports();
    let result = device.card().join(words::RESULT);
    let state = || (std::fs::read(&result).unwrap(), std::fs::metadata(&result).unwrap().modified().unwrap());
    let before = state();
    for _ in 0..2 {
        assert!(matches!(device.boot(), Outcome::Known));
        assert_eq!(state(), before);
    }
}
