// Forks processes that log, in every state of parent and child.
//
// Invariants checked:
//   - Each record of a process and of its forked children is in the log once,
//     however each of them ends.
//   - Each process has its own ring and segments. A child that does not log has
//     none.
//   - A dead process counts as dead although its children live.
//
// Oracle: the texts that the test logs, and the decoder.

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/log/globals.h"
#include "absl/log/log.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/fork_test_fixture.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/fixtures/decode_all.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using ::testing::UnorderedElementsAreArray;

class ForkTest : public ForkFixture {
 protected:
  ForkTest() {
    options_.overflow = OverflowPolicy::kBlock;
    options_.block_deadline = absl::Minutes(10);
    options_.flush_interval = absl::Milliseconds(1);
  }

  RecoveredLeftovers Recover() {
    return RecoverLeftovers(directory_, directory_);
  }

  // Compares the decoded log with `texts` before and after a recovery.
  void ExpectEachOnce(const std::vector<std::string>& texts) {
    for (const char* when : {"before the recovery", "after the recovery"}) {
      const Decoded decoded = DecodeAll({directory_});
      EXPECT_EQ(decoded.result.exit_status(), 0) << when;
      EXPECT_THAT(decoded.texts, UnorderedElementsAreArray(texts)) << when;
      EXPECT_THAT(Recover().errors, IsEmpty());
    }
    EXPECT_THAT(FilesIn(directory_, ".ring"), IsEmpty());
  }
};

// Ends the calling child process unless `child` exits with status 0.
void MustSucceed(pid_t child) {
  if (AwaitChild(child) != 0) _exit(101);
}

TEST_F(ForkTest, ChildHasItsOwnRingAndSegments) {
  EXPECT_EQ(RunChild([this] {
              RingLogSink* const sink = MustInstall();
              LOG(INFO) << "parent, before";
              const std::string parents_ring = sink->ring_path();
              MustSucceed(StartChild([&] {
                if (sink->ring_path() != parents_ring) _exit(1);
                LOG(INFO) << "child";
                if (sink->ring_path() == parents_ring) _exit(2);
                if (!absl::StrContains(sink->ring_path(),
                                       absl::StrCat(".", getpid(), "."))) {
                  _exit(3);
                }
                if (FilesIn(directory_, ".ring").size() != 2) _exit(4);
              }));
              // The exit of the child deleted the child's ring, and not the
              // ring of this process.
              if (FilesIn(directory_, ".ring") !=
                  std::vector<std::string>{parents_ring}) {
                _exit(5);
              }
              if (sink->ring_path() != parents_ring) _exit(6);
              LOG(INFO) << "parent, after";
            }),
            0);
  EXPECT_THAT(FilesIn(directory_, ".log.zst"), SizeIs(2));
  ExpectEachOnce({"parent, before", "child", "parent, after"});
}

TEST_F(ForkTest, SilentChildCreatesNoFiles) {
  EXPECT_EQ(
      RunChild([this] {
        RingLogSink* const sink = MustInstall();
        const std::string parents_ring = sink->ring_path();
        LOG(INFO) << "parent";
        MustSucceed(StartChild([] { execl("/bin/true", "true", nullptr); }));
        MustSucceed(StartChild([] { _exit(0); }));
        MustSucceed(StartChild([] { exit(0); }));
        MustSucceed(StartChild([&] {
          sink->Flush();
          if (!sink->Close().ok()) _exit(1);
          if (FilesIn(directory_, ".ring").size() != 1) _exit(2);
          // Close() has closed the sink for the child, and not for the parent.
          LOG(INFO) << "after the end";
          if (FilesIn(directory_, ".ring").size() != 1) _exit(3);
        }));
        if (FilesIn(directory_, ".ring") !=
            std::vector<std::string>{parents_ring}) {
          _exit(4);
        }
      }),
      0);
  EXPECT_THAT(FilesIn(directory_, ".log.zst"), SizeIs(1));
  ExpectEachOnce({"parent"});
}

