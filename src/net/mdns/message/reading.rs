//! Reads incoming messages, however odd parts of them are. One record that cannot be parsed must not hide the others:
//! the device would lose its name if it missed answers. (python-zeroconf sends NSEC records with gaps, others types
//! of their own.)

use simple_dns::{CLASS, Packet, TYPE};

/// Octets of a message's header.
const HEAD: usize = 12;
/// The bit in the class field that is not part of the class.
const FLAG: u16 = 0x8000;

/// Parses a message; `None` if it is malformed. Records that do not concern this device are marked as unknown in
/// `octets`.
pub fn parsed(octets: &mut [u8]) -> Option<Packet<'_>> {
    let count = |at| number(octets, at).map(usize::from);
    let (questions, records) = (count(4)?, count(6)? + count(8)? + count(10)?);
    // All records that the header counts must be there: the parser allocates room for that many before it looks.
    let mut at = HEAD;
    for _ in 0..questions {
        at = behind_name(octets, at)? + 4;
        mark_class(octets, at - 2)?;
    }
    for _ in 0..records {
        let kind = behind_name(octets, at)?;
        mark_class(octets, kind + 2)?;
        let len = usize::from(number(octets, kind + 8)?);
        let is_read = match TYPE::from(number(octets, kind)?) {
            TYPE::A => len == 4,
            TYPE::AAAA => len == 16,
            TYPE::PTR | TYPE::SRV | TYPE::TXT => true,
            _ => false,
        };
        if !is_read {
            set(octets, kind, TYPE::NULL.into());
        }
        at = kind + 10 + len;
    }
    Packet::parse(octets).ok()
}

fn number(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(octets.get(at..at + 2)?.try_into().ok()?))
}

fn set(octets: &mut [u8], at: usize, number: u16) {
    if let Some(place) = octets.get_mut(at..at + 2) {
        place.copy_from_slice(&number.to_be_bytes());
    }
}

/// The parser knows the defined classes only. Another class is replaced by one that is not ours.
fn mark_class(octets: &mut [u8], at: usize) -> Option<()> {
    const IN: u16 = CLASS::IN as u16;
    const ANY: u16 = 255;
    let class = number(octets, at)?;
    if !matches!(class & !FLAG, IN | ANY) {
        set(octets, at, class & FLAG | CLASS::CH as u16);
    }
    Some(())
}

/// The position after a name.
fn behind_name(octets: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*octets.get(at)?) {
            0 => return Some(at + 1),
            len if len < 0x40 => at += 1 + len,
            // The rest of the name is elsewhere in the message.
            _ => return Some(at + 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use simple_dns::rdata::{A, RData};
    use simple_dns::{CLASS, Name, QTYPE, Question, ResourceRecord};

    use super::*;

    /// Catches: a walk beyond the end of the message. (The parser, which would allocate room for 65,280 records, is
    /// not called.)
    #[test]
    fn a_head_that_claims_more_than_there_is_is_none() {
        for count in 0..4 {
            let mut head = [0; 12];
            head[4 + 2 * count] = 0xff;
            assert!(parsed(&mut head).is_none());
        }
        assert!(parsed(&mut [0; 12]).is_some());
        for len in 0..12 {
            assert!(parsed(&mut [0xff; 12][..len]).is_none());
        }
        // The smallest question, for the root.
        let mut smallest = vec![0; 17];
        (smallest[5], smallest[14], smallest[16]) = (1, 1, 1);
        assert_eq!(parsed(&mut smallest).unwrap().questions.len(), 1);
    }

    /// Catches: a record of an unknown type, class or form that hides the records before or after it.
    #[test]
    fn a_strange_record_hides_no_other() {
        let name = Name::new("pillarbox.local").unwrap();
        let mut packet = Packet::new_reply(0);
        packet.questions.push(Question::new(name.clone(), QTYPE::ANY, CLASS::IN.into(), false));
        let address = RData::A(A { address: 7 });
        for _ in 0..3 {
            packet.answers.push(ResourceRecord::new(name.clone(), CLASS::IN, 120, address.clone()));
        }
        let whole = packet.build_bytes_vec().unwrap();
        let record = name.as_bytes().map(|label| label.len() + 1).sum::<usize>() + 1 + 10 + 4;
        let second = whole.len() - 2 * record;
        let head = second + record - 14;
        let strange = |at: usize, new: &[u8]| {
            let mut octets = whole.clone();
            octets[at..at + new.len()].copy_from_slice(new);
            let packet = parsed(&mut octets).unwrap_or_else(|| panic!("{new:?}"));
            let known = packet.answers.iter().filter(|it| it.rdata == address && it.class == CLASS::IN);
            (packet.questions.len(), known.count())
        };
        assert_eq!(strange(head, &[0, 1]), (1, 3), "as it is");
        // NSEC with wrong data, a future type, OPT, and undefined classes.
        for (at, new) in [
            (head, [0, 47]),
            (head, [0xff, 0xfe]),
            (head, [0, 41]),
            (head + 2, [0, 0]),
            (head + 2, [0x80, 77]),
        ] {
            assert_eq!(strange(at, &new), (1, 2), "{new:?}");
        }
        // A question with an undefined class.
        let question = HEAD + record - 14 + 2;
        assert_eq!(strange(question, &[0x12, 0x34]), (1, 3));
        // An address of four octets with a length of three, and one more octet.
        let mut short = whole.clone();
        short[head + 9] = 3;
        short.remove(head + 13);
        assert_eq!(parsed(&mut short).unwrap().answers.len(), 3);
    }
}
