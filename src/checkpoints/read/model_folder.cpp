#include "checkpoints/read/model_folder.h"

#include <dlfcn.h>

#include <cstdlib>
#include <fstream>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"
#include "io/gguf.h"
#include "io/hub_cache.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

bool holds_models(const fs::path& folder) {
  std::error_code ignored;
  return fs::is_directory(folder / "easyvqa-pmod", ignored);
}

/// The file that this code was loaded from: the program, or the shared library.
fs::path own_file() {
  Dl_info info{};
  std::error_code ignored;
  if (dladdr(reinterpret_cast<const void*>(&demo_folder), &info) == 0 || !info.dli_fname) return {};
  return fs::canonical(info.dli_fname, ignored);
}

/// Without "/" at the end and without "..", so that its last part is its name.
fs::path plain(const fs::path& folder) {
  const fs::path path = fs::absolute(folder).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

/// The first bytes of a file; empty if it cannot be read.
std::string beginning(const fs::path& file) {
  constexpr std::streamsize kLongestMark = 24;
  std::string bytes(kLongestMark, '\0');
  std::ifstream in(file, std::ios::binary);
  in.read(bytes.data(), kLongestMark);
  bytes.resize(static_cast<std::size_t>(in.gcount()));
  return bytes;
}

/// A file was given in place of a folder.
[[noreturn]] void fail_for_file(const fs::path& file, const std::string& wanted) {
  const std::string bytes = beginning(file);
  const auto refuse = [&](const std::string& why) { fail(Fault::bad_file, in_quotes(file.string()), " ", why); };
  if (bytes.starts_with("GGUF")) refuse("is a GGUF file; give " + wanted);
  if (bytes.starts_with(kLfsPointer))
    refuse("is a Git LFS pointer, not the file itself; run `git lfs pull` in its folder, and give that folder");
  const std::string ending = file.extension().string();
  if (ending == ".safetensors" || ending == ".bin" || ending == ".pth" || ending == ".json")
    refuse("is one file of a model; give its folder, " + in_quotes(plain(file).parent_path().string()));
  fail(Fault::bad_file, in_quotes(file.string()), " is not a folder; give ", wanted);
}

fs::path folder_named(const std::string& name, const std::string& wanted) {
  std::error_code ignored;
  if (fs::is_directory(name, ignored)) return plain(name);
  // The one kind of model that is a file: METER, as PyTorch Lightning saved it.
  if (fs::is_regular_file(name, ignored) && fs::path(name).extension() == ".ckpt") return plain(name);
  if (fs::exists(name, ignored)) fail_for_file(name, wanted);
  const std::optional<io::HubName> hub = io::parse_hub_name(name);
  require(hub.has_value(), Fault::bad_file, "There is no folder ", in_quotes(name), "; give ", wanted,
          ", or a name on the Hugging Face hub (owner/name) that was downloaded before");
  const std::optional<fs::path> snapshot = io::cached_snapshot(*hub);
  require(snapshot.has_value(), Fault::bad_file, in_quotes(name), " is neither a folder nor in the Hugging Face cache ",
          io::hub_cache().string(), "; if it is a name on the hub, download it with `", io::download_command(*hub),
          "`");
  return *snapshot;
}

}  // namespace

fs::path demo_folder() {
  if (const char* const named = std::getenv("LITHE_MODELS")) {
    require(holds_models(named), Fault::bad_file, "LITHE_MODELS names ", in_quotes(named),
            ", which does not hold the demo models; point it at Lithe's models folder.");
    return named;
  }
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  const fs::path prefix = program.parent_path().parent_path(), library = own_file().parent_path();
  std::vector<fs::path> tried;
  for (const fs::path& above : {prefix, library.parent_path(), library.parent_path().parent_path()})
    tried.push_back(above / "share" / "lithe" / "models");
  tried.emplace_back(LITHE_MODELS_DIR);
  for (const fs::path& folder : tried)
    if (holds_models(folder)) return folder;
  fail(Fault::bad_file, "The demo models are neither in ", tried.front().string(), " nor in ", tried.back().string(),
       "; set LITHE_MODELS to the folder that holds them.");
}

fs::path model_folder(const std::string& name) {
  if (name == "demo") return demo_folder() / "easyvqa-pmod";
  if (name == "demo-dense") return demo_folder() / "easyvqa-dense";
  if (io::is_gguf(name)) return plain(name);
  return folder_named(name, "a folder with config.json and weights, a GGUF file, demo or demo-dense");
}

fs::path adapter_folder(const std::string& name) {
  return folder_named(name, "a PEFT folder with adapter_config.json and adapter_model.safetensors");
}

}  // namespace lithe::models
