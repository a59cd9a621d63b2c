#include "session/storage.h"

#include <utility>
#include <vector>

#include "base/error.h"
#include "models/compute.h"
#include "models/joined_products.h"
#include "session/session.h"

namespace lithe::session {
namespace {

constexpr std::pair<const char*, models::WeightStorage> kStorages[] = {
    {"auto", models::WeightStorage::as_in_file},   {"float32", models::WeightStorage::float32},
    {"bfloat16", models::WeightStorage::bfloat16}, {"float16", models::WeightStorage::float16},
    {"int8", models::WeightStorage::int8},         {"int4", models::WeightStorage::int4},
};

constexpr std::pair<const char*, ops::KeyValueKind> kCaches[] = {
    {"auto", ops::KeyValueKind::float32},
    {"float32", ops::KeyValueKind::float32},
    {"bfloat16", ops::KeyValueKind::bfloat16},
    {"int8", ops::KeyValueKind::int8},
};

constexpr std::pair<const char*, ops::Compute> kComputes[] = {
    {"float32", ops::Compute::float32},
    {"bfloat16", ops::Compute::bfloat16},
    {"int8", ops::Compute::int8},
};

std::vector<std::string> names_of(const auto& table) {
  std::vector<std::string> names;
  for (const auto& [name, value] : table) names.emplace_back(name);
  return names;
}

/// The value of a name. Throws Error{bad_request}.
auto value_named(const auto& table, const std::string& name, const char* what) {
  for (const auto& [known, value] : table) {
    if (name == known) return value;
  }
  std::string known;
  for (const std::string& type : names_of(table)) known += (known.empty() ? "" : ", ") + type;
  fail(Fault::bad_request, what, " as '", name, "'; use one of ", known);
}

}  // namespace

models::WeightStorage storage_named(const std::string& name) {
  return value_named(kStorages, name, "weights can't be held");
}

ops::KeyValueKind kv_named(const std::string& name) {
  return value_named(kCaches, name, "keys and values can't be held");
}

plan::CostOptions counted_as(const std::string& kv) {
  const ops::KeyValueKind kind = kv_named(kv);
  return {.kv_bytes_per_value = ops::bytes_of(kind), .kv_bytes_beside = ops::scale_bytes_of(kind)};
}

ops::Compute compute_named(const std::string& name) {
  return value_named(kComputes, name, "products can't be computed");
}

std::vector<std::string> weight_types() {
  return names_of(kStorages);
}

std::vector<std::string> kv_types() {
  return names_of(kCaches);
}

std::vector<std::string> compute_types() {
  return names_of(kComputes);
}

Arithmetic arithmetic_of(const std::string& kv, const std::string& compute, const std::string& device) {
  const Arithmetic all{kv_named(kv), compute_named(compute), device != "cpu"};
  require(all.cache != ops::KeyValueKind::int8 || !all.on_gpu, Fault::bad_request,
          "keys and values can be held as int8 on the CPU only; use float32 or bfloat16 with --device ", device);
  return all;
}

void Arithmetic::give_to(models::Model& model) const {
  model.decoder.cache = cache;
  models::compute_in(model, compute);
  if (on_gpu) models::join_products(model);
}

}  // namespace lithe::session
