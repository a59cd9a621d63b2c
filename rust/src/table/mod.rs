//! Tables (Parquet files, Arrow files and streams) for src/data, one row at a time, as CBOR.
//!
//! The file is memory that the caller keeps: what is not compressed is read in place. Decoded blocks of rows are kept for
//! a while, as neighbours are often read next.

mod arrow;
mod cbor;
mod parquet;
mod thrift;

use crate::boundary::{bytes, guard, text, Bytes, Failure};
use arrow_array::{Array, RecordBatch};
use std::sync::{Arc, Mutex};

/// Most blocks that are kept, and most memory of them besides the newest.
const MAX_BLOCKS: usize = 4;
const MAX_KEPT_BYTES: usize = 64 << 20;
/// Columns of a file, those within structures counted too.
const MAX_COLUMNS: usize = 10_000;

/// A file whose rows come in blocks that are decoded as a whole.
trait Blocks: Send + Sync {
    fn rows(&self) -> u64;
    /// The block of a row, and the first row of that block.
    fn locate(&self, row: u64) -> (usize, u64);
    fn decode(&self, block: usize, first: u64) -> Result<RecordBatch, Failure>;
}

/// Of a file that is packed by a method that is not read.
fn packed_by(method: &str) -> Failure {
    Failure::from(format!("it is compressed with {method}, which is not read; write it with zstd or uncompressed"))
}

struct Kept {
    first: u64,
    batch: Arc<RecordBatch>,
}

pub struct Table {
    blocks: Box<dyn Blocks>,
    kept: Mutex<Vec<Kept>>, // the newest last
}

impl Table {
    fn open(file: &'static [u8], wanted: &[String]) -> Result<Table, Failure> {
        let blocks: Box<dyn Blocks> = if file.starts_with(b"PAR1") {
            Box::new(parquet::ParquetFile::open(file, wanted)?)
        } else {
            Box::new(arrow::ArrowFile::open(file, wanted)?)
        };
        // A row takes more than a byte; what says otherwise claims what it does not hold.
        if blocks.rows() > file.len() as u64 {
            return Err(Failure::from(format!("it claims {} rows in {} bytes", blocks.rows(), file.len())));
        }
        Ok(Table { blocks, kept: Mutex::new(Vec::new()) })
    }

    fn batch_of(&self, row: u64) -> Result<(Arc<RecordBatch>, usize), Failure> {
        let (block, first) = self.blocks.locate(row);
        let at = (row - first) as usize;
        {
            let mut kept = self.kept.lock().unwrap_or_else(|broken| broken.into_inner());
            if let Some(place) = kept.iter().position(|one| one.first == first) {
                let found = kept.remove(place);
                let batch = found.batch.clone();
                kept.push(found);
                return Ok((batch, at));
            }
        }
        // Not under the lock, so that threads decode side by side.
        let batch = Arc::new(self.blocks.decode(block, first)?);
        let mut kept = self.kept.lock().unwrap_or_else(|broken| broken.into_inner());
        while kept.len() >= MAX_BLOCKS || kept.iter().map(|one| size_of(&one.batch)).sum::<usize>() > MAX_KEPT_BYTES {
            kept.remove(0);
        }
        kept.push(Kept { first, batch: batch.clone() });
        Ok((batch, at))
    }

    fn read(&self, row: u64) -> Result<Vec<u8>, Failure> {
        if row >= self.blocks.rows() {
            return Err(Failure::from("there is no such row"));
        }
        let (batch, at) = self.batch_of(row)?;
        if at >= batch.num_rows() {
            return Err(Failure::from("the file holds fewer rows than it claims"));
        }
        cbor::encode_row(&batch, at)
    }
}

/// Bytes of the rows, whether they lie in memory of their own or in the file.
fn size_of(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum()
}

/// The places of the wanted columns among `names`.
fn places<'n>(names: impl Iterator<Item = &'n str>, wanted: &[String]) -> Result<Vec<usize>, Failure> {
    let names: Vec<&str> = names.collect();
    let places: Vec<usize> = (0..names.len()).filter(|&i| wanted.iter().any(|name| name == names[i])).collect();
    if places.is_empty() {
        return Err(Failure::from(format!("it has none of the columns that are read; it has {}", names.join(", "))));
    }
    for (i, &place) in places.iter().enumerate() {
        if places[..i].iter().any(|&other| names[other] == names[place]) {
            return Err(Failure::from(format!("it has two columns {}", names[place])));
        }
    }
    Ok(places)
}

/// # Safety
/// `data` points to `size` bytes that stay until the table is closed; `wanted` to a JSON list of column names; `out` and
/// `error` to writable memory.
#[no_mangle]
pub unsafe extern "C" fn lithe_table_open(
    data: *const u8,
    size: usize,
    wanted: *const u8,
    wanted_size: usize,
    out: *mut *mut Table,
    error: *mut Bytes,
) -> i32 {
    guard(error, || {
        let wanted: Vec<String> = serde_json::from_str(text(wanted, wanted_size)?)?;
        out.write(Box::into_raw(Box::new(Table::open(bytes(data, size), &wanted)?)));
        Ok(())
    })
}

/// # Safety
/// `table` came from lithe_table_open and is closed once.
#[no_mangle]
pub unsafe extern "C" fn lithe_table_close(table: *mut Table) {
    drop(Box::from_raw(table));
}

/// # Safety
/// `table` is open.
#[no_mangle]
pub unsafe extern "C" fn lithe_table_rows(table: *const Table) -> u64 {
    (*table).blocks.rows()
}

/// # Safety
/// `table` is open; `out` and `error` point to writable memory.
#[no_mangle]
pub unsafe extern "C" fn lithe_table_read(table: *const Table, row: u64, out: *mut Bytes, error: *mut Bytes) -> i32 {
    guard(error, || {
        out.write(Bytes::from_vec((*table).read(row)?));
        Ok(())
    })
}
