//! tokenizer.json, through the `tokenizers` crate.

use crate::boundary::{bytes, guard, text, Bytes, Failure, Ids};
use tokenizers::Tokenizer;

/// # Safety
/// `json` points to `size` bytes; `out` and `error` to writable memory.
#[no_mangle]
pub unsafe extern "C" fn lithe_tokenizer_open(
    json: *const u8,
    size: usize,
    out: *mut *mut Tokenizer,
    error: *mut Bytes,
) -> i32 {
    guard(error, || {
        let mut tokenizer = Tokenizer::from_bytes(bytes(json, size))?;
        // A file may carry the settings of its last use; a prompt is never cut or padded here.
        tokenizer.with_truncation(None)?;
        tokenizer.with_padding(None);
        out.write(Box::into_raw(Box::new(tokenizer)));
        Ok(())
    })
}

/// # Safety
/// `tokenizer` came from `lithe_tokenizer_open` and is closed once.
#[no_mangle]
pub unsafe extern "C" fn lithe_tokenizer_close(tokenizer: *mut Tokenizer) {
    if !tokenizer.is_null() {
        let boxed = Box::from_raw(tokenizer);
        guard(std::ptr::null_mut(), || {
            drop(boxed);
            Ok(())
        });
    }
}

/// # Safety
/// `tokenizer` is open; `data` points to `size` bytes; `out` and `error` to writable memory.
#[no_mangle]
pub unsafe extern "C" fn lithe_tokenizer_encode(
    tokenizer: *const Tokenizer,
    data: *const u8,
    size: usize,
    add_special: bool,
    out: *mut Ids,
    error: *mut Bytes,
) -> i32 {
    guard(error, || {
        let encoding = (*tokenizer).encode_fast(text(data, size)?, add_special)?;
        out.write(Ids::from_vec(encoding.get_ids().to_vec()));
        Ok(())
    })
}

/// # Safety
/// `tokenizer` is open; `ids` points to `count` ids; `out` and `error` to writable memory.
#[no_mangle]
pub unsafe extern "C" fn lithe_tokenizer_decode(
    tokenizer: *const Tokenizer,
    ids: *const u32,
    count: usize,
    skip_special: bool,
    out: *mut Bytes,
    error: *mut Bytes,
) -> i32 {
    guard(error, || {
        let ids = if count == 0 { &[] } else { std::slice::from_raw_parts(ids, count) };
        out.write(Bytes::from_vec((*tokenizer).decode(ids, skip_special)?.into_bytes()));
        Ok(())
    })
}

/// The whole vocabulary as JSON: [[id, "token", special], ...], ascending ids.
///
/// # Safety
/// `tokenizer` is open; `out` and `error` point to writable memory.
#[no_mangle]
pub unsafe extern "C" fn lithe_tokenizer_vocabulary(
    tokenizer: *const Tokenizer,
    out: *mut Bytes,
    error: *mut Bytes,
) -> i32 {
    guard(error, || {
        let added = (*tokenizer).get_added_tokens_decoder();
        let mut rows: Vec<(u32, String, bool)> = (*tokenizer)
            .get_vocab(true)
            .into_iter()
            .map(|(token, id)| (id, token, added.get(&id).is_some_and(|token| token.special)))
            .collect();
        rows.sort();
        out.write(Bytes::from_vec(serde_json::to_vec(&rows).map_err(Failure::from)?));
        Ok(())
    })
}
