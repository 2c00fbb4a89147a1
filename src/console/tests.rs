//! Sessions of operators, told as transcripts: after `> ` what is typed, below it what is said. A `! ` marks a refusal.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use super::command::complete;
use super::session::{Session, Step};
use super::table::TABLE;
use crate::board::device::{Memory, Standing};
use crate::board::slots::Slot;
use crate::config::{Config, Protocol};
use crate::context::Connected;
use crate::credential::Verifier;
use crate::flash::Space;
use crate::multipop::{Going, PollResult, SourceStatus};
use crate::operator::World;
use crate::operator::status::Status;
use crate::relay::{QueueEntry, SentBy, Shown};
use crate::store::Unclaimed;

/// An appliance that only exists for the console.
pub(super) struct Pretended {
    pub(super) config: RefCell<Rc<Config>>,
    pub(super) status: Status,
    collected: Cell<usize>,
    pub(super) board: RefCell<Option<Standing>>,
    sessions: RefCell<Vec<Connected>>,
    pub(super) unclaimed: Vec<Unclaimed>,
}

impl Pretended {
    pub(super) fn new() -> Pretended {
        let mut config = Config::demonstration(Verifier::with("pass", 1, [0; 16]));
        // As in the texts below, where an account of a domain of mail is beside it.
        config.server.domains = vec!["home.example".try_into().unwrap()];
        config.accounts[0].address = "demo@home.example".try_into().unwrap();
        Pretended {
            config: RefCell::new(Rc::new(config)),
            status: Status::default(),
            collected: Cell::new(0),
            board: RefCell::default(),
            sessions: RefCell::default(),
            unclaimed: Vec::new(),
        }
    }
}

impl World for Pretended {
    fn config(&self) -> Rc<Config> {
        self.config.borrow().clone()
    }
    fn status(&self) -> Status {
        self.status.clone()
    }
    fn board(&self) -> Option<Standing> {
        self.board.borrow().clone()
    }
    fn log(&self) -> Option<String> {
        self.board().map(|_| "a line\n".to_owned())
    }
    fn knows_time(&self) -> bool {
        self.board().is_none()
    }
    fn refusals(&self) -> Vec<String> {
        Vec::new()
    }
    fn sessions(&self) -> Vec<Connected> {
        self.sessions.borrow().clone()
    }
    fn disconnect(&self, id: u64) -> bool {
        let mut sessions = self.sessions.borrow_mut();
        let before = sessions.len();
        sessions.retain(|session| session.id != id);
        sessions.len() < before
    }
    fn last_use(&self, _: &str, app: &str) -> Option<i64> {
        (app == "phone").then_some(self.status.now - 90)
    }
    fn collect(&self, account: Option<&str>) -> usize {
        self.collected.set(self.collected.get() + 1);
        if account == Some("demo") { 1 } else { 2 }
    }
    fn stop_collecting(&self, account: Option<&str>) -> usize {
        self.collect(account)
    }
    fn unclaimed(&self) -> Vec<Unclaimed> {
        self.unclaimed.clone()
    }
    fn message(&self, id: u32) -> Option<Shown> {
        self.status.queue.iter().find(|queued| queued.id == id).map(|queued| Shown {
            listed: queued.clone(),
            recipients: vec![("a@x.example".to_owned(), "waiting".to_owned())],
            history: vec![(970, "<a@x.example>: no answer".to_owned())],
            header: vec!["Subject: hello".to_owned(), String::new()],
        })
    }
    fn retry(&self) {}
}

/// Types what stands after each `> ` and writes down the dialog.
pub(super) fn replay(world: &Pretended, session: &mut Session, expected: &str) -> String {
    let mut transcript = String::new();
    for typed in expected.lines().filter_map(|line| line.trim_start().strip_prefix('>')) {
        let typed = typed.strip_prefix(' ').unwrap_or(typed);
        transcript += format!("> {typed}").trim_end();
        transcript += "\n";
        let mut step = session.line(world, typed);
        if let Step::Commit { base, warnings } = step {
            let outcome = if Rc::ptr_eq(&base, &world.config()) {
                *world.config.borrow_mut() = Rc::new(session.candidate().clone());
                Ok(())
            } else {
                Err("someone else was faster".to_owned())
            };
            step = session.committed(world, outcome, warnings);
        }
        transcript += &match step {
            Step::Say(text) => text,
            Step::Refuse(why) => why.lines().map(|line| format!("! {line}\n")).collect(),
            Step::Quit => "(the end)\n".to_owned(),
            other => format!("{other:?}\n"),
        };
    }
    transcript
}

