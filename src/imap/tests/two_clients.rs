//! Two clients change one mailbox at random. One of them loses its connection again and again and comes back with
//! QRESYNC (RFC 7162). Whatever happens, each ends up with the server's picture of the mailbox.
//!
//! `PILLARBOX_TWO_CLIENTS=N` runs N random stories instead of a few.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::watchers::Watchers;
use super::*;
use crate::imap::wire::words;
use crate::store::Uid;

type FlagNames = BTreeSet<String>;

/// What a device knows of the INBOX. It is kept when the connection is lost.
#[derive(Default)]
pub(super) struct Picture {
    uid_validity: u32,
    /// HIGHESTMODSEQ as in RFC 7162 section 6: that of the last response code, or a larger MODSEQ that came since.
    highest: u64,
    pub(super) messages: BTreeMap<Uid, FlagNames>,
    /// The UIDs by sequence number in this connection; `None` for a message that is known by EXISTS only.
    numbers: Vec<Option<Uid>>,
}

struct Device {
    picture: Picture,
    qresync: bool,
    /// Whether it has sent NOTIFY: it is told of changes between its commands, and of EXPUNGE when its numbers may
    /// change (RFC 5465 section 6.1.2).
    notifies: bool,
    /// The connection; `None` while it is lost.
    client: Option<Client>,
}

/// What the responses to one command have told.
#[derive(Default)]
pub(super) struct Heard {
    flags: BTreeSet<Uid>,
    modseq: u64,
    code: Option<u64>,
    ok: bool,
    modified: Vec<Uid>,
}

fn set_of(text: &str) -> Vec<u32> {
    let ends = |range: &str| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        first.parse::<u32>().unwrap()..=last.parse().unwrap()
    };
    text.split(',').flat_map(ends).collect()
}

pub(super) fn between<'a>(line: &'a str, start: &str, end: char) -> Option<&'a str> {
    let rest = &line[line.find(start)? + start.len()..];
    rest.split(end).next()
}

impl Picture {
    pub(super) fn hear(&mut self, line: &str, heard: &mut Heard) {
        if let Some(code) = between(line, "[HIGHESTMODSEQ ", ']') {
            heard.code = Some(code.parse().unwrap());
        }
        if let Some(validity) = between(line, "[UIDVALIDITY ", ']') {
            self.uid_validity = validity.parse().unwrap();
        }
        if let Some(set) = line.strip_prefix("* VANISHED (EARLIER) ") {
            for uid in set_of(set) {
                assert!(!self.numbers.contains(&Some(uid)), "{line}: it is shown");
                self.messages.remove(&uid);
            }
        } else if let Some(set) = line.strip_prefix("* VANISHED ") {
            for uid in set_of(set) {
                let at = self.numbers.iter().position(|here| *here == Some(uid));
                let at = at.or_else(|| self.numbers.iter().position(Option::is_none));
                self.numbers.remove(at.unwrap_or_else(|| panic!("{line}: it was not shown")));
                self.messages.remove(&uid);
            }
        }
        let mut words = line.strip_prefix("* ").unwrap_or("").splitn(3, ' ');
        let Some(number) = words.next().and_then(|word| word.parse::<usize>().ok()) else { return };
        match (words.next(), words.next()) {
            (Some("EXISTS"), _) => {
                assert!(number >= self.numbers.len(), "{line}");
                self.numbers.resize(number, None);
            }
            (Some("EXPUNGE"), _) => {
                let uid = self.numbers.remove(number - 1);
                uid.and_then(|uid| self.messages.remove(&uid));
            }
            (Some("FETCH"), Some(items)) => self.fetched(number, items, heard),
            _ => {}
        }
    }

