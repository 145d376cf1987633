#!/usr/bin/env bash
# Runs every test that calls TestSeed() with many seeds. Part of the release checklist.
#
#   testing/every_seed.sh [OPTION...] [TEST...] [-- BAZEL-OPTION...]
#
# TEST is a label like //ring:stress_test; the default is every test that calls TestSeed(), itself or through a library.
# Only the test cases that call TestSeed() are repeated.
#
#   --seeds=N       at most N seeds per test; default 1000
#   --seconds=N     no new seed after N seconds of a test's running time; default 60
#   --jobs=N        tests that run at the same time; default 1
#   --timeout=N     a run of more than N seconds fails; default 600
#   --first=N       the first seed; the next seeds are N + 1, N + 2, ... Default: random for each state file
#   --state=FILE    default .every_seed in the top folder
#
# Builds once. Do not build in this checkout until the script ends. For each failure, prints the seed, the command that
# repeats it, and the file with the output (in FILE.logs). The last line has the totals.
#
# The script adds a line to FILE after each run. After an interruption, even by kill -9, the next start resumes there. If
# the sources or the Bazel options have changed, FILE is renamed to FILE.old first. To restart all tests, delete FILE.
#
# Exit status: 0 no failure, 1 a test failed, 2 nothing could be run.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/.." || exit 2

seeds=1000 seconds=60 jobs=1 timeout=600 first='' state=.every_seed tests=()
while [ $# -gt 0 ]; do
  case $1 in
    --seeds=*) seeds=${1#*=} ;;
    --seconds=*) seconds=${1#*=} ;;
    --jobs=*) jobs=${1#*=} ;;
    --timeout=*) timeout=${1#*=} ;;
    --first=*) first=${1#*=} ;;
    --state=*) state=${1#*=} ;;
    --) shift; break ;;
    -*) echo "every_seed: unknown option $1; the options are at the top of $0" >&2; exit 2 ;;
    *) tests+=("$1") ;;
  esac
  shift
done
bazel_options=("$@")
for number in "$seeds" "$seconds" "$jobs" "$timeout" "${first:-0}"; do
  [[ $number =~ ^[0-9]{1,18}$ ]] || { echo "every_seed: $number: not a number" >&2; exit 2; }
