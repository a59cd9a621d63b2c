//! Arrow IPC files and streams, through the `arrow-ipc` crate. Batches that are not compressed are read in place.

use super::{places, Blocks, MAX_COLUMNS};
use crate::boundary::Failure;
use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::FileDecoder;
use arrow_ipc::{
    root_as_footer, root_as_message, Block, BodyCompression, CompressionType, Message, MessageHeader, MetadataVersion,
};
use arrow_schema::{DataType, Fields, Schema};
use std::ptr::NonNull;
use std::sync::Arc;

const MAGIC: &[u8] = b"ARROW1";
/// As of pages (thrift.rs).
const FREE_UNPACKING: i64 = 64 << 20;
const MAX_RATIO: i64 = 64;

struct Batch {
    first: u64,
    block: Block,
}

pub struct ArrowFile {
    file: Buffer,
    decoder: FileDecoder,
    batches: Vec<Batch>,
    rows: u64,
}

const DAMAGED: &str = "it is damaged or cut off";

/// The part of the file that a block covers: a message and its body.
fn part(file: &[u8], block: &Block) -> Result<(usize, usize), Failure> {
    let offset = usize::try_from(block.offset()).map_err(|_| DAMAGED)?;
    let head = usize::try_from(block.metaDataLength()).map_err(|_| DAMAGED)?;
    let body = usize::try_from(block.bodyLength()).map_err(|_| DAMAGED)?;
    let size = head.checked_add(body).ok_or(DAMAGED)?;
    let end = offset.checked_add(size).ok_or(DAMAGED)?;
    if head < 8 || end > file.len() {
        return Err(Failure::from(DAMAGED));
    }
    Ok((offset, size))
}

/// The message at `offset` and its size with the prefix; absent at the end of a stream.
fn message_at(file: &[u8], offset: usize) -> Result<Option<(Message<'_>, usize)>, Failure> {
    let word = |at: usize| -> Option<u32> {
        Some(u32::from_le_bytes(file.get(at..at.checked_add(4)?)?.try_into().ok()?))
    };
    // A stream may end without a mark, and old ones have no 0xFFFFFFFF in front of the size.
    let Some(first) = word(offset) else { return Ok(None) };
    let (prefix, size) = if first == u32::MAX { (8, word(offset + 4).ok_or(DAMAGED)?) } else { (4, first) };
    if size == 0 {
        return Ok(None);
    }
    let begin = offset + prefix;
    let bytes = begin.checked_add(size as usize).and_then(|end| file.get(begin..end)).ok_or(DAMAGED)?;
    let message = root_as_message(bytes).map_err(|cause| format!("{DAMAGED}: {cause}"))?;
    Ok(Some((message, prefix + size as usize)))
}

/// Refuses compressed buffers that claim to be far larger than they are, before memory is taken for them.
fn check_buffers<'a>(
    body: &[u8],
    compression: Option<BodyCompression<'a>>,
    buffers: impl Iterator<Item = &'a arrow_ipc::Buffer>,
) -> Result<(), Failure> {
    if compression.is_some_and(|packing| packing.codec() != CompressionType::ZSTD) {
        return Err(super::packed_by("lz4"));
    }
    for buffer in buffers {
        let offset = usize::try_from(buffer.offset()).map_err(|_| DAMAGED)?;
        let size = usize::try_from(buffer.length()).map_err(|_| DAMAGED)?;
        let bytes = offset.checked_add(size).and_then(|end| body.get(offset..end)).ok_or(DAMAGED)?;
        if compression.is_none() || bytes.is_empty() {
            continue;
        }
        let claimed = i64::from_le_bytes(bytes.get(..8).ok_or(DAMAGED)?.try_into()?);
        if claimed > FREE_UNPACKING.saturating_add((size as i64).saturating_mul(MAX_RATIO)) {
            return Err(Failure::from("a batch would unpack to far more than it holds; it is refused as a bomb"));
        }
    }
    Ok(())
}

fn count_fields(fields: &Fields) -> usize {
    let nested = |kind: &DataType| match kind {
        DataType::Struct(fields) => count_fields(fields),
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            count_fields(&Fields::from(vec![field.clone()]))
        }
        _ => 0,
    };
    fields.iter().map(|field| 1 + nested(field.data_type())).sum()
}

struct Layout {
    schema: Schema,
    version: MetadataVersion,
    dictionaries: Vec<Block>,
    batches: Vec<Block>,
}

