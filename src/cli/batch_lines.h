#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "cli/batch_file.h"
#include "cli/batch_output.h"
#include "eval/shard.h"

namespace lithe::cli {

/// The requests of a batch: lines of its input that have no answer in its output yet.
class BatchLines {
 public:
  struct Request {
    Json id;
    int64_t line = 0;    ///< Its number in the file.
    std::string source;  ///< For messages: file and line.
    Json json;           ///< As it was written.
    BatchItem item;
  };

  /// `output` must outlive this. Lines of other shards are passed over. Throws Error{bad_file} if the file can't be
  /// opened.
  BatchLines(const std::filesystem::path& input, BatchOutput& output, const eval::Shard& shard);

  /// Reads a line. A request that has no answer goes to `take`. A line that is not a request, and one for which `take`
  /// throws an Error, goes to `refuse`: its id (null if it can't be read), its number, the Error. False at the end.
  bool next(const std::function<void(Request)>& take,
            const std::function<void(const Json& id, int64_t line, const Error&)>& refuse);

  /// Writes the line of a request that has an answer.
  void write_answer(const Json& id, const Json& line);
  /// Writes {["id",] "line", "error"}.
  void write_error(const Json& id, int64_t line, const std::string& sentence);

  const LineReader& reader() const { return reader_; }
  int64_t answered() const { return answered_; }
  int64_t failed() const { return failed_; }
  int64_t skipped() const { return skipped_; }  ///< They had an answer.
  int64_t requests() const { return answered_ + failed_ + skipped_; }

 private:
  bool take_line(Json& id, const std::function<void(Request)>& take);
  /// Whether the line that was read last belongs to this shard.
  bool is_mine() const { return shard_.has(reader_.number() - 1); }
  std::filesystem::path folder_of_pictures() const;

  std::filesystem::path path_;
  LineReader reader_;
  BatchOutput& output_;
  eval::Shard shard_;
  std::map<std::string, int64_t> lines_of_ids_;
  std::set<std::string> refused_;  ///< key_of_line() of lines whose id can't be read.
  int64_t answered_ = 0, failed_ = 0, skipped_ = 0;
};

}  // namespace lithe::cli
