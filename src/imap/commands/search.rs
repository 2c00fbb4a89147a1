//! SEARCH (RFC 3501 section 6.4.4): whatever the index knows is asked first, then header fields, and
//! bodies only where nothing else decides.

use std::io;
use std::ops::RangeInclusive;

use super::lazy_message::LazyMessage;
use super::ruled_out::{AHEAD, RuledOut};
use crate::imap::server::Connection;
use crate::imap::state::outcome::{News, Outcome, Reply};
use crate::imap::state::sequence_numbers::SequenceNumbers;
use crate::imap::state::session::Session;
use crate::imap::wire::command::{Date, SearchKey};
use crate::imap::wire::words;
use crate::message::search::{Needle, Scope, Search, in_field};
use crate::message::{date, header};
use crate::pace::{ITEM, Pace, STEP};
use crate::store::{Account, Error, Flags, Message};

/// The sequence numbers, ascending, of the messages in `numbers` that match. Messages that other sessions
/// removed meanwhile match nothing, and neither do those that cannot be read, which is logged. Headers
/// come from the summaries, bodies are streamed, and other sessions get their turn between.
///
/// # Errors
/// [`Error::NoSuchMailbox`]: another session has deleted it.
async fn run(account: &Account, numbers: &SequenceNumbers, key: &SearchKey) -> Result<Vec<u32>, Error> {
    let mailbox = numbers.mailbox();
    let keywords = account.view(mailbox, |mailbox| mailbox.keywords.clone());
    let mut query = Query::new(key, numbers, &keywords.ok_or(Error::NoSuchMailbox)?);
    let mut found = Vec::new();
    for (seq, &uid) in (1..).zip(numbers.uids()) {
        query.pace.did_items(query.size).await;
        if query.ruled_out.is_behind(seq) {
            query.ask_signatures(account, numbers, seq).await;
        }
        let message = account.view(mailbox, |mailbox| mailbox.message(uid).copied());
        let Some(message) = message.ok_or(Error::NoSuchMailbox)? else { continue };
        let candidate = Candidate { seq, recent: numbers.is_recent(uid), message };
        match query.matches(account, candidate).await {
            Ok(true) => found.push(seq),
            Ok(false) => (),
            Err(error) => log::error!("imap: SEARCH passes over a message: {error}"),
        }
    }
    Ok(found)
}

impl Session {
    /// What follows a SEARCH whose result is out.
    pub fn searched(&self, tag: String, uid: bool, result: Result<(), Error>) -> Outcome {
        let text = result.map_or_else(|error| words::refusal(&error), |()| "OK SEARCH completed".into());
        Outcome::Reply(Reply { news: News::of_messages(uid), ..Reply::new(tag, text) })
    }
}

impl Connection {
    /// RFC 3501 section 7.2.5.
    pub async fn search(
        &mut self,
        uid: bool,
        key: &crate::imap::wire::command::SearchKey,
    ) -> io::Result<Result<(), Error>> {
        let Some(selected) = self.session.selected() else { return Ok(Ok(())) };
        let found = match run(selected.account(), selected.numbers(), key).await {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        self.write("* SEARCH").await?;
        let pace = Pace::new();
        for seq in found {
            pace.did(ITEM).await;
            let number = match self.session.selected() {
                Some(selected) if uid => selected.numbers().uid(seq).unwrap_or(seq),
                _ => seq,
            };
            self.write(&format!(" {number}")).await?;
        }
        self.write("\r\n").await?;
        Ok(Ok(()))
    }
}

/// A message that may match.
struct Candidate {
    seq: u32,
    recent: bool,
    message: Message,
}

/// A search key, with what can be prepared once for all messages.
struct Query {
    formula: Formula,
    tests: Vec<Test>,
    /// What it takes to look at all of it, in items.
    size: usize,
    /// What the tests say of the message at hand, as far as they were made.
    answers: Vec<Option<bool>>,
    ruled_out: RuledOut,
    pace: Pace,
}

enum Formula {
    /// The test at this place.
    Test(usize),
    Not(Box<Formula>),
    /// One of them decides when it is this; otherwise it is the opposite.
    Unless(bool, Vec<Formula>),
}

enum Test {
    Index(IndexTest),
    /// The day of the Date field.
    Sent(RangeInclusive<i32>),
    Field {
        name: String,
        needle: Needle,
    },
    Content {
        scope: Scope,
        needle: Needle,
    },
}

enum IndexTest {
    Sequence(Vec<RangeInclusive<u32>>),
    Uid(Vec<RangeInclusive<u32>>),
    /// `None`: a keyword that no message here has.
    Flags(Option<Flags>),
    Recent,
    Internal(RangeInclusive<i32>),
    Larger(u32),
    Smaller(u32),
}

impl Query {
    fn new(key: &SearchKey, numbers: &SequenceNumbers, keywords: &[String]) -> Query {
        let mut tests = Vec::new();
        let formula = Formula::new(key, numbers, keywords, &mut tests);
        let size = formula.size();
        let needles = tests.iter().enumerate().filter_map(|(n, test)| Some((n, test.needle()?)));
        let ruled_out = RuledOut::new(needles);
        Query { formula, size, answers: vec![None; tests.len()], ruled_out, tests, pace: Pace::new() }
    }

