//! What every extern function shares: byte strings in and out, and no panic across the boundary.

use std::any::Any;
use std::panic::{catch_unwind, set_hook, AssertUnwindSafe};
use std::sync::Once;

/// Bytes that Rust owns; given back with `lithe_bytes_free`.
#[repr(C)]
pub struct Bytes {
    data: *mut u8,
    size: usize,
}

/// Ids that Rust owns; given back with `lithe_ids_free`.
#[repr(C)]
pub struct Ids {
    data: *mut u32,
    size: usize,
}

impl Bytes {
    pub fn from_vec(bytes: Vec<u8>) -> Bytes {
        let boxed = bytes.into_boxed_slice();
        let size = boxed.len();
        Bytes { data: Box::into_raw(boxed) as *mut u8, size }
    }
}

impl Ids {
    pub fn from_vec(ids: Vec<u32>) -> Ids {
        let boxed = ids.into_boxed_slice();
        let size = boxed.len();
        Ids { data: Box::into_raw(boxed) as *mut u32, size }
    }
}

/// Results of an extern function, as src/base/rust_bytes.h names them.
pub const OK: i32 = 0;
pub const FAILED: i32 = 1;
pub const REFUSED: i32 = 2;
pub const TOO_MUCH: i32 = 3;
pub const NO_THREAD: i32 = 4;

/// A failure with its code and its sentence.
pub struct Failure {
    pub code: i32,
    pub sentence: String,
}

impl<T: ToString> From<T> for Failure {
    fn from(cause: T) -> Failure {
        Failure { code: FAILED, sentence: cause.to_string() }
    }
}

/// Runs `work`; a failure or a panic becomes a code and, in `error`, a sentence.
///
/// # Safety
/// `error` is null or points to writable memory for one `Bytes`.
pub unsafe fn guard(error: *mut Bytes, work: impl FnOnce() -> Result<(), Failure>) -> i32 {
    // A panic is an answer here; the library writes nothing to the terminal.
    static SILENCE: Once = Once::new();
    SILENCE.call_once(|| set_hook(Box::new(|_| {})));
    let failure = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => return OK,
        Ok(Err(failure)) => failure,
        Err(panic) => Failure { code: FAILED, sentence: panic_text(panic.as_ref()) },
    };
    if !error.is_null() {
        error.write(Bytes::from_vec(failure.sentence.into_bytes()));
    }
    failure.code
}

pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| s.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown failure".into())
}

/// Drops what an extern function gave away; null is nothing.
///
/// # Safety
/// `owned` is null or came from `Box::into_raw`, and is closed once.
pub unsafe fn close<T>(owned: *mut T) {
    if !owned.is_null() {
        let boxed = Box::from_raw(owned);
        guard(std::ptr::null_mut(), || {
            drop(boxed);
            Ok(())
        });
    }
}

/// Of a thread for work that recurses as deeply as what a file or a user gave; only what is used takes memory.
const STACK_BYTES: usize = 64 << 20;

/// Runs work that recurses deeply, as callers may have small stacks.
pub fn on_deep_stack<T: Send>(work: impl FnOnce() -> Result<T, Failure> + Send) -> Result<T, Failure> {
    std::thread::scope(|scope| {
        let spawned = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        let thread = spawned.map_err(|cause| Failure { code: NO_THREAD, sentence: cause.to_string() })?;
        thread.join().unwrap_or_else(|panic| Err(Failure::from(panic_text(panic.as_ref()))))
    })
}

/// # Safety
/// `data` points to `count` readable values, or `count` is 0.
pub unsafe fn values<'a, T>(data: *const T, count: usize) -> &'a [T] {
    if count == 0 {
        &[]
    } else {
        std::slice::from_raw_parts(data, count)
    }
}

/// # Safety
/// As `values`.
pub unsafe fn bytes<'a>(data: *const u8, size: usize) -> &'a [u8] {
    values(data, size)
}

/// # Safety
/// As `bytes`.
pub unsafe fn text<'a>(data: *const u8, size: usize) -> Result<&'a str, Failure> {
    std::str::from_utf8(bytes(data, size)).map_err(|cause| Failure::from(format!("not UTF-8: {cause}")))
}

/// # Safety
/// `bytes` came from this library and is freed once.
#[no_mangle]
pub unsafe extern "C" fn lithe_bytes_free(bytes: Bytes) {
    if !bytes.data.is_null() {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(bytes.data, bytes.size)));
    }
}

/// # Safety
/// `ids` came from this library and is freed once.
#[no_mangle]
pub unsafe extern "C" fn lithe_ids_free(ids: Ids) {
    if !ids.data.is_null() {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(ids.data, ids.size)));
    }
}
