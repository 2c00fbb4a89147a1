//! Which messages match a search key (RFC 3501 section 6.4.4). What the index knows is tested first, then header
//! fields, and bodies only when nothing else decides.

use std::ops::RangeInclusive;

use super::ruled_out::{AHEAD, RuledOut};
use crate::clock::unix_now;
use crate::imap::commands::lazy_message::{LazyMessage, SharedSummaries, summaries};
use crate::imap::state::selected::Selected;
use crate::imap::wire::command::{Date, SearchKey};
use crate::imap::wire::words;
use crate::message::date;
use crate::message::search::{Needle, Scope, Search, in_addresses, in_field};
use crate::pace::{Pace, STEP};
use crate::store::{Account, Error, Flags, Message, Uid};

/// A message that may match.
pub struct Candidate {
    /// Its sequence number.
    pub seq: u32,
    /// Whether it is `\Recent` to this session.
    pub recent: bool,
    /// The message as the index holds it.
    pub message: Message,
}

impl Candidate {
    /// The message of this sequence number and UID; `None` when another session has removed it.
    ///
    /// # Errors
    /// [`Error::NoSuchMailbox`], when another session has deleted the mailbox.
    pub fn of(selected: &Selected, seq: u32, uid: Uid) -> Result<Option<Candidate>, Error> {
        let (account, numbers) = (selected.account(), selected.numbers());
        let message = account.view(numbers.mailbox(), |mailbox| mailbox.message(uid).copied());
        let message = message.ok_or(Error::NoSuchMailbox)?;
        Ok(message.map(|message| Candidate { seq, recent: numbers.is_recent(uid), message }))
    }
}

/// A search key, with everything that can be prepared once for all messages.
pub struct Query {
    formula: Formula,
    tests: Vec<Test>,
    /// The work of testing all of it, in items.
    size: usize,
    /// The results of the tests for the current message; `None` for tests that were not made.
    answers: Vec<Option<bool>>,
    ruled_out: RuledOut,
    summaries: SharedSummaries,
    pace: Pace,
}

enum Formula {
    /// The test with this index.
    Test(usize),
    Not(Box<Formula>),
    /// When one of the formulas has this value, the result is this value; otherwise it is the opposite.
    Unless(bool, Vec<Formula>),
}

enum Test {
    Index(IndexTest),
    /// The day of the Date field is among these.
    Sent(RangeInclusive<i32>),
    Addresses {
        name: String,
        needle: Needle,
    },
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
    /// All of these flags are set; `None` for a keyword that no message of the mailbox has.
    Flags(Option<Flags>),
    Recent,
    Internal(RangeInclusive<i32>),
    /// The day of the save date is among these.
    Saved(RangeInclusive<i32>),
    /// The EMAILID, and the number of the body in it.
    EmailId(u32, String),
    Nothing,
    /// INTERNALDATE in seconds since 1970 is in this range.
    Received(RangeInclusive<i64>),
    Larger(u32),
    Smaller(u32),
    Modseq(u64),
}

impl Query {
    /// Prepares a key for the messages of the selected mailbox.
    ///
    /// # Errors
    /// [`Error::NoSuchMailbox`], when another session has deleted the mailbox.
    pub fn new(key: &SearchKey, selected: &Selected) -> Result<Query, Error> {
        let mailbox = selected.numbers().mailbox();
        let keywords = selected.account().view(mailbox, |mailbox| mailbox.keywords.clone());
        let mut tests = Vec::new();
        let formula = Formula::new(key, selected, &keywords.ok_or(Error::NoSuchMailbox)?, &mut tests);
        let size = formula.size();
        let needles = tests.iter().enumerate().filter_map(|(n, test)| Some((n, test.needle()?)));
        let ruled_out = RuledOut::new(needles);
        let answers = vec![None; tests.len()];
        let summaries = summaries(selected.account());
        Ok(Query { formula, size, answers, ruled_out, summaries, tests, pace: Pace::new() })
    }

    /// Gives other sessions a turn when it is time. To be called before each message.
    pub async fn turn(&self) {
        self.pace.did_items(self.size).await;
    }

    /// Asks signatures which of the next messages need not be opened. To be called before the message `seq` when
    /// those that follow it will be searched as well.
    pub async fn look_ahead(&mut self, selected: &Selected, seq: u32) {
        if !self.ruled_out.is_behind(seq) {
            return;
        }
        let (account, numbers) = (selected.account(), selected.numbers());
        let (mut candidates, mut to) = (Vec::new(), seq);
        for (seq, &uid) in (1..).zip(numbers.uids()).skip(seq as usize - 1) {
            self.turn().await;
            to = seq;
            if let Ok(Some(candidate)) = Candidate::of(selected, seq, uid) {
                self.answer_unopened(&candidate);
                if self.formula.verdict(self).is_err() {
                    candidates.push((seq, candidate.message));
                }
            }
            if candidates.len() >= AHEAD {
                break;
            }
        }
        self.ruled_out.ask(account, candidates, to, &self.pace).await;
    }

    /// Makes the tests for which no message has to be opened.
    fn answer_unopened(&mut self, candidate: &Candidate) {
        for (n, (test, answer)) in self.tests.iter().zip(&mut self.answers).enumerate() {
            *answer = match test {
                Test::Index(test) => Some(test.holds(candidate)),
                _ => self.ruled_out.rules_out(candidate.seq, n).then_some(false),
            };
        }
    }