    /// Looks at the signatures of the messages from the number `seq` on that would have to be opened.
    async fn ask_signatures(&mut self, account: &Account, numbers: &SequenceNumbers, seq: u32) {
        let (mut candidates, mut to) = (Vec::new(), seq);
        for (seq, &uid) in (1..).zip(numbers.uids()).skip(seq as usize - 1) {
            self.pace.did_items(self.size).await;
            to = seq;
            let message = account.view(numbers.mailbox(), |mailbox| mailbox.message(uid).copied());
            if let Some(message) = message.flatten() {
                self.answer_from_index(&Candidate { seq, recent: numbers.is_recent(uid), message });
                if self.formula.verdict(self).is_err() {
                    candidates.push((seq, message));
                }
            }
            if candidates.len() >= AHEAD {
                break;
            }
        }
        self.ruled_out.ask(account, candidates, to, &self.pace).await;
    }

    /// Answers what nothing need be opened for.
    fn answer_from_index(&mut self, candidate: &Candidate) {
        for (n, (test, answer)) in self.tests.iter().zip(&mut self.answers).enumerate() {
            *answer = match test {
                Test::Index(test) => Some(test.holds(candidate)),
                _ => self.ruled_out.rules_out(candidate.seq, n).then_some(false),
            };
        }
    }

    /// Whether a message matches, asking as little as possible.
    async fn matches(&mut self, account: &Account, candidate: Candidate) -> Result<bool, Error> {
        self.answer_from_index(&candidate);
        let mut opened = LazyMessage::new(account, candidate.message);
        loop {
            let open = match self.formula.verdict(self) {
                Ok(verdict) => return Ok(verdict),
                Err(open) => open,
            };
            self.pace.did_items(self.size).await;
            if let (Some(test), Some(answer)) = (self.tests.get(open), self.answers.get_mut(open)) {
                *answer = Some(test.ask(&mut opened, &self.pace).await?);
                self.pace.did(opened.take_passed()).await;
            }
        }
    }
}

impl Formula {
    /// Recurses as deep as the key, which the parser limits.
    fn new(
        key: &SearchKey,
        numbers: &SequenceNumbers,
        keywords: &[String],
        tests: &mut Vec<Test>,
    ) -> Formula {
        let index = |test| Test::Index(test);
        let test = match key {
            SearchKey::All => return Formula::Unless(false, Vec::new()),
            SearchKey::And(keys) => {
                let keys = keys.iter().map(|key| Formula::new(key, numbers, keywords, tests));
                return Formula::Unless(false, keys.collect());
            }
            SearchKey::Or(one, other) => {
                let keys = [one, other].map(|key| Formula::new(key, numbers, keywords, tests));
                return Formula::Unless(true, keys.into());
            }
            SearchKey::Not(key) => {
                return Formula::Not(Box::new(Formula::new(key, numbers, keywords, tests)));
            }
            SearchKey::Sequence(set) => index(IndexTest::Sequence(set.ranges(numbers.exists()))),
            SearchKey::Uid(set) => index(IndexTest::Uid(set.ranges(numbers.largest_uid()))),
            SearchKey::Flag(flags) => index(IndexTest::Flags(Some(*flags))),
            SearchKey::Keyword(keyword) => {
                let place = keywords.iter().position(|known| known.eq_ignore_ascii_case(keyword));
                index(IndexTest::Flags(place.map(Flags::keyword)))
            }
            SearchKey::Recent => index(IndexTest::Recent),
            SearchKey::Before(day) => index(IndexTest::Internal(before(*day))),
            SearchKey::On(day) => index(IndexTest::Internal(on(*day))),
            SearchKey::Since(day) => index(IndexTest::Internal(since(*day))),
            SearchKey::SentBefore(day) => Test::Sent(before(*day)),
            SearchKey::SentOn(day) => Test::Sent(on(*day)),
            SearchKey::SentSince(day) => Test::Sent(since(*day)),
            SearchKey::Larger(size) => index(IndexTest::Larger(*size)),
            SearchKey::Smaller(size) => index(IndexTest::Smaller(*size)),
            SearchKey::Header { name, text } => Test::Field { name: name.clone(), needle: Needle::new(text) },
            SearchKey::Body(text) => Test::Content { scope: Scope::Body, needle: Needle::new(text) },
            SearchKey::Text(text) => Test::Content { scope: Scope::Text, needle: Needle::new(text) },
        };
        tests.push(test);
        Formula::Test(tests.len() - 1)
    }

