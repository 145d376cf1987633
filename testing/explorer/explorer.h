// Explorer
//
// Runs a program of a few threads through every order of their accesses to
// shared integers, and through every value that the C++ memory model lets each
// access read. Checks an invariant in each state, as if the process died there,
// and another one at each end.
//
// The threads are fibers. A thread stops before each access (ModelledAccess in
// memory_model.h); the explorer chooses the thread that goes on and the place
// of its access. A run repeats the choices of an earlier run up to a point, and
// makes another choice there. It ends at a state that is known already.

#ifndef RINGLOG_TESTING_EXPLORER_EXPLORER_H_
#define RINGLOG_TESTING_EXPLORER_EXPLORER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "ringlog/ring/access_site.h"
#include "ringlog/testing/explorer/fibers.h"
#include "ringlog/testing/explorer/memory_model.h"

namespace ringlog {

// A program to explore. Its threads must be deterministic, end after a bounded
// number of accesses, and share nothing but the integers of the MemoryModel.
// Violations are sentences; empty: none.
class ExploredProgram {
 public:
  virtual ~ExploredProgram() = default;

  virtual int thread_count() const = 0;
  // Makes the state before the first access of any thread, and adds the shared
  // integers to `memory`.
  virtual void Begin(MemoryModel* memory) = 0;
  virtual void RunThread(int thread) = 0;

  // Appends the state that is neither in the MemoryModel nor in
  // SetThreadState() and on which a check or a later access may depend.
  virtual void AppendState(std::string* state) const = 0;
  // Checks the state that a death of the process leaves here.
  virtual std::string CheckDeath() = 0;
  // Returns true if the exploration need not go on from this state. For
  // programs in which a thread can repeat a step without end.
  virtual bool IsBeyondBound() const = 0;
  // Checks the state after the end of all threads.
  virtual std::string CheckEnd() = 0;
};

// Another order for the accesses of a site: a deliberate fault.
struct WeakenedOrder {
  AccessSite site;
  int order;
  int failure_order;  // of a compare-and-swap
};

struct Exploration {
  // The first violation; empty: none.
  std::string violation;
  uint64_t states = 0;
  uint64_t runs = 0;
};

class Explorer {
 public:
  // `program` must outlive the explorer.
  explicit Explorer(ExploredProgram* program,
                    std::optional<WeakenedOrder> weakened = std::nullopt);
  ~Explorer();
  Explorer(const Explorer&) = delete;
  Explorer& operator=(const Explorer&) = delete;

  // Explores until the first violation, or until all states are known.
  Exploration Explore();

  // ---- For the threads of the program ----

  // Returns the explorer whose program has the running thread; nullptr outside
  // of such threads.
  static Explorer* OfRunningThread();

  // Returns the number of the shared integer at `p`, or -1.
  int LocationOf(const uint64_t* p) const { return memory_.LocationOf(p); }
  // Makes an access. Returns the value that it read; of a store, 0.
  uint64_t Perform(ModelledAccess access);
  // See MemoryModel::Use(). A data race is a violation.
  void Use(int location);
  void ReportViolation(const std::string& violation);
  // Declares that the rest of the running thread depends only on `state` and on
  // the accesses after this call. Without it, it depends on all values read.
  void SetThreadState(const std::string& state);

 private:
  struct Move {
    int thread;
    int place;
  };
  struct Choice {
    std::vector<Move> moves;
    size_t chosen;
  };

  std::string RunOnce();
  bool GoToNextChoice();
  std::vector<Move> Moves() const;
  std::string State() const;

  ExploredProgram* const program_;
  const std::optional<WeakenedOrder> weakened_;
  const int thread_count_;

  // The state of the present run.
  MemoryModel memory_;
  Fibers fibers_;
  std::vector<ModelledAccess> next_access_;
  std::vector<int> next_place_;
  std::vector<std::string> thread_state_;
  std::string violation_;

  // The state of all runs.
  std::vector<Choice> trail_;
  absl::flat_hash_set<std::string> states_;
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_EXPLORER_EXPLORER_H_