    /// Whether a message matches, with as little reading as possible. This is the only place where a search opens
    /// messages.
    ///
    /// # Errors
    /// Errors of reading the message.
    pub async fn matches(&mut self, account: &Account, candidate: Candidate) -> Result<bool, Error> {
        self.answer_unopened(&candidate);
        match self.formula.verdict(self) {
            Ok(verdict) => Ok(verdict),
            Err(open) => self.opened_matches(account, candidate.message, open).await,
        }
    }

    /// [`Query::matches`] for a message for which the test `open` is the next to be made.
    async fn opened_matches(
        &mut self,
        account: &Account,
        message: Message,
        mut open: usize,
    ) -> Result<bool, Error> {
        let mut opened = LazyMessage::new(account, message, &self.summaries);
        loop {
            self.pace.did_items(self.size).await;
            if let (Some(test), Some(answer)) = (self.tests.get(open), self.answers.get_mut(open)) {
                *answer = Some(test.ask(&mut opened, &self.pace).await?);
                self.pace.did(opened.take_octets_read()).await;
            }
            match self.formula.verdict(self) {
                Ok(verdict) => return Ok(verdict),
                Err(next) => open = next,
            }
        }
    }
}

impl Formula {
    /// The formula of a key. It recurses as deep as the key, which the parser limits.
    fn new(key: &SearchKey, selected: &Selected, keywords: &[String], tests: &mut Vec<Test>) -> Formula {
        let numbers = selected.numbers();
        let index = |test| Test::Index(test);
        let test = match key {
            SearchKey::All => return Formula::Unless(false, Vec::new()),
            SearchKey::And(keys) => {
                let keys = keys.iter().map(|key| Formula::new(key, selected, keywords, tests));
                return Formula::Unless(false, keys.collect());
            }
            SearchKey::Or(one, other) => {
                let keys = [one, other].map(|key| Formula::new(key, selected, keywords, tests));
                return Formula::Unless(true, keys.into());
            }
            SearchKey::Not(key) => {
                return Formula::Not(Box::new(Formula::new(key, selected, keywords, tests)));
            }
            SearchKey::Sequence(set) => index(IndexTest::Sequence(set.ranges(numbers.exists()))),
            SearchKey::Saved => index(IndexTest::Sequence(selected.saved().ranges())),
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
            SearchKey::SavedBefore(day) => index(IndexTest::Saved(before(*day))),
            SearchKey::SavedOn(day) => index(IndexTest::Saved(on(*day))),
            SearchKey::SavedSince(day) => index(IndexTest::Saved(since(*day))),
            SearchKey::EmailId(id) => {
                let number = id.strip_prefix('M').and_then(|id| id.split('-').next()?.parse().ok());
                index(number.map_or(IndexTest::Nothing, |number| IndexTest::EmailId(number, id.clone())))
            }
            SearchKey::ThreadId => index(IndexTest::Nothing),
            // RFC 5032 section 2: a message of exactly that age is both older and younger.
            SearchKey::Older(seconds) => {
                index(IndexTest::Received(i64::MIN..=unix_now().saturating_sub((*seconds).into())))
            }
            SearchKey::Younger(seconds) => {
                index(IndexTest::Received(unix_now().saturating_sub((*seconds).into())..=i64::MAX))
            }
            SearchKey::SentBefore(day) => Test::Sent(before(*day)),
            SearchKey::SentOn(day) => Test::Sent(on(*day)),
            SearchKey::SentSince(day) => Test::Sent(since(*day)),
            SearchKey::Larger(size) => index(IndexTest::Larger(*size)),
            SearchKey::Smaller(size) => index(IndexTest::Smaller(*size)),
            SearchKey::Modseq(modseq) => index(IndexTest::Modseq(*modseq)),
            SearchKey::Addresses { name, text } => {
                Test::Addresses { name: name.clone(), needle: Needle::new(text) }
            }
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

    /// The result when it is decided already, otherwise the cheapest test that may decide it.
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
    /// The text that the test looks for.
    fn needle(&self) -> Option<&Needle> {
        match self {
            Test::Addresses { needle, .. } | Test::Field { needle, .. } | Test::Content { needle, .. } => {
                Some(needle)
            }
            Test::Index(_) | Test::Sent(_) => None,
        }
    }

    fn cost(&self) -> u8 {
        match self {
            Test::Index(_) => 0,
            Test::Sent(_) | Test::Addresses { .. } | Test::Field { .. } => 1,
            Test::Content { .. } => 2,
        }
    }

    async fn ask(&self, opened: &mut LazyMessage<'_>, pace: &Pace) -> Result<bool, Error> {
        match self {
            Test::Index(_) => Ok(false), // answered before anything is opened
            Test::Sent(days) => {
                let date = opened.ask_values(["Date"], |[field]| date::parse_rfc5322(&field?))?;
                Ok(date.is_some_and(|date| days.contains(&date.day())))
            }
            Test::Addresses { name, needle } => {
                opened.ask_header(&[name], |fields| in_addresses(fields, 0..u64::MAX, name, needle))
            }
            Test::Field { name, needle } => {
                opened.ask_header(&[name], |fields| in_field(fields, 0..u64::MAX, name, needle))
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
            IndexTest::Internal(days) => days.contains(&date::day_of(message.date.get())),
            IndexTest::Saved(days) => {
                days.contains(&date::day_of(message.save_date().unwrap_or(message.date.get())))
            }
            IndexTest::EmailId(body, id) => message.body == *body && words::email_id(message) == *id,
            IndexTest::Nothing => false,
            IndexTest::Received(moments) => moments.contains(&message.date.get()),
            IndexTest::Larger(size) => message.size > *size,
            IndexTest::Smaller(size) => message.size < *size,
            IndexTest::Modseq(modseq) => message.modseq >= *modseq,
        }
    }
}

/// Whether one of the ascending ranges contains the number.
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
