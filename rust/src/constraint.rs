//! Answers that are JSON of a schema, through the `llguidance` crate: which tokens may come next.

use crate::boundary::{bytes, close, guard, on_deep_stack, text, values, Bytes, Failure};
use llguidance::api::{ParserLimits, TopLevelGrammar};
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie};
use llguidance::{earley::SlicedBiasComputer, Matcher, ParserFactory};
use serde_json::{json, Value};
use std::sync::Arc;

/// Work and memory that a schema and a step of its answer may take; the crate counts in units of about 50 ns.
const LIMITS: ParserLimits = ParserLimits {
    max_items_in_row: 2000,
    initial_lexer_fuel: 1_000_000,
    step_lexer_fuel: 200_000,
    step_max_items: 50_000,
    max_lexer_states: 20_000,
    max_grammar_size: 100_000,
    precompute_large_lexemes: true,
    verbose_errors: false,
};
const MAX_SENTENCE_BYTES: usize = 300;

/// Threads that read requests make constraints, and the thread that owns the model uses them.
const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    const fn is_sent<T: Send>() {}
    is_shared::<ParserFactory>();
    is_sent::<Matcher>();
};

/// The first line of what went wrong, as the crate may add a trace.
fn sentence(cause: impl ToString) -> Failure {
    let all = cause.to_string();
    let line = all.lines().next().unwrap_or_default();
    Failure::from(line.chars().take(MAX_SENTENCE_BYTES).collect::<String>())
}

/// The words of a vocabulary by their ids, and the ids that end an answer.
pub struct Words {
    factory: ParserFactory,
}

fn open(words: Vec<Vec<u8>>, ends: &[u32]) -> Result<Words, Failure> {
    let first = *ends.first().ok_or_else(|| Failure::from("the model has no token that ends an answer"))?;
    if let Some(end) = ends.iter().find(|end| **end as usize >= words.len()) {
        return Err(Failure::from(format!("the token {end}, which ends an answer, is not in the vocabulary")));
    }
    let count = u32::try_from(words.len()).map_err(Failure::from)?;
    let trie = TokTrie::from(&TokRxInfo::new(count, first), &words).with_eos_tokens(ends);
    let env: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
    let slices = SlicedBiasComputer::json_slices();
    let mut factory = ParserFactory::new(&env, InferenceCapabilities::default(), &slices).map_err(sentence)?;
    factory.quiet();
    *factory.limits_mut() = LIMITS;
    Ok(Words { factory })
}

/// JSON writers put little white space between values; a model that may put any amount may do nothing else.
fn with_little_space(mut schema: Value) -> Result<Value, Failure> {
    let fields = schema.as_object_mut().ok_or_else(|| Failure::from("it is not a JSON object"))?;
    fields.insert("x-guidance".into(), json!({"whitespace_pattern": r"[\x20\x0A\x0D\x09]{1,40}"}));
    Ok(schema)
}

/// References of a schema may form long chains, which the crate follows by recursion.
fn compile(factory: &ParserFactory, source: &str) -> Result<Matcher, Failure> {
    let schema = with_little_space(serde_json::from_str(source).map_err(Failure::from)?)?;
    let parser = factory.create_parser(TopLevelGrammar::from_json_schema(schema)).map_err(sentence)?;
    let matcher = Matcher::new(Ok(parser));
    match matcher.get_error() {
        Some(cause) => Err(sentence(cause)),
        None => Ok(matcher),
    }
}

/// `data`: all words, one after another; `sizes`: of each, by its id. A word without bytes can't be chosen.
///
/// # Safety
/// Every pointer points to as many values as its count says; `out` and `error` to writable memory.
#[no_mangle]
pub unsafe extern "C" fn lithe_words_open(
    data: *const u8,
    size: usize,
    sizes: *const u32,
    count: usize,
    ends: *const u32,
    end_count: usize,
    out: *mut *mut Words,
    error: *mut Bytes,
) -> i32 {
    guard(error, || {
        let sizes = values(sizes, count);
        let ends = values(ends, end_count);
        let mut rest = bytes(data, size);
        let mut words = Vec::with_capacity(count);
        for size in sizes {
            let (word, after) = rest.split_at(*size as usize);
            words.push(word.to_vec());
            rest = after;
        }
        out.write(Box::into_raw(Box::new(open(words, ends)?)));
        Ok(())
    })
}

/// # Safety
/// `words` came from `lithe_words_open` and is closed once.
#[no_mangle]
pub unsafe extern "C" fn lithe_words_close(words: *mut Words) {
    close(words);
}

/// `schema`: the text of a JSON schema.
///
/// # Safety
/// `words` is open; `schema` points to `size` bytes; `out` and `error` to writable memory.
#[no_mangle]
pub unsafe extern "C" fn lithe_constraint_open(
    words: *const Words,
    schema: *const u8,
    size: usize,
    out: *mut *mut Matcher,
    error: *mut Bytes,
) -> i32 {
    guard(error, || {
        let (factory, source) = (&(*words).factory, text(schema, size)?);
        let matcher = on_deep_stack(|| compile(factory, source))?;
        out.write(Box::into_raw(Box::new(matcher)));
        Ok(())
    })
}

/// Another one that stands where this one stands.
///
/// # Safety
/// `constraint` is open; `out` and `error` point to writable memory.
#[no_mangle]
pub unsafe extern "C" fn lithe_constraint_copy(
    constraint: *const Matcher,
    out: *mut *mut Matcher,
    error: *mut Bytes,
) -> i32 {
    guard(error, || {
        out.write(Box::into_raw(Box::new((*constraint).deep_clone())));
        Ok(())
    })
}

/// # Safety
/// `constraint` came from this file and is closed once.
#[no_mangle]
pub unsafe extern "C" fn lithe_constraint_close(constraint: *mut Matcher) {
    close(constraint);
}

/// A bit for each token that may come next, from the lowest bit of the first word on.
///
/// # Safety
/// `constraint` is open; `mask` points to `count` words that can be written; `error` to writable memory.
#[no_mangle]
pub unsafe extern "C" fn lithe_constraint_mask(
    constraint: *mut Matcher,
    mask: *mut u32,
    count: usize,
    error: *mut Bytes,
) -> i32 {
    guard(error, || {
        let allowed = (*constraint).compute_mask_or_eos().map_err(sentence)?;
        let out = std::slice::from_raw_parts_mut(mask, count);
        for (place, word) in out.iter_mut().enumerate() {
            *word = allowed.as_slice().get(place).copied().unwrap_or(0);
        }
        Ok(())
    })
}

/// Takes the next token. `complete`: the text is whole, and nothing more may come.
///
/// # Safety
/// `constraint` is open; `complete` and `error` point to writable memory.
#[no_mangle]
pub unsafe extern "C" fn lithe_constraint_take(
    constraint: *mut Matcher,
    token: u32,
    complete: *mut bool,
    error: *mut Bytes,
) -> i32 {
    guard(error, || {
        (*constraint).consume_token(token).map_err(sentence)?;
        complete.write((*constraint).is_stopped());
        Ok(())
    })
}
