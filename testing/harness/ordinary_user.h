// A user without root's rights, for tests that root runs.

#ifndef RINGLOG_TESTING_HARNESS_ORDINARY_USER_H_
#define RINGLOG_TESTING_HARNESS_ORDINARY_USER_H_

#include <sys/types.h>

#include <string>

namespace ringlog {

// Returns true if the process may act for any user: it is root, and not in a
// sandbox with only one user. (The tag "no-sandbox" prevents such a sandbox.)
bool MayActForOtherUsers();

// Owns a directory that the user can reach, and removes it. If the process
// MayActForOtherUsers(), the user has an id that no other running test uses.
// Otherwise this is the user of the process.
class OrdinaryUser {
 public:
  OrdinaryUser();
  ~OrdinaryUser();
  OrdinaryUser(const OrdinaryUser&) = delete;
  OrdinaryUser& operator=(const OrdinaryUser&) = delete;

  uid_t id() const { return id_; }
  // Returns the path of the directory, which belongs to the user.
  const std::string& directory() const { return directory_; }

  // Changes the user of the calling process to this user, permanently. Ends the
  // process with status 104 on an error.
  void Become() const;

 private:
  uid_t id_;
  std::string directory_;
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_ORDINARY_USER_H_
