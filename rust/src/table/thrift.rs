//! Checks what the `parquet` crate believes: it allocates as many elements and bytes as a file claims, and descends as
//! deep as a schema does. Thrift's compact protocol is read here just far enough for that.

use super::MAX_COLUMNS;

const MAX_DEPTH: usize = 16; // of the metadata itself
const MAX_SCHEMA_DEPTH: usize = 64;
const MAX_LIST: u64 = 1_000_000;
/// A page of this much is unpacked whatever it is packed in; a larger one may be this many times its packed size.
const FREE_UNPACKING: i64 = 64 << 20;
const MAX_RATIO: i64 = 64;

type Checked<T> = Result<T, &'static str>;

const CUT_OFF: &str = "its metadata are damaged";

// Types of the compact protocol.
const STOP: u8 = 0;
const TRUE: u8 = 1;
const I16: u8 = 4;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn byte(&mut self) -> Checked<u8> {
        let (&first, rest) = self.rest.split_first().ok_or(CUT_OFF)?;
        self.rest = rest;
        Ok(first)
    }

    fn pass(&mut self, size: u64) -> Checked<()> {
        let size = usize::try_from(size).map_err(|_| CUT_OFF)?;
        self.rest = self.rest.get(size..).ok_or(CUT_OFF)?;
        Ok(())
    }

    fn varint(&mut self) -> Checked<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(CUT_OFF)
    }

    fn integer(&mut self) -> Checked<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The number and type of the next field after field `last`; STOP at the end of the structure.
    fn field(&mut self, last: i64) -> Checked<(i64, u8)> {
        let head = self.byte()?;
        match (head >> 4, head & 15) {
            (_, STOP) => Ok((0, STOP)),
            (0, kind) => Ok((self.integer()?, kind)),
            (step, kind) => Ok((last.wrapping_add(i64::from(step)), kind)),
        }
    }

    /// The type and number of a list's elements.
    fn list(&mut self) -> Checked<(u8, u64)> {
        let head = self.byte()?;
        let size = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        if size > MAX_LIST || size > self.rest.len() as u64 {
            return Err("its metadata claim more than they hold");
        }
        Ok((head & 15, size))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Checked<()> {
        if depth > MAX_DEPTH {
            return Err("its metadata are nested too deeply");
        }
        match kind {
            TRUE | 2 => Ok(()),
            3 => self.pass(1),
            I16..=I64 => self.varint().map(|_| ()),
            DOUBLE => self.pass(8),
            BINARY => self.varint().and_then(|size| self.pass(size)),
            LIST => {
                let (kind, size) = self.list()?;
                for _ in 0..size {
                    match kind {
                        TRUE | 2 => self.pass(1)?, // in a list, a truth takes a byte
                        _ => self.skip(kind, depth + 1)?,
                    }
                }
                Ok(())
            }
            STRUCT => self.fields(depth, |_, _, _| Ok(false)),
            _ => Err(CUT_OFF),
        }
    }

    /// Walks a structure; `take` says whether it has read a field itself.
    fn fields(&mut self, depth: usize, mut take: impl FnMut(&mut Self, i64, u8) -> Checked<bool>) -> Checked<()> {
        let mut last = 0;
        loop {
            let (number, kind) = self.field(last)?;
            if kind == STOP {
                return Ok(());
            }
            if !take(self, number, kind)? {
                self.skip(kind, depth + 1)?;
            }
            last = number;
        }
    }

    /// The list of schema elements: a tree, written as its nodes in order with their numbers of children.
    fn schema(&mut self) -> Checked<()> {
        let (kind, size) = self.list()?;
        if kind != STRUCT || size > MAX_COLUMNS as u64 {
            return Err("its schema is damaged or has too many columns");
        }
        let mut open: Vec<i64> = Vec::new(); // children that are still to come, of each level
        for _ in 0..size {
            let mut children = 0;
            self.fields(1, |reader, number, kind| {
                let is_count = number == 5 && kind == 5;
                if is_count {
                    children = reader.integer()?;
                }
                Ok(is_count)
            })?;
            while open.last() == Some(&0) {
                open.pop();
            }
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            if children < 0 || open.len() >= MAX_SCHEMA_DEPTH {
                return Err("its schema is damaged or nested too deeply");
            }
            open.push(children);
        }
        Ok(())
    }
}

