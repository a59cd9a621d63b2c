//! tokenizer.json, through the `tokenizers` crate.

use crate::boundary::{bytes, close, guard, text, values, Bytes, Failure, Ids};
use serde_json::Value;
use tokenizers::Tokenizer;

/// How many times longer the rules of a file may make a text, and how much they may put around it.
const MAX_GROWTH: usize = 64;
const MAX_AFFIX: usize = 256;
const MAX_FRAME_IDS: usize = 1 << 16;

/// Refuses rules that blow a text up: replacements in a chain multiply, and a template may repeat long lists of ids.
fn refuse_growth(file: &Value) -> Result<(), Failure> {
    for part in ["normalizer", "pre_tokenizer", "decoder"] {
        if growth(&file[part]) > MAX_GROWTH {
            return Err(Failure::from(format!("its {part} makes texts more than {MAX_GROWTH} times longer")));
        }
    }
    for affix in ["continuing_subword_prefix", "end_of_word_suffix", "unk_token"] {
        if file["model"][affix].as_str().map_or(0, str::len) > MAX_AFFIX {
            return Err(Failure::from(format!("its {affix} is longer than {MAX_AFFIX} bytes")));
        }
    }
    if frame_ids(&file["post_processor"]) > MAX_FRAME_IDS {
        return Err(Failure::from(format!("its post_processor adds more than {MAX_FRAME_IDS} ids")));
    }
    Ok(())
}

fn children(node: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match node {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(pairs) => Box::new(pairs.values()),
        _ => Box::new(std::iter::empty()),
    }
}

fn growth(node: &Value) -> usize {
    let length = |value: &Value| value.as_str().map_or(0, str::len);
    let own = match node["type"].as_str() {
        Some("Replace") => {
            // A regular expression may match everywhere, and between letters too.
            let shortest = length(&node["pattern"]["String"]);
            if shortest > 0 {
                length(&node["content"]).div_ceil(shortest)
            } else {
                1 + length(&node["content"])
            }
        }
        Some("Prepend") => length(&node["prepend"]).div_ceil(3),
        _ => 1,
    };
    children(node).map(growth).fold(own.max(1), usize::saturating_mul)
}

fn frame_ids(node: &Value) -> usize {
    let longest = children(&node["special_tokens"]).filter_map(|token| token["ids"].as_array()).map(Vec::len).max();
    let own = match (node["single"].as_array(), longest) {
        (Some(single), Some(ids)) => single.len().saturating_mul(ids),
        _ => 0,
    };
    children(node).map(frame_ids).fold(own, usize::saturating_add)
}

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
        let json = bytes(json, size);
        refuse_growth(&serde_json::from_slice(json).map_err(Failure::from)?)?;
        let mut tokenizer = Tokenizer::from_bytes(json)?;
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
    close(tokenizer);
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
        let ids = values(ids, count);
        out.write(Bytes::from_vec((*tokenizer).decode(ids, skip_special)?.into_bytes()));
        Ok(())
    })
}

/// Whether the tokens are written in the alphabet of bytes that GPT-2 has.
fn is_byte_level(part: &Value) -> bool {
    part["type"].as_str() == Some("ByteLevel") || children(part).any(is_byte_level)
}

/// The whole vocabulary as JSON: {"byte_level": .., "tokens": [[id, "token", special, added], ...]}, ascending ids.
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
        let mut rows: Vec<(u32, String, bool, bool)> = (*tokenizer)
            .get_vocab(true)
            .into_iter()
            .map(|(token, id)| {
                let known = added.get(&id);
                (id, token, known.is_some_and(|token| token.special), known.is_some())
            })
            .collect();
        rows.sort();
        let decoder = serde_json::to_value((*tokenizer).get_decoder()).map_err(Failure::from)?;
        let vocabulary = serde_json::json!({"byte_level": is_byte_level(&decoder), "tokens": rows});
        out.write(Bytes::from_vec(serde_json::to_vec(&vocabulary).map_err(Failure::from)?));
        Ok(())
    })
}