TEST_F(ForkTest, ChildOfClosedSinkLogsNothing) {
  EXPECT_EQ(RunChild([this] {
              RingLogSink* const sink = MustInstall();
              if (!sink->Close().ok()) _exit(1);
              MustSucceed(StartChild([&] {
                LOG(INFO) << "late";
                if (!FilesIn(directory_, ".ring").empty()) _exit(2);
              }));
            }),
            0);
  EXPECT_THAT(FilesIn(directory_, ""), IsEmpty());
}

TEST_F(ForkTest, RecordsOfChildsExitHandlersAreKept) {
  EXPECT_EQ(RunChild([this] {
              MustInstall();
              MustSucceed(StartChild(
                  [] { atexit([] { LOG(INFO) << "at exit of the child"; }); }));
              if (FilesIn(directory_, ".ring").size() != 1) _exit(2);
            }),
            0);
  ExpectEachOnce({"at exit of the child"});
}

TEST_F(ForkTest, ChildOfInMemorySinkHasItsOwnMemory) {
  EXPECT_EQ(RunChild([this] {
              absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
              const auto sink = RingLogSink::CreateInMemory(options_);
              if (!sink.ok()) _exit(1);
              MustSucceed(StartChild([&] {
                LOG(INFO).ToSinkOnly(sink->get()) << "child";
                if (!(*sink)->Close().ok()) _exit(2);
              }));
              if ((*sink)->ring().tail_position() != 1) _exit(3);
            }),
            0);
  ExpectEachOnce({"child"});
}

TEST_F(ForkTest, GrandchildrenLogAlsoFromThreads) {
  EXPECT_EQ(RunChild([this] {
              MustInstall();
              LOG(INFO) << "first";
              MustSucceed(StartChild([] {
                // This child has no ring yet.
                MustSucceed(StartChild([] { LOG(INFO) << "early third"; }));
                LOG(INFO) << "second";
                std::thread([] {
                  MustSucceed(StartChild([] { LOG(INFO) << "third"; }));
                  LOG(INFO) << "thread of the second";
                }).join();
              }));
              LOG(INFO) << "first again";
            }),
            0);
  ExpectEachOnce({"first", "early third", "second", "third",
                  "thread of the second", "first again"});
}

TEST_F(ForkTest, ThreadsOfChildShareItsRing) {
  constexpr int kThreads = 8;
  EXPECT_EQ(RunChild([this] {
              MustInstall();
              MustSucceed(StartChild([this] {
                std::atomic<int> ready{0};
                std::vector<std::thread> threads;
                for (int t = 0; t < kThreads; ++t) {
                  threads.emplace_back([t, &ready] {
                    for (++ready; ready < kThreads;) {
                    }
                    LOG(INFO) << "thread " << t;
                  });
                }
                for (std::thread& thread : threads) thread.join();
                if (FilesIn(directory_, ".ring").size() != 2) _exit(1);
              }));
            }),
            0);
  std::vector<std::string> texts;
  for (int t = 0; t < kThreads; ++t) {
    texts.push_back(absl::StrCat("thread ", t));
  }
  ExpectEachOnce(texts);
}

