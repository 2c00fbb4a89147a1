//! LIST and LSUB (RFC 3501 sections 6.3.8 and 6.3.9), with the attributes of RFC 3348 (children) and RFC 6154 (special
//! use), and the options of RFC 5258. Pure: names and patterns go in, lines come out, a hundred names at a time.

use std::cmp::Ordering;

use super::pattern::{Patterns, TooMany};
use super::special_use::Uses;
use crate::imap::wire::command::{ListArgs, ListOptions, ListSelect, StatusItem};
use crate::imap::wire::extension::Enabled;
use crate::imap::wire::words;
use crate::store::mailbox_name::{compare, is_inferior, superiors};

/// Names that are looked at before other sessions get a turn.
pub const NAMES: usize = 100;

/// What is listed: the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// LIST.
    Mailboxes,
    /// LSUB.
    Subscriptions,
}

/// A name, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub name: String,
    /// Whether there is a mailbox of this name. LSUB does not look for it, and sets this.
    pub exists: bool,
    /// Whether the name is subscribed.
    pub subscribed: bool,
    /// The special uses of the mailbox.
    pub uses: Uses,
}

/// A response to LIST or LSUB.
#[derive(Debug, PartialEq, Eq)]
pub struct ListResponse {
    /// The untagged response with its CRLF.
    pub line: String,
    /// The mailbox whose STATUS (RFC 5819) and METADATA (RFC 9590) follow the line.
    pub more: Option<String>,
}

/// A LIST or LSUB that is under way. Names come in an order in which all names below a name follow it at once. So the
/// neighbours of a name tell everything about it, except with RECURSIVEMATCH, where a name is reported only after all
/// names below it were looked at.
#[derive(Debug)]
pub struct Listing {
    listed: Listed,
    patterns: Patterns,
    /// The options of an extended LIST; `None` for LSUB, or LIST as in RFC 3501.
    options: Option<ListOptions>,
    /// The selection options: what must be true of a name.
    select: ListSelect,
    /// What the client has enabled.
    enabled: Enabled,
    /// The name that was looked at last.
    last: Option<String>,
    /// For RECURSIVEMATCH: the last name and the names above it that were not reported yet, the outermost first.
    /// There are at most as many as a name has levels.
    open: Vec<Open>,
}

/// A name of which not everything is known yet.
#[derive(Debug)]
struct Open {
    name: Name,
    /// Whether there are mailboxes below it.
    children: bool,
    matches: bool,
    selected: bool,
    /// Whether there are selected names below it.
    selected_below: bool,
    /// Whether there are selected names below it that match no pattern.
    hidden_below: bool,
}

impl Listing {
    /// The listing that `args` ask for, for a client that has enabled `enabled`.
    ///
    /// # Errors
    /// [`TooMany`]: too many patterns, or too many wildcards in them.
    pub fn new(listed: Listed, args: ListArgs, enabled: Enabled) -> Result<Listing, TooMany> {
        let patterns = Patterns::new(&args.reference, &args.patterns)?;
        let mut select = args.options.as_ref().map(|options| options.select).unwrap_or_default();
        if listed == Listed::Subscriptions {
            // RFC 3501: when foo/bar is subscribed and foo is not, a pattern that ends with % names foo.
            select.subscribed = !args.patterns.iter().any(|pattern| pattern.ends_with('%'));
        }
        Ok(Listing { listed, patterns, options: args.options, select, enabled, last: None, open: Vec::new() })
    }

    /// Whether the names of mailboxes are listed.
    pub fn wants_mailboxes(&self) -> bool {
        self.listed == Listed::Mailboxes
    }

    /// Whether subscribed names are listed.
    pub fn wants_subscriptions(&self) -> bool {
        self.listed == Listed::Subscriptions || self.select.subscribed
    }

    /// The items of the STATUS responses that were asked for.
    pub fn status(&self) -> &[StatusItem] {
        self.options.as_ref().map(|options| options.status.as_slice()).unwrap_or_default()
    }

    /// The entries of the METADATA responses that were asked for.
    pub fn metadata(&self) -> &[String] {
        self.options.as_ref().map(|options| options.metadata.as_slice()).unwrap_or_default()
    }

