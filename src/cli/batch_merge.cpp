#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"
#include "cli/batch_file.h"
#include "cli/batch_shard.h"
#include "eval/shard_set.h"
#include "io/output_file.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

/// The shards of one batch.
class BatchMerge {
 public:
  void take(const fs::path& file) {
    const Json note = read_note(file);
    shards_.add(eval::parse_shard(note.at("shard").get<std::string>()), file, note.at("settings"));
    take_lines(file, note.at("requests").get<int64_t>());
  }

  Json write(const fs::path& output) const {
    shards_.check_whole();
    require(!is_there(output), Fault::bad_request, "The output ", in_quotes(output.string()),
            " exists; give another --output.");
    io::OutputFile whole(output);
    for (const auto& [index, file] : shards_.places()) {
      LineReader reader(file);
      for (std::string line; reader.next(line);) whole.write(line + "\n");
    }
    whole.commit();
    return {{"schema", "lithe-merge/1"}, {"shards", shards_.count()}, {"answered", answered_}, {"failed", failed_}};
  }

 private:
  static Json read_note(const fs::path& file) {
    const fs::path path = note_of(file);
    require(is_there(path), Fault::bad_file, "The file ", in_quotes(path.string()), " is missing beside ",
            in_quotes(file.string()), "; give the files that `lithe batch --shard` wrote.");
    Json note = read_json_file(path);
    require(note.is_object() && note.value("schema", "") == kBatchShardSchema && note.contains("settings"),
            Fault::bad_file, in_quotes(path.string()), " is not the note of a shard; give the files that ",
            "`lithe batch --shard` wrote.");
    require(note.value("finished", false) && note.contains("requests"), Fault::bad_file, "The shard in ",
            in_quotes(file.string()), " is not done; run it again, which continues it.");
    return note;
  }

  void take_lines(const fs::path& file, int64_t requests) {
    LineReader reader(file);
    int64_t lines = 0;
    for (std::string line; reader.next(line); ++lines) {
      const std::string source = concat(in_quotes(file.string()), ", line ", reader.number());
      const Json json = parse_json(line, source);
      require(json.is_object() && (json.contains("answer") || json.contains("error")), Fault::bad_file, source,
              ": this is not a line that `lithe batch` writes.");
      if (json.contains("id")) {
        const std::string id = id_of(json, source);
        require(ids_.insert(id).second, Fault::bad_request, source, ": the id ", printable(id),
                " has a line already; give the shards of one input, in which each line has an id of its own.");
      }
      ++(json.contains("error") ? failed_ : answered_);
    }
    require(lines == requests, Fault::bad_file, "The shard in ", in_quotes(file.string()), " has ", lines,
            " lines for ", requests, " requests; run it again, which continues it.");
  }

  eval::ShardSet shards_{{.places = "files", .run = "batch", .runs = "batches"}};
  int64_t answered_ = 0, failed_ = 0;
  std::set<std::string> ids_;
};

}  // namespace

Json merge_batch(const std::vector<fs::path>& shards, const fs::path& output) {
  BatchMerge merge;
  for (const fs::path& shard : shards) merge.take(shard);
  return merge.write(output);
}

}  // namespace lithe::cli