/// The transcript without its indentation.
fn plain(text: &str) -> String {
    text.trim().lines().map(|line| line.trim_start().to_owned() + "\n").collect()
}

#[track_caller]
pub(super) fn told(world: &Pretended, expected: &str) {
    let mut session = Session::new(world);
    let transcript = replay(world, &mut session, expected);
    assert_eq!(plain(&transcript), plain(expected), "got:\n{transcript}");
}

#[test]
fn an_account_is_made() {
    let world = Pretended::new();
    told(
        &world,
        "> add account office
         `password office` gives it a password
         > password office
         > correct horse
         > correct horse
         > set account.office.pop_lan_only true
         > show accounts
         NAME    ADDRESS              POP3  IMAP  SOURCES
         demo    demo@home.example    on    on    0 (off)
         office  office@home.example  LAN   on    0 (off)
         > quit
         ! there are changes: `commit` or `rollback` them first
         > commit
         in force
         > quit
         (the end)",
    );
    let config = world.config();
    let office = config.account("office").unwrap();
    assert!(office.pop_lan_only && office.verifier.verify(b"correct horse"));
}

#[test]
fn passwords_are_asked_for_twice_and_never_said() {
    let world = Pretended::new();
    told(
        &world,
        "> password demo
         > number one
         > number two
         ! the two differ: the password stays as it was
         > password demo
         >
         ! nothing was typed: the password stays as it was
         > password smarthost.password
         > hush \"quoted\"
         > hush \"quoted\"
         > show config smarthost.password
         smarthost.password = \"[secret]\"
         > commit
         in force
         > password server.hostname
         ! `server.hostname` is neither an account nor the path of a password
         > password nobody
         ! `nobody` is neither an account nor the path of a password",
    );
    assert!(world.config().accounts[0].verifier.verify(b"pass"));
    assert_eq!(world.config().smarthost.password.reveal(), "hush \"quoted\"");
}

#[test]
fn what_is_wrong_is_not_put_in_force() {
    let world = Pretended::new();
    let before = world.config();
    let mut session = Session::new(&world);
    for (line, words) in [
        ("set server.max_connections many", "server.max_connections"),
        ("set server.hostnam x", "server.hostname"),
        ("show nix", "there is no command `show nix`: `help show` lists what may follow `show`"),
        ("rename anna x", "there is no command `rename anna`: `help rename` lists"),
        ("nix show", "there is no command `nix`: `help` lists them all"),
        ("add account No-Good!", "No-Good!"),
        ("add source nobody", "nobody"),
        ("remove account nobody", "nobody"),
        ("remove source demo 1", "demo"),
        ("remove setting server", "server"),
        ("set server.hostname", "usage: set PATH VALUE"),
        ("collect nobody", "no account `nobody`"),
        ("show", "show status [json] | show accounts"),
        ("show status xml", "usage: show status [json]"),
        ("sho", "one of: show status [json] | show accounts"),
        ("shw status", "no command `shw`"),
        ("po", "one of: power off"),
        ("quit now", "usage: quit"),
        ("remove message one", "a number from `show queue`"),
    ] {
        match session.line(&world, line) {
            Step::Refuse(why) => assert!(why.contains(words), "{line}: {why}"),
            step => panic!("{line}: {step:?}"),
        }
    }
    assert!(matches!(session.line(&world, "commit"), Step::Say(text) if text == "nothing has changed\n"));
    assert!(Rc::ptr_eq(&before, &world.config()));
}

