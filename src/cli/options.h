#pragma once

#include <cstdint>
#include <string>

#include "cli/cli11.h"
#include "session/pair_session.h"
#include "session/session.h"

namespace lithe::cli {

/// The flags that every command has, except `plans`, `completion` and `help`.
struct CommonOptions {
  int64_t threads = 0;  ///< 0: as many as the process has cores.
  std::string device = "cpu";
  uint64_t seed = 0;
  std::string weights = "auto", kv = "float32", compute = "float32";
  std::string lora;    ///< A PEFT folder; empty: none.
  std::string mmproj;  ///< A GGUF file; empty: the one beside MODEL.
  bool json = false;
};

/// Declares --threads, --device, --seed, --weights, --lora and --mmproj.
void add_common(CLI::App& app, CommonOptions& options);

/// Declares --kv, for commands that run the decoder or count what it caches.
void add_kv(CLI::App& app, CommonOptions& options);
void add_kv(CLI::App& app, std::string& kv);

/// How the bytes of the cache that --kv names are counted. Throws Error{bad_request}.
plan::CostOptions counted_kv(const std::string& kv);

/// Declares --compute, for commands that run the decoder.
void add_compute(CLI::App& app, CommonOptions& options);

/// Declares --json.
void add_json(CLI::App& app, CommonOptions& options, const std::string& what);

/// Throws Error{bad_request} if --lora or --mmproj is given with --shape: nothing was trained for its random weights.
void refuse_over_shape(const CommonOptions& options);

/// Throws Error{bad_request} if --device asks for a GPU.  command: "fold"
void require_cpu(const CommonOptions& options, const std::string& command);

/// Sets the threads and makes the device ready. Throws Error{bad_request}.
void apply(const CommonOptions& options);

/// The threads that `options` mean.
int64_t threads_of(const CommonOptions& options);

/// apply(), then opens a model folder or a demo model, with progress on a terminal. Throws Error.
session::Session open_session(const std::string& model, const CommonOptions& options);
/// The same of a METER model.
session::PairSession open_pairs(const std::string& model, const CommonOptions& options);

}  // namespace lithe::cli
