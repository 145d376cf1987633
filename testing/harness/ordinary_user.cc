#include "ringlog/testing/harness/ordinary_user.h"

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "absl/log/check.h"

namespace ringlog {

bool MayActForOtherUsers() {
  constexpr uid_t kOther = 65534;
  char path[] = "/tmp/ringlog_test.XXXXXX";
  CHECK(mkdtemp(path) != nullptr);
  const bool may = geteuid() == 0 && chown(path, kOther, kOther) == 0;
  rmdir(path);
  return may;
}

OrdinaryUser::OrdinaryUser()
    : id_(MayActForOtherUsers() ? 100000 + static_cast<uid_t>(getpid()) % 900000
                                : geteuid()) {
  // TEST_TMPDIR may be in a directory that only root can open.
  char path[] = "/tmp/ringlog_test.XXXXXX";
  CHECK(mkdtemp(path) != nullptr);
  CHECK(id_ == geteuid() || chown(path, id_, id_) == 0);
  directory_ = path;
}

OrdinaryUser::~OrdinaryUser() {
  std::error_code error;
  std::filesystem::remove_all(directory_, error);
}

void OrdinaryUser::Become() const {
  if (id_ != geteuid() && (setgid(id_) != 0 || setuid(id_) != 0)) _exit(104);
}

}  // namespace ringlog
