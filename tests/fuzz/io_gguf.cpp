#include "io_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lithe::io::fuzz_gguf(data, size);
  return 0;
}
