// Programs of others that talk to the server.
#include <sys/wait.h>

#include <cstdlib>

#include "serve/support.h"

namespace lithe::serve {
namespace {

TEST(Clients, OpenAisPythonPackage) {
  const char* const venv = std::getenv("LITHE_CLIENTS_VENV");
  const std::filesystem::path python =
      std::filesystem::path(venv ? venv : LITHE_SOURCE_DIR "/.venv-clients") / "bin/python";
  if (!std::filesystem::exists(python)) GTEST_SKIP() << "There is no " << python << "; make clients-setup installs it.";
  const Running running;
  const std::string command = python.string() + " " LITHE_SOURCE_DIR "/tests/serve/openai_client.py http://127.0.0.1:" +
                              std::to_string(running.port()) + "/v1";
  const int status = std::system(command.c_str());
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace lithe::serve
