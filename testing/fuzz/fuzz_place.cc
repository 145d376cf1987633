#include "ringlog/testing/fuzz/fuzz_place.h"

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace ringlog {
namespace {

// The paths, and the process that made each.
std::vector<std::pair<pid_t, std::string>>& Places() {
  static auto* const places = new std::vector<std::pair<pid_t, std::string>>;
  return *places;
}

void RemovePlaces() {
  std::error_code ignored;
  for (const auto& [owner, path] : Places()) {
    if (getpid() == owner) std::filesystem::remove_all(path, ignored);
  }
}

std::string MakePlace(absl::string_view name) {
  const std::string parent =
      access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ::testing::TempDir();
  std::string path = absl::StrCat(parent, "/", name, ".XXXXXX");
  PCHECK(mkdtemp(path.data()) != nullptr) << path;
  if (Places().empty()) atexit(RemovePlaces);
  Places().emplace_back(getpid(), path);
  return path;
}

}  // namespace

FuzzPlace::FuzzPlace(absl::string_view name) : path_(MakePlace(name)) {}

}  // namespace ringlog
