//! Tokenizers, chat templates and constraints for src/text, tables for src/data, behind the C boundaries of src/text/rust_boundary.h
//! and src/data/table_boundary.h.

mod boundary;
mod characters;
mod constraint;
mod json;
mod meter;
mod moment;
mod pattern;
mod table;
mod template;
mod tokenizer;