fn layout_of_file(file: &[u8]) -> Result<Layout, Failure> {
    let tail = file.len().checked_sub(10).filter(|_| file.ends_with(MAGIC)).ok_or("it is cut off")?;
    let size = u32::from_le_bytes(file[tail..tail + 4].try_into()?) as usize;
    let start = tail.checked_sub(size).ok_or("it is cut off")?;
    let footer = root_as_footer(&file[start..tail]).map_err(|cause| format!("{DAMAGED}: {cause}"))?;
    let blocks = |list: Option<flatbuffers::Vector<'_, Block>>| list.iter().flatten().copied().collect();
    Ok(Layout {
        schema: fb_to_schema(footer.schema().ok_or("it has no schema")?),
        version: footer.version(),
        dictionaries: blocks(footer.dictionaries()),
        batches: blocks(footer.recordBatches()),
    })
}

fn layout_of_stream(file: &[u8]) -> Result<Layout, Failure> {
    let (message, mut offset) = message_at(file, 0)?.ok_or("it is empty")?;
    let schema = fb_to_schema(message.header_as_schema().ok_or("it has no schema")?);
    let mut layout = Layout { schema, version: message.version(), dictionaries: Vec::new(), batches: Vec::new() };
    while let Some((message, head)) = message_at(file, offset)? {
        let block = Block::new(offset as i64, i32::try_from(head)?, message.bodyLength());
        let (_, size) = part(file, &block)?;
        match message.header_type() {
            MessageHeader::RecordBatch => layout.batches.push(block),
            MessageHeader::DictionaryBatch if layout.batches.is_empty() => layout.dictionaries.push(block),
            MessageHeader::DictionaryBatch => return Err(Failure::from("it changes a dictionary on its way")),
            _ => return Err(Failure::from(DAMAGED)),
        }
        offset += size;
    }
    Ok(layout)
}

impl ArrowFile {
    pub fn open(bytes: &'static [u8], wanted: &[String]) -> Result<ArrowFile, Failure> {
        let layout = if bytes.starts_with(MAGIC) { layout_of_file(bytes)? } else { layout_of_stream(bytes)? };
        if count_fields(layout.schema.fields()) > MAX_COLUMNS {
            return Err(Failure::from("it has too many columns"));
        }
        let chosen = places(layout.schema.fields().iter().map(|field| field.name().as_str()), wanted)?;
        // In place: the caller keeps the bytes until the table is closed.
        let start = NonNull::new(bytes.as_ptr() as *mut u8).ok_or(DAMAGED)?;
        let file = unsafe { Buffer::from_custom_allocation(start, bytes.len(), Arc::new(())) };
        let mut decoder = FileDecoder::new(Arc::new(layout.schema), layout.version).with_projection(chosen);
        for block in &layout.dictionaries {
            let (offset, size) = part(bytes, block)?;
            let (message, head) = message_at(bytes, offset)?.ok_or(DAMAGED)?;
            let batch = message.header_as_dictionary_batch().and_then(|batch| batch.data()).ok_or(DAMAGED)?;
            let body = bytes.get(offset + head..offset + size).ok_or(DAMAGED)?;
            check_buffers(body, batch.compression(), batch.buffers().iter().flatten())?;
            decoder.read_dictionary(block, &file.slice_with_length(offset, size))?;
        }
        let (mut batches, mut rows) = (Vec::new(), 0u64);
        for block in layout.batches {
            let (offset, _) = part(bytes, &block)?;
            let (message, head) = message_at(bytes, offset)?.ok_or(DAMAGED)?;
            let batch = message.header_as_record_batch().ok_or(DAMAGED)?;
            let held = u64::try_from(batch.length()).map_err(|_| DAMAGED)?;
            if head != block.metaDataLength() as usize {
                return Err(Failure::from(DAMAGED));
            }
            batches.push(Batch { first: rows, block });
            rows = rows.checked_add(held).ok_or(DAMAGED)?;
        }
        Ok(ArrowFile { file, decoder, batches, rows })
    }
}

impl Blocks for ArrowFile {
    fn rows(&self) -> u64 {
        self.rows
    }

    fn locate(&self, row: u64) -> (usize, u64) {
        let place = self.batches.partition_point(|batch| batch.first <= row) - 1;
        (place, self.batches[place].first)
    }

    fn decode(&self, block: usize, _first: u64) -> Result<RecordBatch, Failure> {
        let block = &self.batches[block].block;
        let (offset, size) = part(&self.file, block)?;
        let (message, head) = message_at(&self.file, offset)?.ok_or(DAMAGED)?;
        let batch = message.header_as_record_batch().ok_or(DAMAGED)?;
        check_buffers(&self.file[offset + head..offset + size], batch.compression(), batch.buffers().iter().flatten())?;
        let read = self.decoder.read_record_batch(block, &self.file.slice_with_length(offset, size))?;
        Ok(read.ok_or(DAMAGED)?)
    }
}
