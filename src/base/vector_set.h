#pragma once

#include <vector>

// The one place that knows what the processor can do. LITHE_CPU chooses a smaller set than the processor has.
namespace lithe {

/// The vector instructions that kernels use. Each set holds those before it.
enum class VectorSet {
  plain,        ///< What every processor of this architecture has (x86-64: SSE2).
  avx2,         ///< AVX2, FMA and F16C.
  avx512,       ///< AVX-512 F, BW, DQ and VL.
  avx512_vnni,  ///< AVX512-VNNI: products of pairs or fours of whole numbers.
  avx512_bf16,  ///< AVX512-BF16: products of pairs of bfloat16.
  amx,          ///< AMX tiles of bfloat16.
};

/// As LITHE_CPU spells it: "default", "avx2", "avx512", "avx512_vnni", "avx512_bf16", "amx".
const char* name_of(VectorSet set);

/// The set that all kernels use: the largest that the processor has, or the one that LITHE_CPU names. Throws
/// Error{bad_request} if LITHE_CPU is not the name of a set, or names one that the processor lacks.
VectorSet vector_set();

/// What this processor has, smallest first. LITHE_CPU does not matter.
const std::vector<VectorSet>& processor_vector_sets();

/// Whether the library's general product uses the chosen set: MKL's takes AVX-512 on Intel's processors only.
bool library_uses_vector_set();

/// For tests: from now on kernels of our own use `set`, which the processor must have.
void use_vector_set(VectorSet set);

/// Marks a target of run_vectorised; it becomes part of every version of the loop.
#define LITHE_VECTORISED [[gnu::always_inline]] inline

#if defined(__x86_64__)
#define LITHE_AVX2 __attribute__((target("avx2,fma,f16c")))
#define LITHE_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))
#define LITHE_AVX512_VNNI __attribute__((target("avx512vnni,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))
#define LITHE_AVX512_BF16 __attribute__((target("avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))

template <auto loop, class... Arguments>
LITHE_AVX2 void run_avx2(Arguments... arguments) {
  loop(arguments...);
}

template <auto loop, class... Arguments>
LITHE_AVX512 void run_avx512(Arguments... arguments) {
  loop(arguments...);
}
#endif

/// Runs `loop`, a LITHE_VECTORISED function of plain loops, as the compiler builds it for the chosen set.
template <auto loop, class... Arguments>
void run_vectorised(Arguments... arguments) {
#if defined(__x86_64__)
  if (vector_set() >= VectorSet::avx512) return run_avx512<loop>(arguments...);
  if (vector_set() == VectorSet::avx2) return run_avx2<loop>(arguments...);
#endif
  loop(arguments...);
}

}  // namespace lithe