#[test]
fn two_operators_do_not_undo_each_other() {
    let world = Pretended::new();
    let (mut first, mut second) = (Session::new(&world), Session::new(&world));
    replay(&world, &mut first, "> set server.hostname first.example");
    replay(&world, &mut second, "> set server.hostname second.example\n> commit");
    let end = replay(&world, &mut first, "> commit\n> rollback\n> show config server.hostname");
    assert_eq!(
        end,
        "> commit\n! someone else was faster\n> rollback\n> show config server.hostname\n\
         server.hostname = \"second.example\"\n"
    );
    // Who has changed nothing sees what others have put in force.
    replay(&world, &mut second, "> set server.hostname third.example\n> commit");
    let seen = replay(&world, &mut first, "> show config server.hostname");
    assert!(seen.contains("third.example"), "{seen}");
}

#[test]
fn a_configuration_is_pasted() {
    let world = Pretended::new();
    told(
        &world,
        "> import
         paste the TOML text; a line with a dot ends it, Control-C gives up
         > [server]
         > hostname = \"pasted.example\"
         > domains = [\"home.example\"]
         > [[account]]
         > name = \"new\"
         > address = \"new@home.example\"
         > password = \"long enough\"
         > .
         imported: `commit` puts it in force
         > commit
         in force
         > show accounts
         NAME  ADDRESS           POP3  IMAP  SOURCES
         new   new@home.example  on    on    0 (off)",
    );
    assert_eq!(world.config().server.hostname, "pasted.example");

    let mut session = Session::new(&world);
    let refused = replay(&world, &mut session, "> import\n> [server]\n> hostnam = 1\n> .\n> check");
    assert!(refused.contains("! line 2:"), "{refused}");
    assert!(refused.ends_with("> check\nnothing is wrong\n"), "{refused}");
}

#[test]
fn what_is_exported_can_be_imported() {
    let world = Pretended::new();
    let mut session = Session::new(&world);
    let Step::Say(toml) = session.line(&world, "export with-secrets") else { panic!("no export") };
    session.line(&world, "import");
    toml.lines().for_each(|line| drop(session.line(&world, line)));
    session.line(&world, ".");
    assert_eq!(session.candidate(), &*world.config());
}

#[test]
fn a_paste_without_end_is_bounded() {
    let world = Pretended::new();
    let mut session = Session::new(&world);
    session.line(&world, "import");
    let line = "#".repeat(1000);
    let refused = (0..1000).find_map(|_| match session.line(&world, &line) {
        Step::Refuse(why) => Some(why),
        _ => None,
    });
    assert_eq!(refused.as_deref(), Some("more than 256 KiB: nothing was imported"));
}

#[test]
fn a_script_that_leaves_something_undone_fails() {
    for (script, undone) in [
        ("> show accounts", None),
        ("> set server.hostname x.example", Some("`commit`")),
        ("> set server.hostname x.example\n> commit", None),
        ("> import\n> [server]", Some("dot")),
        ("> password demo\n> one", Some("twice")),
    ] {
        let world = Pretended::new();
        let mut session = Session::new(&world);
        replay(&world, &mut session, script);
        match (session.ended(), undone) {
            (Ok(()), None) => {}
            (Err(why), Some(word)) => assert!(why.contains(word), "{script}: {why}"),
            (outcome, _) => panic!("{script}: {outcome:?}"),
        }
    }
}

#[test]
fn sources_and_queue_are_shown() {
    let mut world = Pretended::new();
    world.status = Status { now: 1000, sources: vec![source()], queue: vec![queued()], ..Status::default() };
    told(
        &world,
        "> show sources
         ACCOUNT  SOURCE                           LAST POLL  NEXT   COLLECTED  STATE
         demo     me@provider at pop.provider:995  10s ago    in 5m  7          failed 2 times: login refused
         > show queue
         NUMBER  ACCOUNT  FROM               TO           SIZE     ACCEPTED  STATE
         3       demo     demo@home.example  a@x.example  2.0 KiB  40s ago   next try in 1m, 1 before: no answer
         > show refusals
         no login was refused since the start
         > collect
         collecting from 2 sources
         > collect demo
         collecting from 1 source
         > collect stop
         2 sources are stopped until `collect` or the next start; what has come is kept
         > collect stop demo
         1 source is stopped until `collect` or the next start; what has come is kept
         > collect stop nobody
         ! there is no account `nobody`
         > remove message 3
         RemoveMessage(3)",
    );
    assert_eq!(world.collected.get(), 4);
}

/// Catches: a first collection of hours that says nothing but "polling"; one message that reads as a failure of all.
#[test]
fn a_source_says_how_far_it_is() {
    let going = Going {
        messages: 1200,
        of_messages: 5000,
        octets: 30 << 20,
        of_octets: 120 << 20,
        time: std::time::Duration::from_secs(60),
    };
    let polling = SourceStatus { polling: true, going: Some(going), ..source() };
    let partly = PollResult::Partly { error: "it broke".into(), messages: 1, collected: 2 };
    let mut world = Pretended::new();
    world.status.sources = vec![
        polling.clone(),
        SourceStatus { going: Some(Going { of_octets: 0, ..going }), ..polling.clone() },
        SourceStatus { going: None, ..polling.clone() },
        SourceStatus { held: true, ..polling.clone() },
        SourceStatus { held: true, polling: false, ..polling },
        SourceStatus { last_result: Some(partly), ..source() },
    ];
    let mut session = Session::new(&world);
    let Step::Say(shown) = session.line(&world, "show sources") else { panic!() };
    let states: Vec<&str> =
        shown.lines().skip(1).map(|row| row.split("  7          ").nth(1).unwrap()).collect();
    assert_eq!(
        states,
        [
            "1200 of 5000 messages, 30.0 MiB of 120.0 MiB, 512.0 KiB/s, 3m to go",
            "1200 of 5000 messages, 30.0 MiB, 512.0 KiB/s",
            "polling",
            "stopping",
            "stopped: `collect` goes on",
            "good, but for one message: it broke",
        ]
    );
    let status = world.status.to_string();
    assert!(
        status.contains("sources    6, 6 failing: see `show sources`, 3 collecting, 2 stopped by"),
        "{status}"
    );
    let json = world.status.to_json();
    for part in [
        "\"stopped\":false,\"polling\":true,\"progress\":{\"messages\":1200,\"of_messages\":5000,\"octets\":31457280,\
         \"of_octets\":125829120,\"seconds\":60,\"to_go\":180}",
        "\"stopped\":true,\"polling\":false,",
        "\"error\":\"it broke\"",
    ] {
        assert!(json.contains(part), "{part} in {json}");
    }
}

#[test]
fn the_wear_of_the_flash_is_told() {
    let mut world = Pretended::new();
    world.status.space = Some(Space { total: 1 << 30, free: 1 << 29 });
    world.status.uptime = std::time::Duration::from_secs(7200);
    world.status.written = Some(1 << 20);
    told(
        &world,
        "> show flash
         room       512.0 MiB free of 1.0 GiB; below 16.0 MiB new mail is refused
         appliance  1.0 MiB written in the 2h since its start: 12.0 MiB a day",
    );
    world.status.device_written = Some(3 << 20);
    world.status.uptime = std::time::Duration::from_secs(300);
    told(
        &world,
        "> show flash
         room       512.0 MiB free of 1.0 GiB; below 16.0 MiB new mail is refused
         appliance  1.0 MiB written in the 5m since its start
         partition  3.0 MiB written since the device was switched on, with what the file system writes",
    );
}

#[test]
fn a_board_has_its_own_defaults() {
    let world = Pretended::new();
    *world.board.borrow_mut() = Some(Standing::default());
    let mut session = Session::new(&world);
    for line in ["remove setting listen.imaps", "import", "[server]", "domains = [\"home.example\"]", "."] {
        let step = session.line(&world, line);
        assert!(matches!(step, Step::Say(_)), "{line}: {step:?}");
    }
    assert_eq!(session.candidate().listen, Config::on_a_board().listen);
}

fn source() -> SourceStatus {
    SourceStatus {
        account: "demo".into(),
        host: "pop.provider".into(),
        port: 995,
        protocol: Protocol::Pop3,
        username: "me@provider".into(),
        folders: vec!["INBOX".into()],
        waits_for_news: false,
        enabled: true,
        held: false,
        polling: false,
        going: None,
        waiting_for_time: false,
        last_poll: Some(990),
        last_result: Some(PollResult::Failed { error: "login refused".into(), collected: 0 }),
        next_poll: Some(1300),
        failures: 2,
        collected: 7,
        again: 0,
    }
}

pub(super) fn queued() -> QueueEntry {
    QueueEntry {
        id: 3,
        from: "demo@home.example".into(),
        to: vec!["a@x.example".into()],
        size: 2048,
        created: 960,
        attempts: 1,
        next_try: 1060,
        last_error: Some("no answer".into()),
        sent_by: SentBy::Account("demo".into()),
        ..QueueEntry::default()
    }
}

#[test]
fn completion_comes_from_the_table() {
    let world = Pretended::new();
    let session = Session::new(&world);
    for (line, expected) in [
        ("sho", "show"),
        ("show s", "sessions sources status"),
        ("sh s", "sessions sources status"),
        ("sh q", "queue"),
        ("show account ", "demo"),
        ("collect ", "demo stop"),
        ("set smarthost.security ", "none starttls tls"),
        ("set account.demo.imap ", "false true"),
        ("help show sta", "status"),
        ("help smarthost.ho", "smarthost.host"),
        ("show config smarthost.oauth2.cl", "smarthost.oauth2.client_id smarthost.oauth2.client_secret"),
        ("show status ", "json"),
        ("add ", "account app-password source"),
        ("add source ", "demo"),
        ("set server.host", "server.hostname"),
        ("set server.hostname ", "\"pillarbox.local\""),
        ("password smarthost.p", "smarthost.password"),
        ("oauth2 ", "demo smarthost"),
        ("remove source demo ", ""),
        ("export ", "with-secrets"),
        ("quit ", ""),
        ("nonsense ", ""),
    ] {
        assert_eq!(complete(&session, line).join(" "), expected, "{line}");
    }
}

#[test]
fn every_command_has_help() {
    let world = Pretended::new();
    let mut session = Session::new(&world);
    let Step::Say(all) = session.line(&world, "help") else { panic!("no help") };
    assert_eq!(all.lines().count(), TABLE.iter().count());
    assert!(all.lines().all(|line| line.len() < 110), "{all}");
    let Step::Say(one) = session.line(&world, "help show queue") else { panic!("no help") };
    assert_eq!(one, "show queue  what waits for the smarthost, and why\n");
    assert!(matches!(session.line(&world, "help nonsense"), Step::Refuse(_)));
}

#[test]
fn an_app_password_is_shown_once_and_with_its_last_use() {
    let world = Pretended::new();
    let mut session = Session::new(&world);
    let mut type_in = |line: &str| match session.line(&world, line) {
        Step::Say(said) | Step::Refuse(said) => said,
        step => panic!("{step:?}"),
    };
    assert!(type_in("show app-passwords").contains("there is no app password"));
    let said = type_in("add app-password demo phone");
    let password = said.strip_prefix("the password is ").unwrap().split(':').next().unwrap().to_owned();
    assert_eq!(password.len(), 16, "{said}");
    assert!(type_in("add app-password demo phone").contains("has such an app password already"));
    assert!(type_in("add app-password nobody phone").contains("no such account"));
    assert!(type_in("add app-password demo My/phone").contains("is not a name"));
    assert_eq!(type_in("add app-password demo tablet").len(), said.len());
    assert_eq!(type_in("set account.demo.app_password.1.services imap,submission"), "");
    let shown = type_in("show app-passwords");
    let mut rows = shown.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "));
    assert!(rows.next().unwrap().starts_with("demo phone imap, submission 1"), "{shown}");
    assert_eq!(rows.next().as_deref(), Some("demo tablet all not since the start"));
    assert_eq!(type_in("remove app-password demo tablet"), "");
    assert!(type_in("remove app-password demo tablet").contains("has no app password"));
    let [app] = &session.candidate().accounts[0].app_passwords[..] else { panic!() };
    assert!(app.verifier.verify(password.as_bytes()));
}

/// Catches: a version whose age nobody is told, though its kernel has had three years of security updates since.
#[test]
fn the_age_of_a_version_is_told() {
    let world = Pretended::new();
    let made = u64::try_from(crate::clock::unix_now() - 1100 * 86_400).unwrap();
    *world.board.borrow_mut() = Some(Standing { made: Some(made), ..Standing::default() });
    let mut session = Session::at_a_terminal(&world, false);
    let Step::Say(text) = session.line(&world, "show board") else { panic!() };
    let line = text.lines().find(|line| line.starts_with("made     ")).unwrap();
    assert!(line.contains(", 1100d ") && line.contains(" ago: kernel and packages"), "{line}");
}

#[test]
fn a_device_is_updated_restarted_and_switched_off() {
    let world = Pretended::new();
    let board = Standing {
        board: "orangepi-pc".into(),
        version: "1.2.0".into(),
        slot: Some(Slot::B),
        fallback: Some("it did not start".into()),
        memory: Some(Memory { total: 64 << 20, used: 27 << 20 }),
        ..Standing::default()
    };
    *world.board.borrow_mut() = Some(board.clone());
    told(
        &world,
        "> show board
         board    orangepi-pc
         version  1.2.0
         slot     B
         trial    no
         memory   27.0 MiB of 64.0 MiB in use
         update   the last one was not kept: it did not start
         > show log
         a line
         > update /card/new.pbu
         Update(\"/card/new.pbu\")
         > update
         ! usage: update FILE
         > switch slot
         the device restarts with the version in slot A; when that does not work, it comes back with the present one
         > y
         ! nothing was done
         > switch slot
         the device restarts with the version in slot A; when that does not work, it comes back with the present one
         > yes
         End(\"the device restarts\\n\", Switch)
         > restart
         End(\"the device restarts\\n\", Restart)
         > restart daemon
         End(\"the daemon restarts\\n\", RestartDaemon)
         > power off
         End(\"the device switches itself off\\n\", PowerOff)
         > set server.hostname x.example
         > restart
         ! there are changes: `commit` or `rollback` them first
         > commit
         in force
         > set network.ntp time.example
         > commit
         in force, but for [network]: `restart` the device for that
         > set server.hostname y.example
         > update x.pbu
         ! there are changes: `commit` or `rollback` them first",
    );
    let mut session = Session::new(&world);
    replay(&world, &mut session, "> switch slot");
    assert_eq!(session.prompt().0, "type yes to do it: ");
    assert!(session.ended().is_err_and(|why| why.contains("nothing was done")));
    *world.board.borrow_mut() = Some(Standing { trial: true, ..board });
    told(
        &world,
        "> switch slot
         ! the present version is on trial: `restart` goes back to the one before it",
    );
}

#[test]
fn elsewhere_the_commands_of_a_device_are_refused() {
    let world = Pretended::new();
    let mut session = Session::new(&world);
    for line in
        ["show board", "show log", "update x.pbu", "switch slot", "restart", "restart daemon", "power off"]
    {
        match session.line(&world, line) {
            Step::Refuse(why) => assert!(why.contains("does not run from a card image"), "{line}: {why}"),
            step => panic!("{line}: {step:?}"),
        }
    }
}

/// Catches: a list without the device or the number that `disconnect` takes.
#[test]
fn sessions_are_shown_and_ended() {
    let world = Pretended::new();
    let address = "192.168.7.5".parse().unwrap();
    let session = |id, listener, account: Option<&str>, device: Option<&str>, seconds| Connected {
        id,
        listener,
        account: account.map(str::to_owned),
        device: device.map(str::to_owned),
        address,
        age: Duration::from_secs(seconds),
    };
    *world.sessions.borrow_mut() =
        vec![session(7, "imaps", Some("demo"), Some("phone"), 3700), session(12, "http", None, None, 2)];
    told(
        &world,
        "> show sessions
         NUMBER  ACCOUNT  SERVICE  ADDRESS      SINCE      DEVICE
         7       demo     imaps    192.168.7.5  1h 1m ago  phone
         12      -        http     192.168.7.5  2s ago
         > disconnect 7
         > disconnect 7
         ! there is no session 7: see `show sessions`
         > disconnect demo
         ! there is no session demo: see `show sessions`
         > disconnect 12
         > show sessions
         nobody is connected",
    );
}

/// Catches: a provider that has numbered its messages anew, of which the operator hears nothing.
#[test]
fn what_came_before_under_another_identity_is_told() {
    let good = SourceStatus { last_result: Some(PollResult::Collected(0)), again: 3, ..source() };
    let world = Pretended::new();
    let status = Status { sources: vec![good], ..world.status() };
    let shown = crate::console::show::sources(&status);
    assert!(shown.contains("good; 3 came before under other identities"), "{shown}");
}

/// Catches: a permission that is asked for in the name of a source that is not in force, or that logs in with a password.
#[test]
fn a_permission_is_asked_for_where_one_is_wanted() {
    let world = Pretended::new();
    told(
        &world,
        "> oauth2
         ! usage: oauth2 NAME|smarthost [NUMBER]
         > oauth2 demo
         ! there is no source 1 of demo in force: `add source` and `commit` it first
         > oauth2 nobody 2
         ! there is no source 2 of nobody in force: `add source` and `commit` it first
         > oauth2 demo x
         ! a source has a number: see `show sources`
         > oauth2 demo 0
         ! there is no source 0 of demo in force: `add source` and `commit` it first
         > oauth2 smarthost
         ! it logs in with a password: set its auth to oauth2, with .oauth2.provider and .oauth2.client_id, and `commit`
         > set smarthost.auth oauth2
         > set smarthost.oauth2.client_id id
         > oauth2 smarthost
         ! it logs in with a password: set its auth to oauth2, with .oauth2.provider and .oauth2.client_id, and `commit`
        ",
    );
    let mut config = (*world.config()).clone();
    config.smarthost.auth = crate::config::SourceAuth::OAuth2;
    config.smarthost.oauth2 = Some(Box::default());
    *world.config.borrow_mut() = Rc::new(config);
    told(&world, "> oauth2 smarthost\nAsk(Smarthost)\n");
}

/// Catches: a rename that is not said, not seen before it is in force, or that leaves settings which name the account.
#[test]
fn an_account_gets_another_name() {
    let world = Pretended::new();
    told(
        &world,
        "> set server.postmaster demo
         > rename account demo office
         after `commit`: office or demo@home.example is what to log in as; the address stays demo@home.example until account.office.address is set; devices that log in as demo have to be changed
         > rename account office office
         ! office: there is such an account already
         > rename account demo x
         ! \"demo\": no such account: show accounts lists them
         > show config server.postmaster
         server.postmaster = \"office\"
         > commit
         in force
         > set account.office.name shop
         ! account.office.name: `rename account OLD NEW` gives an account another name",
    );
    assert_eq!(world.config().accounts[0].name, "office");
}

/// Catches: a warning that is said at every commit, one that is said of a network which nobody asks for, and a new one that is kept back.
#[test]
fn what_was_warned_of_is_not_warned_of_again() {
    let world = Pretended::new();
    let mut session = Session::new(&world);
    let committed = |session: &mut Session, typed: &str| {
        let shown = replay(&world, session, &format!("> {typed}\n> commit"));
        shown.split_once("> commit\n").unwrap().1.to_owned()
    };
    assert_eq!(committed(&mut session, "set network.gateway 192.168.1.1"), "in force\n", "it is no board");
    let smarthost =
        "set smarthost.host smtp.example\n> set smarthost.security starttls\n> set smarthost.port 465";
    let first = committed(&mut session, smarthost);
    assert!(first.contains("smarthost.port: warning: "), "{first}");
    assert_eq!(committed(&mut session, "set server.hostname a.example"), "in force\n");
    let all = replay(&world, &mut session, "> check");
    assert!(all.contains("smarthost.port: warning: ") && !all.contains("network"), "{all}");
    *world.board.borrow_mut() = Some(Standing::default());
    let all = replay(&world, &mut session, "> check");
    assert!(all.contains("network.gateway: warning: "), "{all}");
}
