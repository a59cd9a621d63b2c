#pragma once

#include "io/gguf.h"
#include "models/parts/decoder.h"

namespace lithe::models {

/// The shape of a text model's decoder, from its metadata and from which tensors are there. Throws Error{bad_file} for
/// architectures that are not supported.
DecoderConfig decoder_of(const io::GgufFile& file);

/// Whether queries and keys of the architecture lie interleaved.
bool interleaves(const io::GgufFile& file);

/// "general.architecture". Throws Error{bad_file}.
std::string architecture_of(const io::GgufFile& file);

}  // namespace lithe::models
