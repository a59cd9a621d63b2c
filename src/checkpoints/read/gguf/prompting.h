#pragma once

#include <cstdint>
#include <set>

#include "io/gguf.h"
#include "models/model.h"

namespace lithe::models {

/// Tokenizer and chat template of a text model's metadata, or what of them lies beside it; model.folder is known.
/// Throws Error{bad_file}.
void read_prompting(const io::GgufFile& file, Model& model);

/// The ids that end an answer: those that the metadata names, and special tokens with names that models end a turn
/// with, as llama.cpp takes them. The model has its tokenizer, if there is one.
std::set<int64_t> eos_ids_of(const io::GgufFile& file, const Model& model);

}  // namespace lithe::models
