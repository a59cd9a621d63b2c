//! Lower case by Unicode's rules, as Python's str.lower.

use crate::boundary::{guard, text, Bytes};

/// The text in lower case.
///
/// # Safety
/// `data` points to `size` bytes; the rest to writable memory.
#[no_mangle]
pub unsafe extern "C" fn lithe_text_lower(data: *const u8, size: usize, out: *mut Bytes, error: *mut Bytes) -> i32 {
    guard(error, || {
        out.write(Bytes::from_vec(text(data, size)?.to_lowercase().into_bytes()));
        Ok(())
    })
}
