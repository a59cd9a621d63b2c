#include "cli/batch_shard.h"

#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"
#include "eval/settings.h"
#include "io/atomic_file.h"

namespace lithe::cli {

namespace fs = std::filesystem;

fs::path note_of(const fs::path& output) {
  return fs::path(output).replace_extension(".json");
}

BatchShard::BatchShard(const eval::Shard& shard, const std::string& output) : shard_(shard), output_(output) {
  if (shard_.is_whole()) return;
  const fs::path path(output);
  fs::path own = path;
  own.replace_extension();
  own += concat(".", eval::name_of(shard_));
  const fs::path extension = path.extension();
  own += extension.empty() || extension == ".json" ? fs::path(".jsonl") : extension;
  output_ = own.string();
}

Json BatchShard::note() const {
  return {
      {"schema", kBatchShardSchema}, {"shard", eval::text_of(shard_)}, {"finished", false}, {"settings", settings_}};
}

void BatchShard::begin(Json settings) {
  if (shard_.is_whole()) return;
  settings_ = std::move(settings);
  const fs::path file = note_of(output_);
  if (is_there(file)) {
    const Json before = read_json_file(file);
    require(before.is_object() && before.value("schema", "") == kBatchShardSchema, Fault::bad_file,
            in_quotes(file.string()), " is not the note of a shard; give another --output.");
    const std::string key = eval::differing_setting(before.value("settings", Json::object()), settings_);
    require(key.empty(), Fault::bad_request, "The file ", in_quotes(output_), " belongs to a batch with another ", key,
            "; give another --output.");
  }
  io::make_folder(file.parent_path().empty() ? fs::path(".") : file.parent_path());
  io::write_json_atomic(file, note());
}

void BatchShard::finish(int64_t requests) const {
  if (shard_.is_whole()) return;
  Json whole = note();
  whole["finished"] = true;
  whole["requests"] = requests;
  io::write_json_atomic(note_of(output_), whole);
}

}  // namespace lithe::cli
