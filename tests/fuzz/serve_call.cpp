// Fuzz entry: any bytes as the body of a request; the first byte says which. 'c' a chat, 'r' a response, else a text
// completion. Build it with -fsanitize=fuzzer for a search; tests/serve/fuzz_test.cpp replays the corpus and seeded
// mutations of it.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/error.h"
#include "serve/call.h"
#include "serve/refusal.h"
#include "session/session.h"

namespace {

using namespace lithe;
using namespace lithe::serve;

const session::Session& model() {
  static const session::Session session = session::Session::open(LITHE_SOURCE_DIR "/models/easyvqa-pmod");
  return session;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static session::ResponseFormats formats(model());
  const CallRules rules{
      .session = model(), .model_names = {"demo"}, .image_root = LITHE_SOURCE_DIR "/models/images", .formats = formats};
  try {
    const Json body = read_body({reinterpret_cast<const char*>(data) + 1, size - 1});
    const auto read = data[0] == 'c' ? read_chat_call : data[0] == 'r' ? read_response_call : read_completion_call;
    read(body, rules, 7);
  } catch (const Refusal& refusal) {
    refusal.json().dump();  // it must be text that JSON takes
  } catch (const Error&) {
    // The other way to refuse.
  }
  return 0;
}