// The parent forks while its threads are in any state. Every child logs from
// two threads, and ends in one of several ways.
TEST_F(ForkTest, KeepsEachRecordOnceUnderLoad) {
  constexpr int kThreads = 3, kChildren = 15, kRecords = 20;
  const auto log = [](const std::string& name) {
    for (int i = 0; i < kRecords; ++i) LOG(INFO) << name << " " << i;
  };
  std::vector<int> logged(kThreads);
  EXPECT_EQ(RunChild([&] {
              MustInstall();
              std::atomic<bool> stop{false};
              std::vector<std::thread> threads;
              for (int t = 0; t < kThreads; ++t) {
                threads.emplace_back([&, t] {
                  int& n = logged[static_cast<size_t>(t)];
                  for (; !stop; ++n) LOG(INFO) << "parent " << t << " " << n;
                });
              }
              for (int c = 0; c < kChildren; ++c) {
                const pid_t child = StartChild([&, c] {
                  std::thread other(log, absl::StrCat("other of ", c));
                  log(absl::StrCat("first of ", c));
                  other.join();
                  if (c % 3 == 1) _exit(0);
                  if (c % 3 == 2) raise(SIGKILL);
                });
                if (AwaitChild(child) != (c % 3 == 2 ? SIGKILL : 0)) _exit(102);
              }
              stop = true;
              for (std::thread& thread : threads) thread.join();
              LOG(INFO) << "counts " << logged[0] << " " << logged[1] << " "
                        << logged[2];
            }),
            0);
  const Decoded decoded = DecodeAll({directory_});
  std::vector<std::string> expected;
  for (const std::string& text : decoded.texts) {
    const std::vector<std::string> words = absl::StrSplit(text, ' ');
    if (words[0] != "counts") continue;
    expected.push_back(text);
    ASSERT_THAT(words, SizeIs(1 + kThreads));
    for (size_t t = 0; t < kThreads; ++t) {
      ASSERT_TRUE(absl::SimpleAtoi(words[t + 1], &logged[t])) << text;
    }
  }
  ASSERT_THAT(expected, SizeIs(1));
  for (int t = 0; t < kThreads; ++t) {
    for (int i = 0; i < logged[static_cast<size_t>(t)]; ++i) {
      expected.push_back(absl::StrCat("parent ", t, " ", i));
    }
  }
  for (int c = 0; c < kChildren; ++c) {
    for (int i = 0; i < kRecords; ++i) {
      expected.push_back(absl::StrCat("first of ", c, " ", i));
      expected.push_back(absl::StrCat("other of ", c, " ", i));
    }
  }
  std::sort(expected.begin(), expected.end());
  for (const char* when : {"before the recovery", "after the recovery"}) {
    std::vector<std::string> found = DecodeAll({directory_}).texts;
    std::sort(found.begin(), found.end());
    EXPECT_TRUE(found == expected)
        << when << ": " << found.size() << " of " << expected.size();
    EXPECT_THAT(Recover().errors, IsEmpty());
  }
  EXPECT_THAT(FilesIn(directory_, ".ring"), IsEmpty());
}

TEST_F(ForkTest, SpawnedProgramsDoNotDisturbLog) {
  constexpr int kRecords = 3000;
  EXPECT_EQ(RunChild([this] {
              MustInstall();
              std::thread thread([] {
                for (int i = 0; i < kRecords; ++i) LOG(INFO) << i;
              });
              for (int i = 0; i < 30; ++i) {
                char name[] = "true";
                char* const argv[] = {name, nullptr};
                pid_t child;
                if (posix_spawn(&child, "/bin/true", nullptr, nullptr, argv,
                                environ) != 0) {
                  _exit(1);
                }
                MustSucceed(child);
                child = vfork();
                if (child == 0) {
                  execv("/bin/true", argv);
                  _exit(2);
                }
                MustSucceed(child);
                if (FilesIn(directory_, ".ring").size() != 1) _exit(3);
              }
              thread.join();
            }),
            0);
  std::vector<std::string> texts;
  for (int i = 0; i < kRecords; ++i) texts.push_back(absl::StrCat(i));
  ExpectEachOnce(texts);
}

TEST_F(ForkTest, DeadParentIsRecoveredWhileChildrenLive) {
  Signal are_ready, may_end;
  EXPECT_EQ(RunChild([&] {
              MustInstall();
              LOG(INFO) << "parent";
              // The children must not hold the stderr of RunChild(), which
              // waits until it is closed.
              StartChild([&] {
                close(STDERR_FILENO);
                are_ready.Send();
                may_end.Await();
              });
              StartChild([&] {
                close(STDERR_FILENO);
                LOG(INFO) << "child";
                are_ready.Send();
                may_end.Await();
                _exit(0);
              });
              are_ready.Await();
              are_ready.Await();
              raise(SIGKILL);
            }),
            SIGKILL);
  ASSERT_THAT(FilesIn(directory_, ".ring"), SizeIs(2));
  const RecoveredLeftovers leftovers = Recover();
  EXPECT_THAT(leftovers.errors, IsEmpty());
  EXPECT_THAT(leftovers.recovered, SizeIs(1)) << "only the ring of the parent";
  EXPECT_THAT(FilesIn(directory_, ".ring"), SizeIs(1));
  may_end.Send();
  may_end.Send();
}

