#include "base/vector_set.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

#include "base/error.h"
#include "base/printable.h"

namespace lithe {
namespace {

constexpr const char* kVariable = "LITHE_CPU";
constexpr std::array kAll{VectorSet::plain,       VectorSet::avx2,        VectorSet::avx512,
                          VectorSet::avx512_vnni, VectorSet::avx512_bf16, VectorSet::amx};
constexpr int kUnchosen = -1;
std::atomic<int> chosen{kUnchosen};

#if defined(__x86_64__) && defined(__linux__)
bool has_tiles() {
  constexpr unsigned kBfloat16 = 1U << 22, kTiles = 1U << 24;  // of leaf 7, EDX
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kBfloat16) == 0 || (d & kTiles) == 0) return false;
  // Linux gives out the registers' space on request.
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#else
bool has_tiles() {
  return false;
}
#endif

bool has(VectorSet set) {
  if (set == VectorSet::plain) return true;
#if defined(__x86_64__)
  if (set == VectorSet::avx2)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  if (set == VectorSet::avx512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (set == VectorSet::avx512_vnni) return __builtin_cpu_supports("avx512vnni");
  if (set == VectorSet::avx512_bf16) return __builtin_cpu_supports("avx512bf16");
  return has_tiles();
#else
  return false;
#endif
}

std::string listed(const auto& sets) {
  std::string text;
  for (const VectorSet set : sets) text += (text.empty() ? "" : ", ") + std::string(name_of(set));
  return text;
}

/// What LITHE_CPU asks for; absent: the largest set.
std::optional<VectorSet> asked_for() {
  const char* const value = std::getenv(kVariable);
  if (value == nullptr || std::string_view(value).empty() || std::string_view(value) == "auto") return std::nullopt;
  const auto named = std::ranges::find(kAll, std::string_view(value), name_of);
  require(named != kAll.end(), Fault::bad_request, kVariable, " is ", in_quotes(value), "; it must be auto or one of ",
          listed(kAll), ".");
  const std::vector<VectorSet>& here = processor_vector_sets();
  require(std::ranges::find(here, *named) != here.end(), Fault::bad_request, kVariable, " asks for ", value,
          ", which this processor lacks; it has ", listed(here), ".");
  return *named;
}

/// Settings that the libraries read at their first call, long after this. What the user has set stays.
void set_up_libraries() {
  const auto set = [](const char* name, const char* value) { ::setenv(name, value, 0); };
  std::optional<VectorSet> asked;
  try {
    asked = asked_for();
  } catch (const Error&) {
    return;  // vector_set() tells it to somebody
  }
  // Without this, MKL chooses the order of its sums by the address of the operands modulo 64, so that a weight that
  // lies elsewhere in its file gives other bits. With it, the products take as long (docs/performance.md).
  if (!asked || *asked == VectorSet::amx) {
    set("MKL_CBWR", "AUTO");
    return;
  }
  static constexpr const char* kMkl[] = {"COMPATIBLE", "AVX2", "AVX512", "AVX512", "AVX512"};
  static constexpr const char* kOneDnn[] = {"SSE41", "AVX2", "AVX512_CORE", "AVX512_CORE_VNNI", "AVX512_CORE_BF16"};
  set("MKL_CBWR", kMkl[static_cast<int>(*asked)]);
  set("ONEDNN_MAX_CPU_ISA", kOneDnn[static_cast<int>(*asked)]);
  set("ATEN_CPU_CAPABILITY", name_of(std::min(*asked, VectorSet::avx512)));
}

[[maybe_unused]] const bool libraries_are_set_up = (set_up_libraries(), true);

}  // namespace

const char* name_of(VectorSet set) {
  static constexpr const char* kNames[] = {"default", "avx2", "avx512", "avx512_vnni", "avx512_bf16", "amx"};
  return kNames[static_cast<int>(set)];
}

const std::vector<VectorSet>& processor_vector_sets() {
  static const std::vector<VectorSet> here = [] {
    std::vector<VectorSet> sets;
    for (const VectorSet set : kAll) {
      if (!has(set)) break;
      sets.push_back(set);
    }
    return sets;
  }();
  return here;
}

VectorSet vector_set() {
  const int known = chosen.load(std::memory_order_relaxed);
  if (known != kUnchosen) return static_cast<VectorSet>(known);
  const VectorSet set = asked_for().value_or(processor_vector_sets().back());
  chosen.store(static_cast<int>(set), std::memory_order_relaxed);
  return set;
}

bool library_uses_vector_set() {
#if defined(__x86_64__)
  static const bool intel = __builtin_cpu_is("intel") != 0;
  return intel || vector_set() < VectorSet::avx512;
#else
  return true;
#endif
}

void use_vector_set(VectorSet set) {
  require(set <= processor_vector_sets().back(), Fault::internal, "use_vector_set: no ", name_of(set), " here");
  chosen.store(static_cast<int>(set), std::memory_order_relaxed);
}

}  // namespace lithe