    fn size(&self) -> usize {
        match self {
            Formula::Test(_) => 1,
            Formula::Not(formula) => 1 + formula.size(),
            Formula::Unless(_, formulas) => 1 + formulas.iter().map(Formula::size).sum::<usize>(),
        }
    }

    /// What is decided already, or the cheapest test that may decide it.
    fn verdict(&self, query: &Query) -> Result<bool, usize> {
        match self {
            Formula::Test(test) => query.answers.get(*test).copied().flatten().ok_or(*test),
            Formula::Not(formula) => formula.verdict(query).map(|holds| !holds),
            Formula::Unless(decisive, formulas) => {
                let cost = |test: &usize| query.tests.get(*test).map(Test::cost);
                let mut open: Option<usize> = None;
                for formula in formulas {
                    match formula.verdict(query) {
                        Ok(holds) if holds == *decisive => return Ok(holds),
                        Ok(_) => (),
                        Err(test) => open = open.into_iter().chain([test]).min_by_key(cost),
                    }
                }
                open.map_or(Ok(!decisive), Err)
            }
        }
    }
}

impl Test {
    /// The text that it looks for.
    fn needle(&self) -> Option<&Needle> {
        match self {
            Test::Field { needle, .. } | Test::Content { needle, .. } => Some(needle),
            Test::Index(_) | Test::Sent(_) => None,
        }
    }

    fn cost(&self) -> u8 {
        match self {
            Test::Index(_) => 0,
            Test::Sent(_) | Test::Field { .. } => 1,
            Test::Content { .. } => 2,
        }
    }

    async fn ask(&self, opened: &mut LazyMessage<'_>, pace: &Pace) -> Result<bool, Error> {
        match self {
            Test::Index(_) => Ok(false), // answered before anything is opened
            Test::Sent(days) => {
                let field = opened.ask_header("Date", |fields| header::value(fields, 0..u64::MAX, "Date"))?;
                let date = field.and_then(|field| date::parse_rfc5322(&field));
                Ok(date.is_some_and(|date| days.contains(&date.day())))
            }
            Test::Field { name, needle } => {
                opened.ask_header(name, |fields| in_field(fields, 0..u64::MAX, name, needle))
            }
            Test::Content { scope, needle } => {
                let mut search = Search::new(opened.body()?, needle, *scope);
                let mut before = 0;
                let found = loop {
                    match search.step() {
                        Ok(None) => {
                            pace.did(STEP.max(search.passed() - before)).await;
                            before = search.passed();
                        }
                        Ok(Some(found)) => break Ok(found),
                        Err(error) => break Err(error),
                    }
                };
                found.map_err(|error| opened.unreadable(error))
            }
        }
    }
}

impl IndexTest {
    fn holds(&self, candidate: &Candidate) -> bool {
        let message = &candidate.message;
        match self {
            IndexTest::Sequence(ranges) => contains(ranges, candidate.seq),
            IndexTest::Uid(ranges) => contains(ranges, message.uid),
            IndexTest::Flags(flags) => flags.is_some_and(|flags| message.flags.contains(flags)),
            IndexTest::Recent => candidate.recent,
            IndexTest::Internal(days) => days.contains(&date::day_of(message.date)),
            IndexTest::Larger(size) => message.size > *size,
            IndexTest::Smaller(size) => message.size < *size,
        }
    }
}

/// Whether ascending ranges contain a number.
fn contains(ranges: &[RangeInclusive<u32>], number: u32) -> bool {
    let at = ranges.partition_point(|range| *range.end() < number);
    ranges.get(at).is_some_and(|range| range.contains(&number))
}

fn before(day: Date) -> RangeInclusive<i32> {
    i32::MIN..=day.0.saturating_sub(1)
}

fn on(day: Date) -> RangeInclusive<i32> {
    day.0..=day.0
}

fn since(day: Date) -> RangeInclusive<i32> {
    day.0..=i32::MAX
}
