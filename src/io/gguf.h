#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "io/bytes.h"

// GGUF, the file format of llama.cpp: metadata under keys, then tensors, often in blocks of codes.
namespace lithe::io {

/// How the numbers of a tensor are stored, by the number that the format gives the type. Only some types of codes have
/// a name here; files may hold others.
enum class GgufType : uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  bf16 = 30,
};

/// As llama.cpp spells it: "F16", "Q4_K". Known for every type that a file which was read may hold.
const char* name_of(GgufType type);

/// Neighbours of a row that are stored together, and the bytes that they take.
struct GgufBlock {
  int64_t numbers = 1, bytes = 0;
};
/// Of a type that a file which was read may hold.
GgufBlock block_of(GgufType type);

/// A tensor in its file. `bytes` has just the size that type and shape ask for.
struct GgufTensor {
  GgufType type = GgufType::f32;
  std::vector<int64_t> shape;  ///< Row-major. A block of codes holds numbers of one row.
  Bytes bytes;
};

/// An array of the metadata, as it lies in the file. Its elements were checked to be there.
struct GgufArray {
  uint32_t type = 0;  ///< Of the elements, by its number in the format.
  uint64_t count = 0;
  std::span<const std::byte> bytes;
};

/// A GGUF file of version 2 or 3. Nothing in it is trusted: counts, lengths and places are compared with the size of
/// the file before anything is allocated by them. Threads may share it.
class GgufFile {
 public:
  /// Maps the file; tensors are read when they are touched. Throws Error{bad_file} with the file and what is wrong.
  static GgufFile open(const std::filesystem::path& path);
  /// The same over memory.
  static GgufFile parse(const Bytes& bytes);

  const std::string& file() const { return file_; }  ///< The path, for errors.
  const std::map<std::string, GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* find(const std::string& name) const;  ///< Null if it is not there.

  bool has(const std::string& key) const { return values_.contains(key); }
  /// The value of a key. Throw Error{bad_file} if it is missing (without a fallback) or of another kind.
  int64_t integer(const std::string& key) const;
  int64_t integer(const std::string& key, int64_t fallback) const;
  double number(const std::string& key) const;  ///< Of a whole number too.
  double number(const std::string& key, double fallback) const;
  bool boolean(const std::string& key, bool fallback) const;
  std::string text(const std::string& key) const;
  std::string text(const std::string& key, const std::string& fallback) const;
  /// Arrays; empty if the key is missing. They may have at most `kMostElements` elements.
  std::vector<std::string> texts(const std::string& key) const;
  std::vector<double> numbers(const std::string& key) const;
  std::vector<int64_t> integers(const std::string& key) const;

  static constexpr uint64_t kMostElements = uint64_t{1} << 24;

 private:
  using Value = std::variant<bool, int64_t, double, std::string_view, GgufArray>;
  template <class T>
  const T& value(const std::string& key, const char* kind) const;
  const GgufArray* array(const std::string& key, const char* kind) const;

  std::string file_;
  Bytes bytes_;
  std::map<std::string, Value> values_;
  std::map<std::string, GgufTensor> tensors_;
  friend class GgufParser;
};

/// "general.architecture" of a GGUF file, empty if it has none. What follows that key is not read. Throws
/// Error{bad_file} if it is not a GGUF file.
std::string gguf_architecture(const std::filesystem::path& path);

/// Whether a regular file begins as GGUF files do.
bool is_gguf(const std::filesystem::path& path);

}  // namespace lithe::io