/// Checks the metadata at the end of a Parquet file.
pub fn check_footer(file: &[u8]) -> Checked<()> {
    let tail = file.len().checked_sub(8).filter(|_| file.ends_with(b"PAR1")).ok_or("it is cut off")?;
    let size = u32::from_le_bytes([file[tail], file[tail + 1], file[tail + 2], file[tail + 3]]) as usize;
    let start = tail.checked_sub(size).ok_or("it is cut off")?;
    let mut reader = Reader { rest: &file[start..tail] };
    reader.fields(0, |reader, number, kind| {
        let is_schema = number == 2 && kind == LIST;
        if is_schema {
            reader.schema()?;
        }
        Ok(is_schema)
    })
}

/// Checks the header of the page that begins `page`, before memory is taken for what it claims.
pub fn check_page(page: &[u8]) -> Checked<()> {
    let (mut unpacked, mut packed) = (0, 0);
    let mut reader = Reader { rest: page };
    reader.fields(0, |reader, number, kind| {
        let is_size = (number == 2 || number == 3) && kind == 5;
        if is_size {
            *(if number == 2 { &mut unpacked } else { &mut packed }) = reader.integer()?;
        }
        Ok(is_size)
    })?;
    if packed < 0 || unpacked < 0 || unpacked > FREE_UNPACKING.saturating_add(packed.saturating_mul(MAX_RATIO)) {
        return Err("a page would unpack to far more than it holds; it is refused as a decompression bomb");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{check_footer, check_page};

    fn varint(mut value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
        out
    }

    /// The header of a data page with these sizes.
    fn page(unpacked: u64, packed: u64) -> Vec<u8> {
        [vec![0x15, 0, 0x15], varint(unpacked * 2), vec![0x15], varint(packed * 2), vec![0]].concat()
    }

    fn file(metadata: &[u8]) -> Vec<u8> {
        [b"PAR1", metadata, &(metadata.len() as u32).to_le_bytes(), b"PAR1"].concat()
    }

    #[test]
    fn pages_may_unpack_to_64_mib_and_64_times_their_size() {
        assert!(check_page(&page(64 << 20, 0)).is_ok());
        assert!(check_page(&page((64 << 20) + 64_000, 1000)).is_ok());
        assert!(check_page(&page((64 << 20) + 64_001, 1000)).is_err());
        assert!(check_page(&page(i32::MAX as u64, 100)).is_err());
        let whole = page(1000, 100);
        assert!((0..whole.len()).all(|size| check_page(&whole[..size]).is_err()));
    }

    #[test]
    fn lists_hold_what_they_claim() {
        // Field 4, row groups: a list of structures.
        let list = |size: u64| file(&[vec![0x49, 0xfc], varint(size), vec![0; 20], vec![0]].concat());
        assert!(check_footer(&list(20)).is_ok());
        for size in [50, 1 << 20, 1 << 31, u64::MAX] {
            assert!(check_footer(&list(size)).is_err());
        }
    }

    #[test]
    fn schemas_are_not_nested_deeply() {
        // Field 2, the schema: each element says in field 5 that it has one child, the last that it has none.
        let schema = |depth: u64| {
            let nodes = [0x55, 2, 0].repeat(depth as usize);
            file(&[vec![0x29, 0xfc], varint(depth + 1), nodes, vec![0, 0]].concat())
        };
        assert!(check_footer(&schema(60)).is_ok());
        assert!(check_footer(&schema(64)).is_err());
        assert!(check_footer(&schema(9000)).is_err());
    }

    #[test]
    fn metadata_are_not_nested_deeply() {
        // Field 9, unknown: a list of a list of a list ..
        let lists = |depth: usize| file(&[vec![0x99], vec![0x19; depth], vec![0x13, 7], vec![0]].concat());
        assert!(check_footer(&lists(10)).is_ok());
        assert!(check_footer(&lists(100_000)).is_err());
    }
}
