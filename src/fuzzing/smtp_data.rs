//! The octets after DATA: however they are cut into pieces, they decode to the same; and what is encoded decodes to itself.

use crate::smtp::data::{Decoder, Encoder};

/// What comes out, and how many octets were taken.
fn decode(wire: &[u8], piece: usize) -> (Vec<u8>, usize) {
    let (mut decoder, mut out, mut taken) = (Decoder::default(), Vec::new(), 0);
    for piece in wire.chunks(piece) {
        taken += decoder.decode(piece, &mut out);
        if decoder.is_complete() {
            break;
        }
    }
    (out, taken)
}

/// One input.
pub fn run(data: &[u8]) {
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