    fn fetched(&mut self, number: usize, items: &str, heard: &mut Heard) {
        let uid: Uid = between(items, "UID ", ' ').unwrap().trim_end_matches(')').parse().unwrap();
        let here = &mut self.numbers[number - 1];
        assert!(here.is_none_or(|here| here == uid), "{number} is {here:?}: {items}");
        *here = Some(uid);
        if let Some(flags) = between(items, "FLAGS (", ')') {
            let names = flags.split(' ').filter(|flag| !flag.is_empty() && *flag != "\\Recent");
            self.messages.insert(uid, names.map(str::to_owned).collect());
            heard.flags.insert(uid);
        }
        if !items.contains("FLAGS (") {
            // The STORE is done; flags that were told before are older than that.
            heard.flags.remove(&uid);
        }
        if let Some(modseq) = between(items, "MODSEQ (", ')') {
            heard.modseq = heard.modseq.max(modseq.parse().unwrap());
        }
    }

    /// Handles the end of a command.
    fn tagged(&mut self, heard: &Heard) {
        self.highest = heard.code.unwrap_or(self.highest.max(heard.modseq));
    }
}

impl Device {
    /// Sends a command and reads the responses, `lines` lines at most: after that the connection is lost.
    async fn say(&mut self, command: &str, lines: Option<usize>) -> Option<Heard> {
        let client = self.client.as_mut()?;
        client.send(&format!("x {command}\r\n")).await;
        let mut heard = Heard::default();
        for _ in 0..lines.unwrap_or(usize::MAX) {
            let line = client.line().await.expect("the server is there");
            if let Some(tagged) = line.strip_prefix("x ") {
                assert!(!tagged.starts_with("BAD"), "{command}: {tagged}");
                if let Some(set) = between(tagged, "[MODIFIED ", ']') {
                    heard.modified = set_of(set);
                }
                self.picture.hear(&line, &mut heard);
                self.picture.tagged(&heard);
                heard.ok = tagged.starts_with("OK");
                return Some(heard);
            }
            self.picture.hear(&line, &mut heard);
        }
        self.client = None;
        None
    }

    /// Fetches messages that are known by EXISTS only.
    async fn learn(&mut self) {
        while self.client.is_some() && self.picture.numbers.contains(&None) {
            let known = self.picture.numbers.iter().flatten().max().copied().unwrap_or(0);
            self.say(&format!("UID FETCH {}:* (UID FLAGS MODSEQ)", known + 1), None).await;
        }
    }

    async fn connect(&mut self, world: &World) {
        self.client = Some(world.login().await);
        self.picture.numbers.clear();
        let Picture { uid_validity, highest, messages, .. } = &self.picture;
        let select = match messages.last_key_value() {
            Some((last, _)) if self.qresync => {
                format!("SELECT INBOX (QRESYNC ({uid_validity} {highest} 1:{last}))")
            }
            _ => "SELECT INBOX (CONDSTORE)".to_owned(),
        };
        if self.qresync {
            self.say("ENABLE QRESYNC", None).await;
        }
        self.say(&select, None).await;
        if self.notifies {
            let events = "MessageNew (FLAGS UID) MessageExpunge FlagChange";
            self.say(&format!("NOTIFY SET (selected-delayed ({events}))"), None).await;
        }
        // It knows the sequence numbers of the messages that it has, without asking.
        let Picture { messages, numbers, .. } = &mut self.picture;
        for (at, uid) in messages.keys().enumerate() {
            let here = numbers.get_mut(at).unwrap_or_else(|| panic!("{uid} is gone, and that is not told"));
            assert!(here.is_none_or(|here| here == *uid), "{uid} is not at {at}");
            *here = Some(*uid);
        }
        self.learn().await;
    }

