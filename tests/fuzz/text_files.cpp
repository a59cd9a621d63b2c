// Fuzz entry: any bytes as a file of src/text; the first byte says which. 'j' tokenizer.json, 'm' tokenizer.model,
// 'c' tokenizer_config.json, 'o' its chat templates, 't' a chat template. Build it with -fsanitize=fuzzer for a search;
// tests/text/fuzz_test.cpp replays the corpus and seeded mutations of it.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "base/error.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace {

using namespace lithe;
using namespace lithe::text;
namespace fs = std::filesystem;

const std::string kText =
    "A <s> chat\xE2\x96\x81 <image>\nna\xC3\xAFve \xE6\x9D\xB1 \xF0\x9F\x99\x82 </s>  x<image> 12\xFF";

void use(const Tokenizer& tokenizer) {
  for (const Dialect dialect : {Dialect::original, Dialect::hf}) tokenizer.encode_with_images(kText, dialect);
  const auto ids = tokenizer.encode(kText, true);
  TextStream stream(tokenizer, false);
  std::string sum;
  for (const int64_t id : ids) sum += stream.push(id);
  stream.finish();
  tokenizer.decode(ids, true);
  tokenizer.token_of(tokenizer.size());
}

void as_file(const char* name, std::string_view bytes) {
  const fs::path folder = fs::temp_directory_path() / concat("lithe-fuzz-text-", ::getpid());
  fs::create_directories(folder);
  for (const char* other : {"tokenizer.json", "tokenizer.model", "tokenizer_config.json"}) fs::remove(folder / other);
  if (std::string_view(name) == "tokenizer_config.json") {
    fs::copy_file(LITHE_TEST_DATA "/golden/conversations_tokenizer/tokenizer.model", folder / "tokenizer.model");
  }
  std::ofstream(folder / name, std::ios::binary) << bytes;
  use(Tokenizer::open(folder));
}

void as_templates(std::string_view bytes) {
  const fs::path folder = fs::temp_directory_path() / concat("lithe-fuzz-text-", ::getpid());
  fs::create_directories(folder);
  std::ofstream(folder / "tokenizer_config.json", std::ios::binary) << bytes;
  const Message question = text_message("user", "Q");
  if (const auto chat = ChatTemplate::open(folder)) chat->render({&question, 1}, {.bos_token = "<s>"});
}

void as_template(std::string_view bytes) {
  const Message messages[] = {text_message("system", "S"),
                              {"user", {{Part::Kind::image, ""}, {Part::Kind::text, "Q"}}}};
  ChatTemplate::from_source(std::string(bytes), "fuzz").render(messages, {.bos_token = "<s>"});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    switch (data[0]) {
      case 'j':
        as_file("tokenizer.json", bytes);
        break;
      case 'm':
        as_file("tokenizer.model", bytes);
        break;
      case 'c':
        as_file("tokenizer_config.json", bytes);
        break;
      case 'o':
        as_templates(bytes);
        break;
      default:
        as_template(bytes);
    }
  } catch (const Error&) {
    // The one way to refuse.
  }
  return 0;
}
