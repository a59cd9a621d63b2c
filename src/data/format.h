#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/rows.h"
#include "io/bytes.h"

namespace lithe::data {

/// A file format. A new one is a file with this function and a line of the catalogue in format.cpp.
struct Format {
  const char* name;
  std::vector<std::string> extensions;                  ///< Of its shards in a folder.
  bool (*recognises)(std::span<const std::byte> file);  ///< By the first bytes, whatever the file is called.
  /// `wanted`: the columns that may be looked at; a format that can leave the others unread does. Throws
  /// Error{bad_file}.
  std::unique_ptr<Rows> (*open)(io::Bytes file, const std::vector<std::string>& wanted);
};

/// The formats, those whose files are told most surely first.
const std::vector<Format>& formats();

/// Opens a file of any of them. Throws Error{bad_file}.
std::unique_ptr<Rows> open_rows(const std::filesystem::path& file, const std::vector<std::string>& wanted);
/// Several, one after the other.
std::unique_ptr<Rows> open_rows(const std::vector<std::filesystem::path>& files,
                                const std::vector<std::string>& wanted);

/// Opens the list below a key of the JSON object that a file is. Throws Error{bad_file}.
std::unique_ptr<Rows> open_json_list(const std::filesystem::path& file, const std::string& key);

bool is_json(std::span<const std::byte> file);
std::unique_ptr<Rows> open_json(io::Bytes file, const std::vector<std::string>& wanted);
bool is_parquet(std::span<const std::byte> file);
bool is_arrow(std::span<const std::byte> file);
std::unique_ptr<Rows> open_table(io::Bytes file, const std::vector<std::string>& wanted);
std::unique_ptr<Rows> open_web_dataset(io::Bytes file, const std::vector<std::string>& wanted);

}  // namespace lithe::data