    async fn store(&mut self, how: &How, lines: Option<usize>) {
        let Some((at, uid)) = self.pick(how.place) else { return };
        let last = (at + how.count).min(self.picture.numbers.len() - 1);
        let uids: Vec<Uid> = self.picture.numbers[at..=last].iter().flatten().copied().collect();
        let condition = how.conditional.then(|| format!(" (UNCHANGEDSINCE {})", self.picture.highest));
        let (silent, flag) = (if how.silent { ".SILENT" } else { "" }, FLAGS[how.flag]);
        let sign = if how.adds { '+' } else { '-' };
        let set = match how.by_uid {
            true => format!("UID STORE {uid}:{}", uids.last().unwrap()),
            false => format!("STORE {}:{}", at + 1, last + 1),
        };
        let condition = condition.unwrap_or_default();
        let numbers = self.picture.numbers.clone();
        let Some(heard) = self.say(&format!("{set}{condition} {sign}FLAGS{silent} ({flag})"), lines).await
        else {
            return;
        };
        if !heard.ok {
            return;
        }
        let failed = |uid: Uid| match how.by_uid {
            true => heard.modified.contains(&uid),
            false => heard.modified.iter().any(|number| numbers[*number as usize - 1] == Some(uid)),
        };
        for uid in uids.into_iter().filter(|uid| how.silent && !heard.flags.contains(uid) && !failed(*uid)) {
            // It takes for done what it was not told.
            if let Some(flags) = self.picture.messages.get_mut(&uid) {
                let _changed = if how.adds { flags.insert(flag.to_owned()) } else { flags.remove(flag) };
            }
        }
    }

    fn pick(&self, place: usize) -> Option<(usize, Uid)> {
        let at = place.checked_rem(self.picture.numbers.len())?;
        Some((at, self.picture.numbers[at]?))
    }

    async fn act(&mut self, act: &Act, lines: Option<usize>) {
        match act {
            Act::Store(how) => self.store(how, lines).await,
            Act::Expunge(place) => {
                let Some((_, uid)) = self.pick(*place) else { return };
                self.say(&format!("UID STORE {uid} +FLAGS (\\Deleted)"), None).await;
                self.say(&format!("UID EXPUNGE {uid}"), lines).await;
            }
            Act::ExpungeAll => drop(self.say("EXPUNGE", lines).await),
            Act::Move(place) => {
                let Some((_, uid)) = self.pick(*place) else { return };
                self.say(&format!("UID MOVE {uid} Sent"), lines).await;
            }
            Act::Copy(place) => {
                let Some((at, _)) = self.pick(*place) else { return };
                self.say(&format!("COPY {} INBOX", at + 1), lines).await;
            }
            Act::Look => {
                let highest = self.picture.highest;
                self.say(&format!("FETCH 1:* (UID FLAGS) (CHANGEDSINCE {highest})"), lines).await;
            }
            Act::Noop => drop(self.say("NOOP", lines).await),
        }
        self.learn().await;
    }
}

const FLAGS: [&str; 4] = ["\\Seen", "\\Flagged", "\\Deleted", "$Work"];

#[derive(Debug, Clone)]
struct How {
    place: usize,
    count: usize,
    flag: usize,
    adds: bool,
    silent: bool,
    conditional: bool,
    by_uid: bool,
}

#[derive(Debug, Clone)]
enum Act {
    Store(How),
    Expunge(usize),
    ExpungeAll,
    Move(usize),
    Copy(usize),
    Look,
    Noop,
}

#[derive(Debug, Clone)]
enum Event {
    Deliver(usize),
    /// The second device loses its connection between two commands.
    Lost,
    /// The first device (`true`) or the second acts; the second reads so many lines at most.
    Acts(bool, Act, Option<usize>),
}

