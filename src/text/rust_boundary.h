#pragma once

// The tokenizers, templates and patterns of the crate in rust/; base/rust_bytes.h says how failures come.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rust_bytes.h"

extern "C" {

typedef struct LitheTokenizer LitheTokenizer;

typedef struct LitheIds {
  uint32_t* data;
  size_t size;
} LitheIds;

void lithe_ids_free(LitheIds ids);

/// Reads the text of a tokenizer.json.
int lithe_tokenizer_open(const char* json, size_t size, LitheTokenizer** out, LitheBytes* error);
void lithe_tokenizer_close(LitheTokenizer* tokenizer);
/// `text` is UTF-8.
int lithe_tokenizer_encode(const LitheTokenizer* tokenizer, const char* text, size_t size, bool add_special,
                           LitheIds* out, LitheBytes* error);
int lithe_tokenizer_decode(const LitheTokenizer* tokenizer, const uint32_t* ids, size_t count, bool skip_special,
                           LitheBytes* out, LitheBytes* error);
/// JSON: {"byte_level": .., "tokens": [[id, "token", special, added], ...]}, in ascending order of ids.
int lithe_tokenizer_vocabulary(const LitheTokenizer* tokenizer, LitheBytes* out, LitheBytes* error);

typedef struct LitheWords LitheWords;
typedef struct LitheConstraint LitheConstraint;

/// What llguidance needs of a tokenizer. `data`: the bytes of all tokens, one after another; `sizes`: of each, by its
/// id; a token without bytes can't be chosen. `ends`: the ids that end an answer.
int lithe_words_open(const char* data, size_t size, const uint32_t* sizes, size_t count, const uint32_t* ends,
                     size_t end_count, LitheWords** out, LitheBytes* error);
void lithe_words_close(LitheWords* words);
/// Compiles the text of a JSON schema.
int lithe_constraint_open(const LitheWords* words, const char* schema, size_t size, LitheConstraint** out,
                          LitheBytes* error);
int lithe_constraint_copy(const LitheConstraint* constraint, LitheConstraint** out, LitheBytes* error);
void lithe_constraint_close(LitheConstraint* constraint);
/// A bit for each token that may come next, from the lowest bit of the first of `count` words on.
int lithe_constraint_mask(LitheConstraint* constraint, uint32_t* mask, size_t count, LitheBytes* error);
/// Takes the next token. `complete`: the text is whole, and nothing more may come.
int lithe_constraint_take(LitheConstraint* constraint, uint32_t token, bool* complete, LitheBytes* error);

/// Renders a chat template over a JSON object of variables; a null `variables` only compiles it. `probe`: over a few
/// short messages, so that far less work is allowed.
/// LITHE_RUST_REFUSED: the template called raise_exception, `error` is its message.
/// LITHE_RUST_TOO_MUCH: it wanted more steps, bytes or time than it may have.
/// LITHE_RUST_NO_THREAD: the system refuses the thread that it renders in.
int lithe_template_render(const char* source, size_t source_size, const char* variables, size_t variables_size,
                          bool probe, LitheBytes* out, LitheBytes* error);

typedef struct LithePattern LithePattern;

/// Compiles `source` as Python's `re` would, between two patterns; the first begins where the text begins.
int lithe_pattern_open(const char* source, size_t source_size, const char* before, size_t before_size,
                       const char* after, size_t after_size, LithePattern** out, LitheBytes* error);
void lithe_pattern_close(LithePattern* pattern);
/// Whether the pattern fits `name`; `number` is what its group of that name holds.
int lithe_pattern_match(const LithePattern* pattern, const char* name, size_t size, bool* fits, LitheBytes* number,
                        LitheBytes* error);

/// `data` is UTF-8.
int lithe_text_lower(const char* data, size_t size, LitheBytes* out, LitheBytes* error);
int lithe_text_upper(const char* data, size_t size, LitheBytes* out, LitheBytes* error);
int lithe_text_capitalised(const char* data, size_t size, LitheBytes* out, LitheBytes* error);
/// A byte for each character: its kind (rust/src/characters.rs).
int lithe_text_kinds(const char* data, size_t size, LitheBytes* out, LitheBytes* error);

}  // extern "C"