    /// The name that was looked at last.
    pub fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// Merges the next names of mailboxes and of subscriptions into the next `n` names. Of each up to `n` + 1 are
    /// given. Names that are left over are given again with the next call.
    pub fn merge(&self, n: usize, mailboxes: Vec<String>, subscriptions: Vec<String>) -> Piece {
        let mut mailboxes = mailboxes.into_iter().peekable();
        let mut subscriptions = subscriptions.into_iter().peekable();
        let mut names = Vec::new();
        while names.len() < n {
            let order = match (mailboxes.peek(), subscriptions.peek()) {
                (Some(mailbox), Some(subscription)) => compare(mailbox, subscription),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            let mailbox = if order.is_le() { mailboxes.next() } else { None };
            let subscription = if order.is_ge() { subscriptions.next() } else { None };
            let exists = mailbox.is_some() || self.listed == Listed::Subscriptions;
            let subscribed = subscription.is_some();
            let uses = Uses::default();
            names.extend(mailbox.or(subscription).map(|name| Name { name, exists, subscribed, uses }));
        }
        let next = mailboxes.next();
        let more = next.is_some() || subscriptions.next().is_some();
        Piece { names, next, more }
    }

    /// The names above those of `names`, the next ones in order, that are not among the names themselves.
    pub fn implied<'a>(&self, names: &'a [Name]) -> impl Iterator<Item = &'a str> {
        let before = [self.last.clone()].into_iter().chain(names.iter().map(|name| Some(name.name.clone())));
        names.iter().zip(before).flat_map(|(name, before)| {
            superiors(&name.name).filter(move |superior| {
                !before.as_deref().is_some_and(|before| before == *superior || is_inferior(before, superior))
            })
        })
    }

    /// Reports the names of `piece`, the next ones in order. `about` returns what is known of an implied name.
    pub fn tell(&mut self, piece: Piece, about: impl Fn(&str) -> Name, told: &mut Vec<ListResponse>) {
        let Piece { names, next, more } = piece;
        for (place, name) in names.iter().enumerate() {
            // The first mailbox at this index or after it.
            let mailbox = |place: usize| {
                let names = names.get(place..).unwrap_or_default();
                names.iter().find(|name| name.exists).map(|name| name.name.as_str()).or(next.as_deref())
            };
            let has_children = |name: &str, place| mailbox(place).is_some_and(|next| is_inferior(next, name));
            let above: Vec<&str> = self.implied(std::slice::from_ref(name)).collect();
            for superior in above {
                self.name(about(superior), has_children(superior, place), told);
            }
            self.name(name.clone(), has_children(&name.name, place + 1), told);
            self.last = Some(name.name.clone());
        }
        if !more {
            self.close(0, told);
        }
    }

    fn name(&mut self, name: Name, children: bool, told: &mut Vec<ListResponse>) {
        let selected = self.selects(&name);
        if !self.select.recursive_match {
            if selected && self.patterns.matches(&name.name) {
                told.push(self.told(&name, children, true, false));
            }
            return;
        }
        let above = self.open.iter().take_while(|open| is_inferior(&name.name, &open.name.name)).count();
        self.close(above, told);
        let matches = self.patterns.matches(&name.name);
        if selected {
            for open in &mut self.open {
                open.selected_below = true;
                open.hidden_below |= !matches;
            }
        }
        let (selected_below, hidden_below) = (false, false);
        self.open.push(Open { name, children, matches, selected, selected_below, hidden_below });
    }

    /// Reports the open names except the first `keep`, since no more names are below them. RFC 5258 section 3.5: a
    /// name that is not selected is reported only for names below it that are not reported themselves.
    fn close(&mut self, keep: usize, told: &mut Vec<ListResponse>) {
        while self.open.len() > keep
            && let Some(open) = self.open.pop()
        {
            if open.matches && (open.selected || open.hidden_below) {
                told.push(self.told(&open.name, open.children, open.selected, open.selected_below));
            }
        }
    }

    fn selects(&self, name: &Name) -> bool {
        let ListSelect { subscribed, special_use, .. } = self.select;
        (!subscribed || name.subscribed) && (!special_use || name.has_use())
    }

    fn told(&self, name: &Name, children: bool, selected: bool, selected_below: bool) -> ListResponse {
        let tells_subscribed = |options: &ListOptions| options.subscribed || options.select.subscribed;
        let told = Attributes {
            children: (self.listed == Listed::Mailboxes).then_some(children),
            non_existent: self.options.is_some(),
            subscribed: self.options.as_ref().is_some_and(tells_subscribed),
        };
        let mut line = response(self.word(), name, told, self.enabled);
        if selected_below {
            line.push_str(&format!(" (\"CHILDINFO\" ({}))", self.selection()));
        }
        line.push_str("\r\n");
        let more = !self.status().is_empty() || !self.metadata().is_empty();
        ListResponse { line, more: (name.exists && selected && more).then(|| name.name.clone()) }
    }

    /// The selection options that the names below have met.
    fn selection(&self) -> &'static str {
        match (self.select.subscribed, self.select.special_use) {
            (true, true) => r#""SUBSCRIBED" "SPECIAL-USE""#,
            (true, false) => r#""SUBSCRIBED""#,
            (false, _) => r#""SPECIAL-USE""#,
        }
    }

    fn word(&self) -> &'static str {
        match self.listed {
            Listed::Mailboxes => "LIST",
            Listed::Subscriptions => "LSUB",
        }
    }
}

