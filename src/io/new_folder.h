#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace lithe::io {

/// A model folder that is made out of another one: written beside its place, then moved there whole, and gone again
/// unless it is.
class NewFolder {
 public:
  /// `source`: a folder, or the one file that a model is. Throws Error{bad_file} if it is neither or the part folder
  /// can't be made, and Error{bad_request} if `place` lies inside `source` or is refused by check_place.
  NewFolder(const std::filesystem::path& source, const std::filesystem::path& place);
  ~NewFolder();
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  const std::filesystem::path& source() const { return source_; }  ///< Absolute.
  const std::filesystem::path& place() const { return place_; }    ///< Absolute.
  const std::filesystem::path& part() const { return part_; }      ///< Where to write.
  void commit();                                                   ///< Once. Throws Error{bad_file}.

  /// Throws Error{bad_request} unless a new folder can be called that: neither empty nor "-", not too long, not there.
  static void check_place(const std::filesystem::path& place);

  /// Where the process `writer` writes a folder that is to stand at `place`: what it left there if it was killed.
  static std::filesystem::path part_of(const std::filesystem::path& place, pid_t writer);

 private:
  std::filesystem::path source_, place_, part_;
};

/// Whether a file's name is what torch, TensorFlow and JAX call their weights, or an index of shards.
bool holds_weights(const std::string& name);

/// Whether a path is a folder or lies in it, both absolute and without links.
bool holds(const std::filesystem::path& folder, const std::filesystem::path& path);

/// What lies in a folder, without hidden entries, by name. Throws Error{bad_file}.
std::vector<std::filesystem::directory_entry> entries_of(const std::filesystem::path& folder);

/// Throws Error{bad_file}.
void copy_file(const std::filesystem::path& from, const std::filesystem::path& to);

/// Copies the files of a folder that hold no weights, but those named in `made`; returns how many. Throws
/// Error{bad_file}.
int64_t copy_others(const std::filesystem::path& from, const std::filesystem::path& to,
                    const std::set<std::string>& made);

}  // namespace lithe::io
