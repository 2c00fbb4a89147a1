use super::*;
use crate::store::mailbox_name::compare;

const MAILBOXES: [&str; 8] = ["INBOX", "INBOX/kids", "Sent", "a/b/c", "a/b/c/d", "a-b", "Entwürfe", "x\"y"];

fn owned(names: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    names.sort_by(|one, other| compare(one, other));
    names
}

/// The next `n` + 1 names after `last`.
fn after(names: &[String], last: Option<&str>, n: usize) -> Vec<String> {
    let behind = |name: &&String| last.is_none_or(|last| compare(name, last).is_gt());
    names.iter().filter(behind).take(n + 1).cloned().collect()
}

/// The responses for an account with these names. A name in brackets stands for a STATUS that follows. Asserts that
/// it does not matter into how many pieces the names are divided.
fn told(listed: Listed, mailboxes: &[&str], subscribed: &[&str], args: impl Fn() -> ListArgs) -> Vec<String> {
    let (mailboxes, subscriptions) = (owned(mailboxes), owned(subscribed));
    let by = |n: usize| {
        let mut listing = Listing::new(listed, args(), Enabled::default()).unwrap();
        let mut told = Vec::new();
        loop {
            let of = |names, wanted| if wanted { after(names, listing.last(), n) } else { Vec::new() };
            let from = of(&mailboxes, listing.wants_mailboxes());
            let mut piece = listing.merge(n, from, of(&subscriptions, listing.wants_subscriptions()));
            for name in &mut piece.names {
                name.subscribed = subscriptions.contains(&name.name);
                name.uses = Uses::by_name(&name.name);
            }
            let more = piece.more;
            let about = |name: &str| Name {
                name: name.to_owned(),
                exists: false,
                subscribed: false,
                uses: Uses::by_name(name),
            };
            listing.tell(piece, about, &mut told);
            assert!(listing.open.len() <= 16, "no more open names than levels");
            if !more {
                break;
            }
        }
        let line = |told: ListResponse| {
            let status = told.more.map(|name| format!(" [{name}]")).unwrap_or_default();
            told.line.trim_end().to_owned() + &status
        };
        told.into_iter().map(line).collect::<Vec<_>>()
    };
    let all = by(NAMES);
    for n in 1..12 {
        assert_eq!(by(n), all, "{n} names at a time");
    }
    all
}

fn lines(listed: Listed, names: &[&str], reference: &str, pattern: &str) -> Vec<String> {
    let args = || ListArgs { reference: reference.into(), patterns: vec![pattern.into()], options: None };
    told(listed, names, names, args)
}

/// The responses to an extended LIST.
fn extended(mailboxes: &[&str], subscribed: &[&str], patterns: &[&str], options: Options) -> Vec<String> {
    told(Listed::Mailboxes, mailboxes, subscribed, || ListArgs {
        reference: String::new(),
        patterns: patterns.iter().map(|&pattern| pattern.to_owned()).collect(),
        options: Some(ListOptions {
            select: options.select,
            subscribed: options.subscribed,
            status: if options.status { vec![StatusItem::Messages] } else { Vec::new() },
            metadata: Vec::new(),
        }),
    })
}

#[derive(Clone, Copy, Default)]
struct Options {
    select: ListSelect,
    subscribed: bool,
    status: bool,
}

const SUBSCRIBED: Options = select(true, false, false);
const SPECIAL_USE: Options = select(false, true, false);
const RECURSIVE: Options = select(true, false, true);

const fn select(subscribed: bool, special_use: bool, recursive_match: bool) -> Options {
    let select = ListSelect { subscribed, special_use, recursive_match };
    Options { select, subscribed: false, status: false }
}

#[test]
fn list_tells_attributes() {
    assert_eq!(
        lines(Listed::Mailboxes, &MAILBOXES, "", "*"),
        [
            r#"* LIST (\HasNoChildren) "/" Entw&APw-rfe"#,
            r#"* LIST (\HasChildren) "/" INBOX"#,
            r#"* LIST (\HasNoChildren) "/" INBOX/kids"#,
            r#"* LIST (\HasNoChildren \Sent) "/" Sent"#,
            r#"* LIST (\Noselect \HasChildren) "/" a"#,
            r#"* LIST (\Noselect \HasChildren) "/" a/b"#,
            r#"* LIST (\HasChildren) "/" a/b/c"#,
            r#"* LIST (\HasNoChildren) "/" a/b/c/d"#,
            r#"* LIST (\HasNoChildren) "/" a-b"#,
            r#"* LIST (\HasNoChildren) "/" "x\"y""#,
        ]
    );
    assert_eq!(root(Listed::Mailboxes), "* LIST (\\Noselect) \"/\" \"\"\r\n");
}