/// The attributes that are reported for a name, when it has them.
#[derive(Debug, Clone, Copy)]
struct Attributes {
    /// Whether there are mailboxes below the name; `None` when neither this nor its special use is reported.
    children: Option<bool>,
    /// Whether `\NonExistent` is reported, which not all clients know.
    non_existent: bool,
    /// Whether `\Subscribed` is reported.
    subscribed: bool,
}

/// A LIST or LSUB response up to the mailbox name.
fn response(word: &str, name: &Name, told: Attributes, enabled: Enabled) -> String {
    let mut attributes = Vec::new();
    if !name.exists {
        // RFC 5258 section 3: the newer one implies the other. Who asks by the older syntax may not know it.
        attributes.push(if told.non_existent { "\\NonExistent" } else { "\\Noselect" });
    }
    if let Some(children) = told.children {
        attributes.push(if children { "\\HasChildren" } else { "\\HasNoChildren" });
        attributes.extend(name.uses.attributes().filter(|_| name.exists));
    }
    if name.subscribed && told.subscribed {
        attributes.push("\\Subscribed");
    }
    let mut line = format!("* {word} ({}) \"/\" ", attributes.join(" "));
    words::mailbox(&name.name, enabled, &mut line);
    line
}

/// The next names of a listing.
#[derive(Debug)]
pub struct Piece {
    /// The names in order.
    pub names: Vec<Name>,
    /// The next mailbox after these names.
    pub next: Option<String>,
    /// Whether names are left over.
    pub more: bool,
}

/// The response to an empty pattern, which asks for the hierarchy delimiter and the root name (RFC 3501 section
/// 6.3.8).
pub fn root(listed: Listed) -> &'static str {
    match listed {
        Listed::Mailboxes => "* LIST (\\Noselect) \"/\" \"\"\r\n",
        Listed::Subscriptions => "* LSUB (\\Noselect) \"/\" \"\"\r\n",
    }
}

/// Appends the LIST response of one mailbox that was not listed by LIST: all its attributes, and the other name by
/// which the client has called it (OLDNAME, RFC 9051 section 6.3.9.7).
pub fn write_one(name: &Name, children: bool, given: Option<&str>, enabled: Enabled, out: &mut String) {
    let told = Attributes { children: Some(children), non_existent: true, subscribed: true };
    out.push_str(&response("LIST", name, told, enabled));
    if let Some(given) = given {
        out.push_str(" (\"OLDNAME\" (");
        words::mailbox(given, enabled, out);
        out.push_str("))");
    }
    out.push_str("\r\n");
}

impl Name {
    fn has_use(&self) -> bool {
        self.exists && !self.uses.is_empty()
    }
}

#[cfg(test)]
mod tests;
