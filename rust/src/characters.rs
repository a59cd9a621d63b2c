//! Case and kinds of characters by Unicode's rules, as Python's str has them.

use std::sync::OnceLock;

use fancy_regex::Regex;

use crate::boundary::{guard, text, Bytes, Failure};

/// Bits of a character's kind, as src/text/characters.cpp reads them; the value of a decimal digit is in the high four.
const LETTER: u8 = 1;
const NUMBER: u8 = 2;
const UPPER: u8 = 4;
const DIGIT: u8 = 8;

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

/// The text in upper case.
///
/// # Safety
/// As `lithe_text_lower`.
#[no_mangle]
pub unsafe extern "C" fn lithe_text_upper(data: *const u8, size: usize, out: *mut Bytes, error: *mut Bytes) -> i32 {
    guard(error, || {
        out.write(Bytes::from_vec(text(data, size)?.to_uppercase().into_bytes()));
        Ok(())
    })
}

/// The first character in title case, and the others in lower case.
///
/// # Safety
/// As `lithe_text_lower`.
#[no_mangle]
pub unsafe extern "C" fn lithe_text_capitalised(
    data: *const u8,
    size: usize,
    out: *mut Bytes,
    error: *mut Bytes,
) -> i32 {
    guard(error, || {
        let all = text(data, size)?;
        let mut written = String::with_capacity(size);
        if let Some(first) = all.chars().next() {
            put_title(first, &mut written);
            // A sigma at the end of a word is told by what stands before it, so the whole text is lowered.
            let lowered = all.to_lowercase();
            written.push_str(&lowered[first.to_lowercase().map(char::len_utf8).sum()..]);
        }
        out.write(Bytes::from_vec(written.into_bytes()));
        Ok(())
    })
}

/// Title case differs from upper case for the digraphs, for Greek letters with an iota, for Georgian letters, and for
/// ligatures, of which only the first letter becomes large.
fn put_title(letter: char, out: &mut String) {
    match letter {
        '\u{1C4}'..='\u{1C6}' => out.push('\u{1C5}'),
        '\u{1C7}'..='\u{1C9}' => out.push('\u{1C8}'),
        '\u{1CA}'..='\u{1CC}' => out.push('\u{1CB}'),
        '\u{1F1}'..='\u{1F3}' => out.push('\u{1F2}'),
        '\u{10D0}'..='\u{10FF}' => out.push(letter),
        '\u{1F80}'..='\u{1FAF}' => out.push(char::from_u32(letter as u32 | 8).unwrap_or(letter)),
        '\u{1FB3}' => out.push('\u{1FBC}'),
        '\u{1FC3}' => out.push('\u{1FCC}'),
        '\u{1FF3}' => out.push('\u{1FFC}'),
        '\u{1FBC}' | '\u{1FCC}' | '\u{1FFC}' => out.push(letter),
        'ß' | '\u{FB00}'..='\u{FB06}' | '\u{FB13}'..='\u{FB17}' | '\u{587}' => {
            let mut upper = letter.to_uppercase();
            out.extend(upper.next());
            out.extend(upper.flat_map(char::to_lowercase));
        }
        _ => out.extend(letter.to_uppercase()),
    }
}

struct Classes {
    letter: Regex,
    number: Regex,
    digit: Regex,
}

fn classes() -> Result<&'static Classes, Failure> {
    static CLASSES: OnceLock<Result<Classes, String>> = OnceLock::new();
    let made = CLASSES.get_or_init(|| {
        let class = |source: &str| Regex::new(source).map_err(|cause| cause.to_string());
        Ok(Classes { letter: class(r"\p{L}")?, number: class(r"\p{N}")?, digit: class(r"\p{Nd}")? })
    });
    made.as_ref().map_err(|cause| Failure::from(cause.as_str()))
}

fn holds(class: &Regex, letter: char) -> Result<bool, Failure> {
    Ok(class.is_match(letter.encode_utf8(&mut [0; 4]))?)
}

/// Digits stand in runs of ten, from zero on.
fn value_of(digit: char, class: &Regex) -> Result<u8, Failure> {
    let mut before = 0u32;
    while let Some(previous) = char::from_u32((digit as u32).wrapping_sub(before + 1)) {
        if !holds(class, previous)? {
            break;
        }
        before += 1;
    }
    Ok((before % 10) as u8)
}

fn kind_of(letter: char) -> Result<u8, Failure> {
    let mut kind = if letter.is_uppercase() { UPPER } else { 0 };
    if letter.is_ascii() {
        return Ok(match letter {
            'A'..='Z' | 'a'..='z' => kind | LETTER,
            '0'..='9' => NUMBER | DIGIT | (letter as u8 - b'0') << 4,
            _ => 0,
        });
    }
    let classes = classes()?;
    if holds(&classes.letter, letter)? {
        kind |= LETTER;
    }
    if holds(&classes.number, letter)? {
        kind |= NUMBER;
        if holds(&classes.digit, letter)? {
            kind |= DIGIT | value_of(letter, &classes.digit)? << 4;
        }
    }
    Ok(kind)
}

/// A byte for each character: its kind.
///
/// # Safety
/// As `lithe_text_lower`.
#[no_mangle]
pub unsafe extern "C" fn lithe_text_kinds(data: *const u8, size: usize, out: *mut Bytes, error: *mut Bytes) -> i32 {
    guard(error, || {
        let kinds = text(data, size)?.chars().map(kind_of).collect::<Result<Vec<u8>, Failure>>()?;
        out.write(Bytes::from_vec(kinds));
        Ok(())
    })
}