#[test]
fn the_reference_goes_before_the_pattern() {
    let children = [r#"* LIST (\HasChildren) "/" a/b/c"#];
    assert_eq!(lines(Listed::Mailboxes, &MAILBOXES, "a/b/", "%"), children);
    assert_eq!(lines(Listed::Mailboxes, &MAILBOXES, "nowhere/", "*"), [""; 0]);
}

#[test]
fn lsub_names_what_stands_above_a_subscribed_name_for_a_percent_sign() {
    let subscribed = ["INBOX", "foo/bar", "foo/baz"];
    assert_eq!(
        lines(Listed::Subscriptions, &subscribed, "", "%"),
        [r#"* LSUB () "/" INBOX"#, r#"* LSUB (\Noselect) "/" foo"#]
    );
    assert_eq!(
        lines(Listed::Subscriptions, &subscribed, "", "*"),
        [r#"* LSUB () "/" INBOX"#, r#"* LSUB () "/" foo/bar"#, r#"* LSUB () "/" foo/baz"#]
    );
}

/// The mailboxes of the first examples in RFC 5258 section 5.
const GARDEN: [&str; 5] = ["INBOX", "Fruit/Apple", "Fruit/Banana", "Tofu", "Vegetable"];
/// The subscriptions of these examples. `Fruit/Peach` is not a mailbox.
const SUBSCRIPTIONS: [&str; 5] = ["INBOX", "Fruit/Banana", "Fruit/Peach", "Vegetable", "Vegetable/Broccoli"];

/// Catches: a subscribed name that is not reported because there is no such mailbox, and `\HasChildren` for names
/// below that are only subscriptions.
#[test]
fn subscribed_selects_names_that_are_no_mailboxes() {
    assert_eq!(
        extended(&GARDEN, &SUBSCRIPTIONS, &["*"], SUBSCRIBED),
        [
            r#"* LIST (\HasNoChildren \Subscribed) "/" Fruit/Banana"#,
            r#"* LIST (\NonExistent \HasNoChildren \Subscribed) "/" Fruit/Peach"#,
            r#"* LIST (\HasNoChildren \Subscribed) "/" INBOX"#,
            r#"* LIST (\HasNoChildren \Subscribed) "/" Vegetable"#,
            r#"* LIST (\NonExistent \HasNoChildren \Subscribed) "/" Vegetable/Broccoli"#,
        ]
    );
    let mailboxes = ["a/z"];
    let subscribed = ["a", "a/b", "a/c", "a/d", "b/c"];
    assert_eq!(
        extended(&mailboxes, &subscribed, &["a", "b"], SUBSCRIBED),
        [r#"* LIST (\NonExistent \HasChildren \Subscribed) "/" a"#]
    );
}

#[test]
fn subscribed_is_told_where_it_is_asked_for() {
    let asked = Options { subscribed: true, ..Options::default() };
    assert_eq!(
        extended(&GARDEN, &SUBSCRIPTIONS, &["%"], asked),
        [
            r#"* LIST (\NonExistent \HasChildren) "/" Fruit"#,
            r#"* LIST (\HasNoChildren \Subscribed) "/" INBOX"#,
            r#"* LIST (\HasNoChildren) "/" Tofu"#,
            r#"* LIST (\HasNoChildren \Subscribed) "/" Vegetable"#,
        ]
    );
    let inbox = extended(&GARDEN, &SUBSCRIPTIONS, &["INBOX"], Options::default());
    assert_eq!(inbox, [r#"* LIST (\HasNoChildren) "/" INBOX"#]);
}

/// Catches: a mailbox that is reported once for each pattern that matches it.
#[test]
fn several_patterns_tell_a_name_once() {
    assert_eq!(
        extended(&GARDEN, &[], &["INBOX", "Fruit/%", "Fruit/A*", ""], Options::default()),
        [
            r#"* LIST (\HasNoChildren) "/" Fruit/Apple"#,
            r#"* LIST (\HasNoChildren) "/" Fruit/Banana"#,
            r#"* LIST (\HasNoChildren) "/" INBOX"#,
        ]
    );
}

#[test]
fn special_use_selects_mailboxes_with_a_use() {
    let mailboxes = ["INBOX", "Sent", "Trash/old", "drafts", "x/Sent"];
    let expected =
        [r#"* LIST (\HasNoChildren \Sent) "/" Sent"#, r#"* LIST (\HasNoChildren \Drafts) "/" drafts"#];
    assert_eq!(extended(&mailboxes, &["Trash"], &["*"], SPECIAL_USE), expected, "Trash is no mailbox");
    let both = select(true, true, false);
    assert_eq!(
        extended(&mailboxes, &["INBOX", "Sent", "Trash"], &["*"], both),
        [r#"* LIST (\HasNoChildren \Sent \Subscribed) "/" Sent"#]
    );
}

/// Catches: CHILDINFO that looks only at the neighbours of a name, and `\Subscribed` for a name that is reported
/// because of others.
#[test]
fn recursivematch_tells_what_stands_above() {
    assert_eq!(
        extended(&GARDEN, &SUBSCRIPTIONS, &["%"], RECURSIVE),
        [
            r#"* LIST (\NonExistent \HasChildren) "/" Fruit ("CHILDINFO" ("SUBSCRIBED"))"#,
            r#"* LIST (\HasNoChildren \Subscribed) "/" INBOX"#,
            r#"* LIST (\HasNoChildren \Subscribed) "/" Vegetable ("CHILDINFO" ("SUBSCRIBED"))"#,
        ]
    );
    // The only subscribed name is far below, after others.
    let deep = ["a", "a/b", "a/b/c", "a/b/c/d", "a/c", "b"];
    assert_eq!(
        extended(&deep, &["a/b/c/x/y"], &["a", "%/b", "a/b/c/d", "*/x"], RECURSIVE),
        [
            r#"* LIST (\NonExistent \HasNoChildren) "/" a/b/c/x ("CHILDINFO" ("SUBSCRIBED"))"#,
            r#"* LIST (\HasChildren) "/" a/b ("CHILDINFO" ("SUBSCRIBED"))"#,
            r#"* LIST (\HasChildren) "/" a ("CHILDINFO" ("SUBSCRIBED"))"#,
        ]
    );
}

/// RFC 5258 section 5, example 9. Catches: a response for `baz2`, although all subscribed names below it are reported
/// themselves.
#[test]
fn recursivematch_tells_nothing_twice() {
    let mailboxes = [
        "foo2",
        "foo2/bar1",
        "foo2/bar2",
        "baz2",
        "baz2/bar2",
        "baz2/bar22",
        "baz2/bar222",
        "eps2",
        "eps2/mamba",
        "qux2/bar2",
    ];
    let subscribed = [
        "foo2/bar1",
        "foo2/bar2",
        "baz2/bar2",
        "baz2/bar22",
        "baz2/bar222",
        "eps2",
        "eps2/mamba",
        "qux2/bar2",
    ];
    assert_eq!(
        extended(&mailboxes, &subscribed, &["*2"], RECURSIVE),
        [
            r#"* LIST (\HasNoChildren \Subscribed) "/" baz2/bar2"#,
            r#"* LIST (\HasNoChildren \Subscribed) "/" baz2/bar22"#,
            r#"* LIST (\HasNoChildren \Subscribed) "/" baz2/bar222"#,
            r#"* LIST (\HasChildren \Subscribed) "/" eps2 ("CHILDINFO" ("SUBSCRIBED"))"#,
            r#"* LIST (\HasNoChildren \Subscribed) "/" foo2/bar2"#,
            r#"* LIST (\HasChildren) "/" foo2 ("CHILDINFO" ("SUBSCRIBED"))"#,
            r#"* LIST (\HasNoChildren \Subscribed) "/" qux2/bar2"#,
        ]
    );
}

/// RFC 5819 section 2. Catches: a STATUS of a name without a mailbox, or of a name that is reported only because of
/// names below it.
#[test]
fn status_is_of_mailboxes_that_are_selected() {
    let mailboxes = ["INBOX", "foo", "foo/x", "bar/x"];
    let subscribed = ["INBOX", "foo/x", "gone"];
    assert_eq!(
        extended(&mailboxes, &subscribed, &["%"], Options { status: true, ..Options::default() }),
        [
            r#"* LIST (\HasNoChildren) "/" INBOX [INBOX]"#,
            r#"* LIST (\NonExistent \HasChildren) "/" bar"#,
            r#"* LIST (\HasChildren) "/" foo [foo]"#,
        ]
    );
    assert_eq!(
        extended(&mailboxes, &subscribed, &["%"], Options { status: true, ..RECURSIVE }),
        [
            r#"* LIST (\HasNoChildren \Subscribed) "/" INBOX [INBOX]"#,
            r#"* LIST (\HasChildren) "/" foo ("CHILDINFO" ("SUBSCRIBED"))"#,
            r#"* LIST (\NonExistent \HasNoChildren \Subscribed) "/" gone"#,
        ]
    );
}
