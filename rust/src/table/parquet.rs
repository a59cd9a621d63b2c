//! Parquet files, through the `parquet` crate. Only the pages that hold the wanted rows of the wanted columns are
//! unpacked.

use super::thrift::{check_footer, check_page};
use super::{packed_by, places, Blocks};
use crate::boundary::Failure;
use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::ProjectionMask;
use parquet::basic::Compression;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};
use std::io::Read;

/// A block is about this large once unpacked: small enough to be read for one row, large enough for its neighbours.
const BLOCK_BYTES: u64 = 8 << 20;
const MAX_BLOCK_ROWS: u64 = 1024;

/// The file, of which no page is unpacked that claims too much.
struct Guarded(Bytes);

impl Length for Guarded {
    fn len(&self) -> u64 {
        Length::len(&self.0)
    }
}

/// The file from one place on. The crate reads nothing through this but headers of pages.
struct GuardedRead {
    rest: Bytes,
    checked: bool,
}

impl Read for GuardedRead {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if !self.checked {
            check_page(&self.rest).map_err(std::io::Error::other)?;
            self.checked = true;
        }
        let size = out.len().min(self.rest.len());
        out[..size].copy_from_slice(&self.rest.split_to(size));
        Ok(size)
    }
}

impl ChunkReader for Guarded {
    type T = GuardedRead;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let start = usize::try_from(start).ok().filter(|&start| start <= self.0.len());
        let start = start.ok_or_else(|| ParquetError::General("a page lies outside the file".into()))?;
        Ok(GuardedRead { rest: self.0.slice(start..), checked: false })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let inside = start.checked_add(length as u64).is_some_and(|end| end <= self.len());
        if !inside {
            return Err(ParquetError::General("a page lies outside the file".into()));
        }
        self.0.get_bytes(start, length)
    }
}

fn check_codec(codec: Compression) -> Result<(), Failure> {
    match codec {
        Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::GZIP(_) | Compression::ZSTD(_) => Ok(()),
        Compression::LZ4 | Compression::LZ4_RAW => Err(packed_by("lz4")),
        Compression::BROTLI(_) => Err(packed_by("brotli")),
        Compression::LZO => Err(packed_by("lzo")),
    }
}

struct Group {
    first: u64,
    block_rows: u64,
}

pub struct ParquetFile {
    file: Bytes,
    metadata: ArrowReaderMetadata,
    mask: ProjectionMask,
    groups: Vec<Group>,
    rows: u64,
}

impl ParquetFile {
    pub fn open(file: &'static [u8], wanted: &[String]) -> Result<ParquetFile, Failure> {
        check_footer(file)?;
        let file = Bytes::from_static(file);
        // The Arrow schema inside would only say again what Parquet's says.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::load(&file, options)?;
        let schema = metadata.metadata().file_metadata().schema_descr();
        let roots = schema.root_schema().get_fields();
        let mask = ProjectionMask::roots(schema, places(roots.iter().map(|field| field.name()), wanted)?);
        let (mut groups, mut rows) = (Vec::new(), 0u64);
        for group in metadata.metadata().row_groups() {
            let held = u64::try_from(group.num_rows()).map_err(|_| "a row group claims a negative number of rows")?;
            let chosen = (0..group.num_columns()).filter(|&column| mask.leaf_included(column));
            for column in chosen.clone() {
                check_codec(group.column(column).compression())?;
            }
            let bytes = chosen.map(|column| group.column(column).uncompressed_size().max(0) as u64);
            let row_bytes = bytes.fold(0, u64::saturating_add) / held.max(1);
            let block_rows = (BLOCK_BYTES / row_bytes.max(1)).clamp(1, MAX_BLOCK_ROWS);
            groups.push(Group { first: rows, block_rows });
            rows = rows.checked_add(held).ok_or("it claims too many rows")?;
        }
        Ok(ParquetFile { file, metadata, mask, groups, rows })
    }
}

impl Blocks for ParquetFile {
    fn rows(&self) -> u64 {
        self.rows
    }

    fn locate(&self, row: u64) -> (usize, u64) {
        let place = self.groups.partition_point(|group| group.first <= row) - 1;
        let group = &self.groups[place];
        (place, row - (row - group.first) % group.block_rows)
    }

    fn decode(&self, block: usize, first: u64) -> Result<RecordBatch, Failure> {
        let group = &self.groups[block];
        let count = group.block_rows as usize;
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(Guarded(self.file.clone()), self.metadata.clone());
        let builder = builder.with_projection(self.mask.clone()).with_row_groups(vec![block]);
        let mut reader =
            builder.with_offset((first - group.first) as usize).with_limit(count).with_batch_size(count).build()?;
        match reader.next() {
            Some(batch) => Ok(batch?),
            None => Err(Failure::from("the file holds fewer rows than it claims")),
        }
    }
}
