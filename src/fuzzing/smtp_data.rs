//! The octets after DATA, and those of chunks: however they are cut into pieces, they decode to the same; what is encoded
//! decodes to itself; and a whole message, header and all, gets one verdict, whether it comes by DATA or by BDAT.

use crate::smtp::Mailbox;
use crate::smtp::data::{Decoder, Encoder};
use crate::smtp::header::{Authors, Defaults};
use crate::smtp::intake::Intake;

/// What comes out, and how many octets were taken.
fn decode(wire: &[u8], piece: usize) -> (Vec<u8>, usize) {
    decode_by(Decoder::default(), wire, piece)
}

fn decode_by(mut decoder: Decoder, wire: &[u8], piece: usize) -> (Vec<u8>, usize) {
    let (mut out, mut taken) = (Vec::new(), 0);
    for piece in wire.chunks(piece) {
        taken += decoder.decode(piece, &mut out);
        if decoder.is_complete() {
            break;
        }
    }
    (out, taken)
}

/// What chunks of this size are made of.
fn gather(content: &[u8], piece: usize) -> Vec<u8> {
    let (mut decoder, mut out) = (Decoder::of_chunks(), Vec::new());
    for chunk in content.chunks(piece) {
        assert_eq!(decoder.decode(chunk, &mut out), chunk.len(), "a dot ended a chunk");
    }
    decoder.finish(&mut out);
    out
}

/// What is stored of a message, of whoever may be its authors; `None` where it is refused.
fn take(decoder: Decoder, wire: &[u8], piece: usize, authors: Authors) -> Option<Vec<u8>> {
    let defaults = Defaults { from: None, date: 0, domain: "home.example".into() };
    let mut intake = Intake::new(decoder, defaults, authors, 100_000);
    let (mut stored, mut out) = (Vec::new(), Vec::new());
    for piece in wire.chunks(piece) {
        let (_, judged) = intake.take(piece, &mut out);
        judged.ok()?;
        stored.extend_from_slice(&out);
    }
    intake.finish(&mut out).ok()?;
    stored.extend_from_slice(&out);
    Some(stored)
}

fn authors(which: usize) -> Authors {
    let home = |author: &Mailbox| author.domain() == "home.example";
    match which {
        0 => Authors::Anyone,
        1 => Authors::Own(Box::new(home)),
        _ => Authors::House {
            here: Box::new(home),
            sender: Mailbox::parse("d@home.example").expect("an address"),
        },
    }
}

/// One input.
pub fn run(data: &[u8]) {
    for piece in [1, 2, 3] {
        assert_eq!(gather(data, piece), gather(data, data.len().max(1)), "chunks of {piece}");
        assert_eq!(
            decode_by(Decoder::of_bare_lines(), data, piece),
            decode_by(Decoder::of_bare_lines(), data, data.len().max(1)),
            "bare lines in pieces of {piece}"
        );
    }
    // The Message-ID is random.
    let content = [&b"Message-ID: <x@y>\r\n"[..], data].concat();
    for which in 0..3 {
        let whole = take(Decoder::of_chunks(), &content, content.len(), authors(which));
        for piece in [1, 7] {
            assert_eq!(
                take(Decoder::of_chunks(), &content, piece, authors(which)),
                whole,
                "chunks of {piece}"
            );
        }
        if let Some(stored) = whole {
            assert!(!stored.contains(&0), "a NUL was stored");
            assert!(stored.split(|&b| b == b'\n').all(|line| line.len() <= 999), "a long line was stored");
            let (mut encoder, mut wire) = (Encoder::default(), Vec::new());
            encoder.encode(&gather(&content, 99), &mut wire);
            encoder.finish(&mut wire);
            assert_eq!(
                take(Decoder::default(), &wire, 5, authors(which)),
                Some(stored),
                "by DATA it is another one"
            );
        }
    }

    let whole = decode(data, data.len().max(1));
    for piece in [1, 2, 3] {
        assert_eq!(decode(data, piece), whole, "in pieces of {piece}");
    }

    let (mut encoder, mut wire) = (Encoder::default(), Vec::new());
    encoder.encode(data, &mut wire);
    encoder.finish(&mut wire);
    let (message, taken) = decode(&wire, wire.len());
    assert_eq!(taken, wire.len(), "the encoded message ends early: what follows would be taken for commands");
    let (again, _) = decode(
        &{
            let (mut encoder, mut wire) = (Encoder::default(), Vec::new());
            encoder.encode(&message, &mut wire);
            encoder.finish(&mut wire);
            wire
        },
        7,
    );
    assert_eq!(again, message, "a decoded message does not survive the way");
}
