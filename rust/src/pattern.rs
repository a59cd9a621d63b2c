//! Regular expressions as Python's `re` reads them, for names of modules. Matching never recurses, and a pattern that
//! would take too many steps fails instead.

use crate::boundary::{guard, text, Bytes, Failure};
use fancy_regex::{Captures, Regex, RegexBuilder};

const MAX_STEPS: usize = 100_000;
const MAX_PATTERN_BYTES: usize = 16 << 10;
const MAX_PROGRAM_BYTES: usize = 1 << 20;

pub struct Pattern {
    regex: Regex,
}

fn compile(source: &str) -> Result<Regex, Failure> {
    let built = RegexBuilder::new(source)
        .backtrack_limit(MAX_STEPS)
        .delegate_size_limit(MAX_PROGRAM_BYTES)
        .delegate_dfa_size_limit(MAX_PROGRAM_BYTES)
        .build();
    built.map_err(|cause| Failure::from(cause.to_string().replace('\n', " ")))
}

/// `source` between `before` and `after`, each of which is a pattern of its own.
fn open(source: &str, before: &str, after: &str) -> Result<Pattern, Failure> {
    if source.len() > MAX_PATTERN_BYTES {
        return Err(Failure::from(format!("it has {} bytes, more than {MAX_PATTERN_BYTES}", source.len())));
    }
    compile(source)?; // alone, as a stray bracket could pair with those around it
    Ok(Pattern { regex: compile(&format!("^{before}(?:{source}){after}"))? })
}

fn number_of(found: &Captures) -> String {
    found.name("number").map(|group| group.as_str().to_string()).unwrap_or_default()
}

/// Compiles `source` between two patterns; the first begins where the text begins.
///
/// # Safety
/// Every pointer points to as many bytes as its size says; `out` and `error` to writable memory.
#[no_mangle]
pub unsafe extern "C" fn lithe_pattern_open(
    source: *const u8,
    source_size: usize,
    before: *const u8,
    before_size: usize,
    after: *const u8,
    after_size: usize,
    out: *mut *mut Pattern,
    error: *mut Bytes,
) -> i32 {
    guard(error, || {
        let pattern = open(text(source, source_size)?, text(before, before_size)?, text(after, after_size)?)?;
        out.write(Box::into_raw(Box::new(pattern)));
        Ok(())
    })
}

/// Whether the pattern fits `name`, and what its group `number` holds, if it has one.
///
/// # Safety
/// `pattern` came from `lithe_pattern_open`; `name` points to `size` bytes; the rest to writable memory.
#[no_mangle]
pub unsafe extern "C" fn lithe_pattern_match(
    pattern: *const Pattern,
    name: *const u8,
    size: usize,
    fits: *mut bool,
    number: *mut Bytes,
    error: *mut Bytes,
) -> i32 {
    guard(error, || {
        let found = (*pattern).regex.captures(text(name, size)?).map_err(|cause| Failure::from(cause.to_string()))?;
        fits.write(found.is_some());
        number.write(Bytes::from_vec(found.map(|groups| number_of(&groups)).unwrap_or_default().into_bytes()));
        Ok(())
    })
}

/// # Safety
/// `pattern` came from `lithe_pattern_open` and is closed once.
#[no_mangle]
pub unsafe extern "C" fn lithe_pattern_close(pattern: *mut Pattern) {
    if !pattern.is_null() {
        drop(Box::from_raw(pattern));
    }
}
