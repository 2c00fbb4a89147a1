//! BINARY and BINARY.SIZE (RFC 3516): a part without its transfer encoding.

use std::io::{self, Write as _};

use super::response::Response;
use crate::flash::ReadAt;
use crate::message::binary::Binary;
use crate::message::mime::Part;
use crate::net::stream::Stream;
use crate::store::Error;

/// Where a client wants to begin, and how many octets it wants at most.
type Partial = Option<(u64, u64)>;

/// The part that a client wants.
enum Wanted {
    /// All of the message, as it is.
    Message,
    Part(Part),
}

impl Response<'_> {
    /// `BINARY[part]<partial> …`, as a `literal8`: NUL may be in it.
    pub(super) async fn binary(
        &mut self,
        stream: &mut Stream,
        part: &[u32],
        partial: Partial,
    ) -> io::Result<()> {
        write!(self.out, "BINARY[{}]", numbers(part))?;
        if let Some((origin, _)) = partial {
            write!(self.out, "<{origin}>")?;
        }
        let wanted = self.wanted(part).await;
        let Some((wanted, length)) = wanted else {
            self.out.extend(b" NIL");
            return Ok(());
        };
        let (origin, count) = partial.unwrap_or((0, u64::MAX));
        let mut skip = length.min(origin);
        let mut left = (length - skip).min(count);
        if left == 0 {
            self.out.extend(b" \"\"");
            return Ok(());
        }
        write!(self.out, " ~{{{left}}}\r\n")?;
        stream.write(&self.out).await?;
        self.out.clear();
        let read = self.decoded(stream, &wanted, &mut skip, &mut left).await?;
        if self.readable(read).is_none() {
            // Their number was promised.
            while left > 0 {
                let piece = [b' '; 1024];
                let n = left.min(1024);
                stream.write(&piece[..n as usize]).await?;
                left -= n;
            }
        }
        Ok(())
    }

    /// `BINARY.SIZE[part] n`.
    pub(super) async fn binary_size(&mut self, part: &[u32]) -> io::Result<()> {
        let length = self.wanted(part).await.map_or(0, |(_, length)| length);
        write!(self.out, "BINARY.SIZE[{}] {length}", numbers(part))
    }

    /// The part that `numbers` lead to, and its length without its encoding; `None` where there is no such part, or it
    /// cannot be decoded or read, which is noted.
    async fn wanted(&mut self, numbers: &[u32]) -> Option<(Wanted, u64)> {
        if numbers.is_empty() {
            return Some((Wanted::Message, u64::from(self.opened.size())));
        }
        let structure = self.opened.structure(self.last, self.pace).await;
        let part = self.readable(structure)?.find(numbers)?.clone();
        let wanted = Wanted::Part(part);
        let length = self.length(&wanted).await;
        let length = self.readable(length)?;
        self.undecodable |= length.is_none();
        Some((wanted, length?))
    }

    /// The length of what a part holds; `None`: its encoding is not known.
    async fn length(&mut self, wanted: &Wanted) -> Result<Option<u64>, Error> {
        let pace = self.pace;
        let body = self.opened.body()?;
        let counted = async {
            let Some(mut binary) = wanted.binary(body)? else { return Ok(None) };
            let (mut length, mut piece) = (0, Vec::new());
            while let Some(read) = binary.step(&mut piece)? {
                length += piece.len() as u64;
                piece.clear();
                pace.did(read).await;
            }
            Ok(Some(length))
        };
        let counted = counted.await;
        counted.map_err(|error| self.opened.unreadable(error))
    }

    /// Sends `left` octets behind the first `skip`. The outer error is the connection's, the inner one that of the flash.
    async fn decoded(
        &mut self,
        stream: &mut Stream,
        wanted: &Wanted,
        skip: &mut u64,
        left: &mut u64,
    ) -> io::Result<Result<(), Error>> {
        let pace = self.pace;
        let body = match self.opened.body() {
            Ok(body) => body,
            Err(error) => return Ok(Err(error)),
        };
        let mut failed = None;
        let mut binary = wanted.binary(body).unwrap_or_else(|error| {
            failed = Some(error);
            None
        });
        let mut piece = Vec::new();
        while let Some(binary) = &mut binary
            && *left > 0
        {
            match binary.step(&mut piece) {
                Ok(Some(read)) => pace.did(read).await,
                Ok(None) => break,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
            let skipped = (piece.len() as u64).min(*skip);
            let octets = piece.get(skipped as usize..).unwrap_or_default();
            let octets = octets.get(..*left as usize).unwrap_or(octets);
            stream.write(octets).await?;
            *skip -= skipped;
            *left -= octets.len() as u64;
            piece.clear();
        }
        Ok(failed.map_or(Ok(()), |error| Err(self.opened.unreadable(error))))
    }
}

impl Wanted {
    fn binary<'a>(&self, body: &'a dyn ReadAt) -> io::Result<Option<Binary<'a>>> {
        match self {
            Wanted::Message => Ok(Some(Binary::identity(body, 0..body.len()?))),
            Wanted::Part(part) => Binary::of(body, part),
        }
    }
}

fn numbers(part: &[u32]) -> String {
    part.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}
