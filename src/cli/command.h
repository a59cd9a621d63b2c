#pragma once

#include <functional>
#include <memory>

#include "cli/cli11.h"

namespace lithe::cli {

/// What a command does once its flags are parsed; the result is the exit code. Throws Error.
using Action = std::function<int()>;

/// Declares a command's flags, description and examples on its subcommand. The action owns the parsed values.
using Declare = Action (*)(CLI::App& app);

Action declare_run(CLI::App& app);
Action declare_batch(CLI::App& app);
Action declare_eval(CLI::App& app);
Action declare_compare(CLI::App& app);
Action declare_merge(CLI::App& app);
Action declare_serve(CLI::App& app);
Action declare_trace(CLI::App& app);
Action declare_inspect(CLI::App& app);
Action declare_demo(CLI::App& app);
Action declare_bench(CLI::App& app);
Action declare_convert(CLI::App& app);
Action declare_quantize(CLI::App& app);
Action declare_completion(CLI::App& app);
Action declare_fold(CLI::App& app);
Action declare_search(CLI::App& app);
Action declare_tune(CLI::App& app);
Action declare_plans(CLI::App& app);
Action declare_help(CLI::App& app);

}  // namespace lithe::cli
