#include "io/torch_globals.h"

#include <algorithm>
#include <array>
#include <utility>

namespace lithe::io {
namespace {

using Role = Pickle::Role;

constexpr std::array<std::pair<std::string_view, Dtype>, 10> kStorageClasses{{{"DoubleStorage", Dtype::float64},
                                                                              {"FloatStorage", Dtype::float32},
                                                                              {"HalfStorage", Dtype::float16},
                                                                              {"BFloat16Storage", Dtype::bfloat16},
                                                                              {"LongStorage", Dtype::int64},
                                                                              {"IntStorage", Dtype::int32},
                                                                              {"ShortStorage", Dtype::int16},
                                                                              {"CharStorage", Dtype::int8},
                                                                              {"ByteStorage", Dtype::uint8},
                                                                              {"BoolStorage", Dtype::boolean}}};

constexpr std::array<std::string_view, 2> kTensorCalls{"torch._utils._rebuild_tensor",
                                                       "torch._utils._rebuild_tensor_v2"};

/// What is neither tensor nor storage and still plain: containers, dtypes, and the classes that Lightning uses as dict
/// keys.
constexpr std::array<std::pair<std::string_view, Role>, 31> kPlainGlobals{{
    {"collections.OrderedDict", Role::dict},
    {"collections.defaultdict", Role::dict},
    {"collections.Counter", Role::dict},
    {"argparse.Namespace", Role::dict},
    {"torch.Size", Role::sequence},
    {"builtins.dict", Role::dict},
    {"builtins.list", Role::sequence},
    {"builtins.set", Role::sequence},
    {"__builtin__.dict", Role::dict},
    {"__builtin__.list", Role::sequence},
    {"__builtin__.set", Role::sequence},
    {"torch.device", Role::call},
    // Lists and dicts of TorchScript, with their types.
    {"torch.jit._pickle.build_intlist", Role::sequence},
    {"torch.jit._pickle.build_tensorlist", Role::sequence},
    {"torch.jit._pickle.build_doublelist", Role::sequence},
    {"torch.jit._pickle.build_boollist", Role::sequence},
    {"torch.jit._pickle.restore_type_tag", Role::first},
    {"torch.float64", Role::label},
    {"torch.float32", Role::label},
    {"torch.float16", Role::label},
    {"torch.bfloat16", Role::label},
    {"torch.int64", Role::label},
    {"torch.int32", Role::label},
    {"torch.int16", Role::label},
    {"torch.int8", Role::label},
    {"torch.uint8", Role::label},
    {"torch.bool", Role::label},
    {"pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint", Role::label},
    {"pytorch_lightning.callbacks.lr_monitor.LearningRateMonitor", Role::label},
    {"pytorch_lightning.callbacks.early_stopping.EarlyStopping", Role::label},
    {"pytorch_lightning.callbacks.progress.ProgressBar", Role::label},
}};

}  // namespace

std::optional<Dtype> torch_storage_dtype(std::string_view global) {
  for (const std::string_view prefix : {"torch.cuda.", "torch."}) {
    if (!global.starts_with(prefix)) continue;
    for (const auto& [name, dtype] : kStorageClasses) {
      if (global.substr(prefix.size()) == name) return dtype;
    }
  }
  return std::nullopt;
}

bool is_torch_tensor(std::string_view global) {
  return std::ranges::find(kTensorCalls, global) != kTensorCalls.end();
}

std::optional<Role> torch_role(std::string_view global) {
  if (torch_storage_dtype(global)) return Role::label;
  if (is_torch_tensor(global) || global == kTorchParameter) return Role::call;
  // A module of TorchScript: its attributes, of which the code in the archive knows more, which nothing reads.
  if (global.starts_with("__torch__.")) return Role::dict;
  for (const auto& [name, role] : kPlainGlobals) {
    if (name == global) return role;
  }
  return std::nullopt;
}

}  // namespace lithe::io