fn acts() -> impl Strategy<Value = Act> {
    let how = (any::<usize>(), 0..4_usize, 0..4_usize, any::<[bool; 4]>()).prop_map(
        |(place, count, flag, [adds, silent, conditional, by_uid])| {
            Act::Store(How { place, count, flag, adds, silent, conditional, by_uid })
        },
    );
    prop_oneof![
        6 => how,
        3 => any::<usize>().prop_map(Act::Expunge),
        1 => Just(Act::ExpungeAll),
        2 => any::<usize>().prop_map(Act::Move),
        1 => any::<usize>().prop_map(Act::Copy),
        2 => Just(Act::Look),
        2 => Just(Act::Noop),
    ]
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let cut = prop_oneof![3 => Just(None), 1 => (0..4_usize).prop_map(Some)];
    let event = prop_oneof![
        1 => (1..4_usize).prop_map(Event::Deliver),
        1 => Just(Event::Lost),
        6 => (any::<bool>(), acts(), cut).prop_map(|(second, act, cut)| Event::Acts(second, act, cut)),
    ];
    proptest::collection::vec(event, 0..60)
}

fn stories() -> ProptestConfig {
    let wanted = std::env::var("PILLARBOX_TWO_CLIENTS").ok().and_then(|n| n.parse().ok());
    ProptestConfig {
        cases: wanted.unwrap_or(64),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(stories())]

    /// Catches: a HIGHESTMODSEQ that is told while an expunge must wait; an expunge that is forgotten while later
    /// changes are known; flags that are told with a MODSEQ too late; with NOTIFY, changes that are told too early,
    /// twice, or never.
    #[test]
    fn each_ends_up_with_the_servers_picture(events in events(), notifies: [bool; 2]) {
        story(|world| async move {
            world.deliver(&["1", "2", "3", "4", "5"]).await;
            let device = |qresync: bool| {
                let notifies = notifies[usize::from(qresync)];
                Device { picture: Picture::default(), qresync, notifies, client: None }
            };
            let mut devices = [device(false), device(true)];
            let mut watchers = Watchers::begin(&world, notifies[0]).await;
            for device in &mut devices {
                device.connect(&world).await;
            }
            for event in events {
                match event {
                    Event::Lost => devices[1].client = None,
                    Event::Deliver(n) => world.deliver(&vec!["x"; n]).await,
                    Event::Acts(second, act, cut) => {
                        let device = &mut devices[usize::from(second)];
                        if device.client.is_none() {
                            device.connect(&world).await;
                        }
                        device.act(&act, cut.filter(|_| second)).await;
                    }
                }
            }
            let fred = world.fred().await;
            watchers.hear_the_truth(&fred).await;
            for device in &mut devices {
                if device.client.is_none() {
                    device.connect(&world).await;
                }
                // Commands that were sent on a lost connection may still be carried out.
                for _ in 0..100 {
                    device.act(&Act::Noop, None).await;
                    if Some(&device.picture.messages) == truth(&fred).as_ref() {
                        break;
                    }
                }
                device.matches(&fred, "as it is");
            }
            // And once more from what the device has kept.
            let [_, device] = &mut devices;
            device.connect(&world).await;
            device.matches(&fred, "after it came back");
        });
    }
}

/// The INBOX as it is on the server.
pub(super) fn truth(fred: &store::Account) -> Option<BTreeMap<Uid, FlagNames>> {
    fred.view(store::INBOX, |inbox| {
        let flags = |message: &store::Message| {
            let mut names = String::new();
            words::flags(message.flags, &inbox.keywords, false, &mut names);
            let names = names[1..names.len() - 1].split(' ').filter(|name| !name.is_empty());
            (message.uid, names.map(str::to_owned).collect::<FlagNames>())
        };
        inbox.messages.iter().map(flags).collect()
    })
}

impl Device {
    fn matches(&self, fred: &store::Account, when: &str) {
        let truth = truth(fred);
        let said = self.client.as_ref().map(|client| client.transcript.borrow().clone());
        assert_eq!(Some(&self.picture.messages), truth.as_ref(), "{when}:\n{}", said.unwrap_or_default());
        let shown: Vec<Uid> = self.picture.numbers.iter().flatten().copied().collect();
        assert!(shown.iter().eq(self.picture.messages.keys()), "{when}: {shown:?}");
    }
}
