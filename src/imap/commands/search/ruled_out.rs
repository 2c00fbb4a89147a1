//! Messages of a search that cannot contain a text, as their signatures tell: these need not be opened.
//!
//! Signatures lie together in the order of the messages in the log. So they are read for many messages at once, ahead
//! of the search.

use crate::message::search::Needle;
use crate::message::signature::{Probe, VERSION};
use crate::pace::Pace;
use crate::store::{Account, Message};

/// Messages whose signatures are read at once; they take half a mebibyte of memory.
pub const AHEAD: usize = 8192;

/// Which texts messages cannot contain, by the indexes of the tests that look for these texts.
pub struct RuledOut {
    probes: Vec<(usize, Probe)>,
    /// For each of the messages with these sequence numbers, ascending, a bit for each probe that rules the message
    /// out.
    known: Vec<(u32, u64)>,
    /// The sequence number up to which signatures have been read.
    asked: u32,
}

impl RuledOut {
    /// Probes for `needles`, each with the index of its test. Needles after the 64th are left out.
    pub fn new<'n>(needles: impl Iterator<Item = (usize, &'n Needle)>) -> RuledOut {
        let probes = needles.filter_map(|(test, needle)| Some((test, Probe::new(needle)?)));
        let probes = probes.take(u64::BITS as usize).collect();
        RuledOut { probes, known: Vec::new(), asked: 0 }
    }

    /// Whether signatures have to be read for the message with this number and for the next ones.
    pub fn is_behind(&self, seq: u32) -> bool {
        seq > self.asked && !self.probes.is_empty()
    }

    /// Reads the signatures of `candidates`, in ascending order: all messages up to the number `to` that may have to
    /// be opened.
    pub async fn ask(&mut self, account: &Account, candidates: Vec<(u32, Message)>, to: u32, pace: &Pace) {
        let (seqs, messages): (Vec<u32>, Vec<Message>) = candidates.into_iter().unzip();
        let mut known: Vec<(u32, u64)> = seqs.into_iter().map(|seq| (seq, 0)).collect();
        let probes = &self.probes;
        let tell = |n: usize, signature: &[u8]| {
            if let Some((_, says_no)) = known.get_mut(n) {
                for (bit, (_, probe)) in probes.iter().enumerate() {
                    *says_no |= u64::from(!probe.may_be_in(signature)) << bit;
                }
            }
        };
        account.signatures(VERSION, &messages, pace, tell).await;
        (self.known, self.asked) = (known, to);
    }

    /// Whether the message with this number cannot contain the text of this test.
    pub fn rules_out(&self, seq: u32, test: usize) -> bool {
        let Ok(at) = self.known.binary_search_by_key(&seq, |(seq, _)| *seq) else { return false };
        let says_no = self.known.get(at).map_or(0, |(_, says_no)| *says_no);
        says_no != 0
            && self.probes.iter().enumerate().any(|(bit, (of, _))| *of == test && says_no >> bit & 1 == 1)
    }
}