// The program after exec has the process id and start time of the process that
// logged.
TEST_F(ForkTest, RingIsRecoveredAfterExec) {
  Signal is_ready, may_end;
  const pid_t child = StartChild([&] {
    MustInstall();
    LOG(INFO) << "before exec";
    dup2(may_end.read_fd(), STDIN_FILENO);
    dup2(is_ready.write_fd(), STDOUT_FILENO);
    execl("/bin/sh", "sh", "-c", "echo; read line", nullptr);
    _exit(1);
  });
  is_ready.Await();
  const RecoveredLeftovers leftovers = Recover();
  EXPECT_THAT(leftovers.errors, IsEmpty());
  EXPECT_THAT(leftovers.recovered, SizeIs(1));
  ASSERT_EQ(kill(child, SIGKILL), 0);
  EXPECT_EQ(AwaitChild(child), SIGKILL)
      << "the process was alive during the recovery";
  ExpectEachOnce({"before exec"});
}

TEST_F(ForkTest, RingWithClosedDescriptorIsNotRecovered) {
  Signal is_ready, may_end;
  const pid_t child = StartChild([&] {
    RingLogSink* const sink = MustInstall();
    LOG(INFO) << "before";
    struct stat ring;
    if (stat(sink->ring_path().c_str(), &ring) != 0) _exit(1);
    for (int fd = 3; fd < 1000; ++fd) {
      struct stat st;
      if (fstat(fd, &st) == 0 && st.st_ino == ring.st_ino) close(fd);
    }
    is_ready.Send();
    may_end.Await();
    LOG(INFO) << "after";
    _exit(0);
  });
  is_ready.Await();
  const RecoveredLeftovers leftovers = Recover();
  EXPECT_THAT(leftovers.errors, IsEmpty());
  EXPECT_THAT(leftovers.recovered, IsEmpty());
  EXPECT_THAT(FilesIn(directory_, ".ring"), SizeIs(1));
  may_end.Send();
  EXPECT_EQ(AwaitChild(child), 0);
  ExpectEachOnce({"before", "after"});
}

TEST_F(ForkTest, ChildWithoutRingLogsAndWarnsOnce) {
  options_.ring_directory = directory_ + "/rings";
  std::string err;
  EXPECT_EQ(RunChild(
                [this] {
                  MustInstall();
                  LOG(INFO) << "parent";
                  const std::string away = directory_ + "/away";
                  WriteFile(away, "");
                  // Exchanges both names at once, because the flusher creates a
                  // missing directory.
                  const auto exchange = [&] {
                    if (renameat2(AT_FDCWD, options_.ring_directory.c_str(),
                                  AT_FDCWD, away.c_str(), RENAME_EXCHANGE)) {
                      _exit(1);
                    }
                  };
                  exchange();
                  MustSucceed(StartChild([] {
                    for (int i = 0; i < 3; ++i) LOG(INFO) << "child " << i;
                  }));
                  exchange();
                },
                &err),
            0);
  EXPECT_THAT(err, HasSubstr(options_.ring_directory));
  // The parent may have reported that its ring was moved.
  const size_t first = err.find("in a forked child");
  ASSERT_NE(first, std::string::npos) << err;
  EXPECT_EQ(err.find("in a forked child", first + 1), std::string::npos) << err;
  EXPECT_THAT(DecodeAll({directory_}).texts,
              UnorderedElementsAre("parent", "child 0", "child 1", "child 2"));
}

}  // namespace
}  // namespace ringlog