done
[ "$jobs" -gt 0 ] || { echo 'every_seed: --jobs=0: no test would run' >&2; exit 2; }
first=$((10#${first:-$RANDOM$RANDOM}))

# Prints the labels of all tests that call TestSeed(), or depend on a file that does.
find_tests() {
  local file files=()
  while read -r file; do
    files+=("//$(dirname "$file"):$(basename "$file")")
  done < <(git grep --untracked -lF 'TestSeed()' -- '*.cc' '*.h' ':!testing/harness/test_seed.*' ':!testing/consumer')
  # Not query: it loads tools of Bazel that no build needs, from the network.
  ./bazelw cquery --noshow_progress "${bazel_options[@]}" "kind(cc_test, rdeps(//..., set(${files[*]})))" |
    awk '{ print $1 }' | sort -u
}

# Prints a checksum of the sources and the Bazel options.
fingerprint() {
  { git rev-parse HEAD; git diff HEAD; git ls-files -o --exclude-standard -z | xargs -0r sha256sum
    echo "${bazel_options[@]}"; } | sha256sum | cut -c-16
}

# Runs the test with a seed; the output goes to $scratch/LOG.
run_once() { # TEST LOG SEED FILTER
  local binary=$PWD/bazel-bin/${1#//}
  binary=${binary/://}
  local runfiles=$binary.runfiles tmp=$scratch/$2.tmp
  rm -rf "$tmp"
  mkdir "$tmp"
  (exec {lock}>&-
    cd "$runfiles/_main" &&
    TEST_SRCDIR=$runfiles RUNFILES_DIR=$runfiles TEST_WORKSPACE=_main TEST_TMPDIR=$tmp TEST_RANDOM_SEED=$3 \
      exec timeout "$timeout" "$binary" --gtest_filter="$4") >"$scratch/$2" 2>&1 </dev/null &
  wait $!
}

# Prints a filter for the test cases that printed a seed; all of them if a seed was printed before the first case.
filter_of() { # LOG
  awk '/^\[ RUN      \] / { name = $4 } /^TEST_RANDOM_SEED=/ { if (name == "") all = 1; seen[name] = 1 }
       END { for (name in seen) filter = filter (filter == "" ? "" : ":") name; print all || filter == "" ? "*" : filter }' "$1"
}

report_failure() { # TEST LOG SEED STATUS
  local kept=$state.logs/$2.$3 failed
  mkdir -p "$state.logs"
  cp "$scratch/$2" "$kept"
  failed=$(sed -nE 's/^\[  FAILED  \] ([^ ,]+\.[^ ,]+).*/\1/p' "$scratch/$2" | sort -u | paste -sd:)
  echo "FAILED $1, seed $3, status $4$([ "$4" -ne 124 ] || echo " (timeout)"), output in $kept:"
  echo "  ./bazelw test $1 ${bazel_options[*]} --test_env=TEST_RANDOM_SEED=$3${failed:+ \"--test_filter=$failed\"}"
}

# Prints the total numbers of runs, failures and milliseconds of these tests.
counts() { # TEST...
  awk -v tests="$*" 'BEGIN { n = split(tests, names); for (i = 1; i <= n; i++) counted[names[i]] = 1 }
                     $1 == "run" && $2 in counted { runs++; failed += $4 != 0; ms += $5 }
                     END { print runs + 0, failed + 0, ms + 0 }' "$state"
}

# Runs the remaining seeds of a test. Stops if the script has ended.
run_test() { # TEST
  local log=${1//[^A-Za-z0-9_]/_} filter runs failed ms seed status begin
  trap 'kill $(jobs -p) 2>/dev/null; exit 1' TERM
  filter=$(awk -v test="$1" '$1 == "filter" && $2 == test { print $3 }' "$state")
  read -r runs failed ms < <(counts "$1")
  while [ "$runs" -lt "$seeds" ] && [ "$ms" -lt $((seconds * 1000)) ] && [ -d /proc/$$ ]; do
    seed=$((first + runs))
    begin=${EPOCHREALTIME/[^0-9]/}
    run_once "$1" "$log" "$seed" "${filter:-*}"
    status=$?
    begin=$(((${EPOCHREALTIME/[^0-9]/} - begin) / 1000))
    if [ -z "$filter" ]; then
      filter=$(filter_of "$scratch/$log")
      echo "filter $1 $filter" >>"$state"
    fi
    echo "run $1 $seed $status $begin" >>"$state"
    if [ "$status" -ne 0 ]; then report_failure "$1" "$log" "$seed" "$status"; fi
    read -r runs failed ms < <(counts "$1")
  done
  echo "$1: $runs seeds from $first, $failed failed, $((ms / 1000)) s"
}

if [ ${#tests[@]} -eq 0 ]; then mapfile -t tests < <(find_tests); fi
[ ${#tests[@]} -gt 0 ] || { echo 'every_seed: found no test' >&2; exit 2; }
./bazelw build --noshow_progress "${bazel_options[@]}" "${tests[@]}" || exit 2

exec {lock}>>"$state.lock"
flock -n "$lock" || { echo "every_seed: $state: another every_seed.sh uses it" >&2; exit 2; }
scratch=$(mktemp -d) || exit 2
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP

source=$(fingerprint)
if [ -s "$state" ]; then
  read -r _ known known_first <"$state"
  if [ "$known" = "$source" ]; then
    first=$known_first
  else
    echo "every_seed: $state: sources or options have changed; renamed to $state.old"
    mv "$state" "$state.old" || exit 2
  fi
fi
[ -s "$state" ] || echo "sources $source $first" >"$state" || exit 2

for test in "${tests[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
  run_test "$test" &
done
wait
read -r runs failed ms < <(counts "${tests[@]}")
echo "total: ${#tests[@]} tests, $runs runs, $failed failed, $((ms / 1000)) s"
[ "$failed" -eq 0 ]
