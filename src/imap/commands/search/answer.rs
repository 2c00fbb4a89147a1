//! The responses of a search, in pieces: SEARCH (RFC 3501 section 7.2.5), SORT (RFC 5256 section 4) or ESEARCH (RFC
//! 4731 section 3.1).

use std::fmt::Write as _;
use std::io;

use crate::imap::server::Connection;
use crate::imap::wire::search::{Returns, SearchArgs};
use crate::imap::wire::sequence::SetWriter;
use crate::pace::Pace;

/// Numbers that are written before other sessions get a turn.
const PIECE: usize = 256;

impl Connection {
    /// Sends what SEARCH or SORT has found: `found` are sequence numbers in the order of the result. MIN and MAX are
    /// the first and the last of that order (RFC 5267 section 3.1).
    pub async fn answer(
        &mut self,
        tag: &str,
        command: &str,
        args: &SearchArgs,
        found: &[u32],
    ) -> io::Result<()> {
        match &args.returns {
            None => {
                let modseq = self.session.answers_modseq(&args.key, found.iter().copied());
                self.plain(command, args.uid, found, modseq).await
            }
            Some(returns) if returns.tells() => {
                // The MODSEQ is that of the messages that `$` would stand for.
                let modseq = self.session.answers_modseq(&args.key, returns.kept(found));
                self.extended(tag, args.uid, returns, found).await?;
                self.write(&modseq.map_or(String::new(), |modseq| format!(" MODSEQ {modseq}"))).await?;
                self.write("\r\n").await
            }
            Some(_) => Ok(()),
        }
    }

    async fn plain(
        &mut self,
        command: &str,
        uid: bool,
        found: &[u32],
        modseq: Option<u64>,
    ) -> io::Result<()> {
        self.write(&format!("* {command}")).await?;
        let pace = Pace::new();
        for piece in found.chunks(PIECE) {
            pace.did_items(piece.len()).await;
            let mut out = String::new();
            for number in self.numbers(uid, piece) {
                // Writing to a string cannot fail.
                let _ = write!(out, " {number}");
            }
            self.write(&out).await?;
        }
        self.write(&modseq.map_or(String::new(), |modseq| format!(" (MODSEQ {modseq})"))).await?;
        self.write("\r\n").await
    }

    /// Writes an ESEARCH response except its end. When nothing was found there is neither MIN nor MAX nor ALL (RFC
    /// 4731 section 3.1).
    async fn extended(&mut self, tag: &str, uid: bool, returns: &Returns, found: &[u32]) -> io::Result<()> {
        let mut out = format!("* ESEARCH (TAG \"{tag}\")");
        if uid {
            out.push_str(" UID");
        }
        for (wanted, name, one) in [(returns.min, "MIN", found.first()), (returns.max, "MAX", found.last())] {
            if wanted && let Some(one) = one {
                self.numbers(uid, &[*one]).for_each(|number| out.push_str(&format!(" {name} {number}")));
            }
        }
        if returns.count {
            out.push_str(&format!(" COUNT {}", found.len()));
        }
        self.write(&out).await?;
        if returns.all && !found.is_empty() {
            self.write(" ALL ").await?;
            self.set(uid, found).await?;
        }
        if let Some(partial) = returns.partial {
            self.write(&format!(" PARTIAL ({partial} ")).await?;
            match partial.of(found) {
                [] => self.write("NIL").await?,
                part => self.set(uid, part).await?,
            }
            self.write(")").await?;
        }
        Ok(())
    }

    /// Writes these messages as a `sequence-set`.
    async fn set(&mut self, uid: bool, found: &[u32]) -> io::Result<()> {
        let (mut set, pace) = (SetWriter::default(), Pace::new());
        for piece in found.chunks(PIECE) {
            pace.did_items(piece.len()).await;
            let mut out = String::new();
            self.numbers(uid, piece).for_each(|number| set.push(number, &mut out));
            self.write(&out).await?;
        }
        let mut out = String::new();
        set.finish(&mut out);
        self.write(&out).await
    }

    /// The UIDs of the messages with these sequence numbers when `uid`, otherwise their sequence numbers.
    fn numbers(&self, uid: bool, found: &[u32]) -> impl Iterator<Item = u32> {
        let numbers = self.session.selected().map(|selected| selected.numbers());
        found.iter().map(move |&seq| match numbers {
            Some(numbers) if uid => numbers.uid(seq).unwrap_or(seq),
            _ => seq,
        })
    }
}
