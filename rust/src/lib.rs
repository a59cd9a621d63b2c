//! Tokenizers and chat templates for src/text, behind the C boundary of src/text/rust_boundary.h.

mod boundary;
mod json;
mod meter;
mod moment;
mod pattern;
mod template;
mod tokenizer;
