#pragma once

// The C boundary of the crate in rust/. Every function that can fail returns a code and, when it fails, fills `error`
// with a sentence that the caller frees; `out` is then left alone. Nothing panics or throws through it.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  LITHE_TEXT_OK = 0,
  LITHE_TEXT_FAILED = 1,
  LITHE_TEXT_REFUSED = 2,
  LITHE_TEXT_TOO_MUCH = 3,
  LITHE_TEXT_NO_THREAD = 4
};

typedef struct LitheTokenizer LitheTokenizer;

typedef struct LitheBytes {
  char* data;
  size_t size;
} LitheBytes;

typedef struct LitheIds {
  uint32_t* data;
  size_t size;
} LitheIds;

void lithe_bytes_free(LitheBytes bytes);
void lithe_ids_free(LitheIds ids);

/// Reads the text of a tokenizer.json.
int lithe_tokenizer_open(const char* json, size_t size, LitheTokenizer** out, LitheBytes* error);
void lithe_tokenizer_close(LitheTokenizer* tokenizer);
/// `text` is UTF-8.
int lithe_tokenizer_encode(const LitheTokenizer* tokenizer, const char* text, size_t size, bool add_special,
                           LitheIds* out, LitheBytes* error);
int lithe_tokenizer_decode(const LitheTokenizer* tokenizer, const uint32_t* ids, size_t count, bool skip_special,
                           LitheBytes* out, LitheBytes* error);
/// JSON: [[id, "token", special], ...] in ascending order of ids.
int lithe_tokenizer_vocabulary(const LitheTokenizer* tokenizer, LitheBytes* out, LitheBytes* error);

/// Renders a chat template over a JSON object of variables; a null `variables` only compiles it. `probe`: over a few
/// short messages, so that far less work is allowed.
/// LITHE_TEXT_REFUSED: the template called raise_exception, `error` is its message.
/// LITHE_TEXT_TOO_MUCH: it wanted more steps, bytes or time than it may have.
/// LITHE_TEXT_NO_THREAD: the system refuses the thread that it renders in.
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

#ifdef __cplusplus
}
#endif
