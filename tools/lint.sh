#!/usr/bin/env bash
# Formatting, clang-tidy, and what BUILD files and sources have to keep to. Prints each finding as FILE:LINE: and what is
# wrong there, last how many there were. Exit status: 0 none, 1 some, 2 it could not look.
#
#   tools/lint.sh [FILE...]     by default every file that git knows
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/.." || exit 2

for tool in git python3 clang-format clang-tidy; do
  command -v $tool >/dev/null || { echo "lint: $tool is missing: apt-get install git python3 clang-format clang-tidy"; exit 2; }
done
if [ $# -gt 0 ]; then files=("$@"); else mapfile -t files < <(git ls-files); fi
sources=() units=()
for f in "${files[@]}"; do
  case $f in *.cc | *.h) sources+=("$f") ;; esac
  case $f in testing/consumer/*) ;; *.cc) units+=("$f") ;; esac
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# clang-tidy of one file. The headers of GoogleTest make each check slow: tests are spared the analyzer, and what would make
# them faster or newer.
tidy() { # FILE COMPILER-FLAG...
  local file=$1 checks='' status
  shift
  case $file in *_test.cc | *_benchmark.cc) checks='-clang-analyzer-*,-modernize-*,-performance-*' ;; esac
  clang-tidy --quiet --checks="$checks" "$file" -- "$@" 2>/dev/null | grep -E ': (error|warning): '
  status=("${PIPESTATUS[@]}")
  # A bad status without a finding: it crashed, or was killed.
  [ "${status[0]}" -eq 0 ] || [ "${status[1]}" -eq 0 ] || echo "$file:1: error: clang-tidy ended with ${status[0]}"
}
export -f tidy

# Our headers are at ringlog/, those of the dependencies where Bazel has put them, under one of three names.
tidy_all() {
  local external include name repository flags=(-std=c++17 "-I$scratch")
  if ! { ./bazelw build --nobuild //... && ./bazelw info output_base >"$scratch/base"; } >"$scratch/log" 2>&1; then
    tail -n 30 "$scratch/log" >&2
    echo "BUILD.bazel:1: error: ./bazelw build --nobuild //... fails"
    return
  fi
  external=$(cat "$scratch/base")/external
  ln -s "$PWD" "$scratch/ringlog"
  for include in abseil-cpp zstd/lib googletest/googletest/include googletest/googlemock/include google_benchmark/include; do
    name=${include%%/*}
    for repository in "$name" "$name~" "$name+"; do
      [ ! -d "$external/$repository" ] || flags+=(-isystem "$external/$repository${include#"$name"}")
    done
  done
  printf '%s\0' "${units[@]}" | xargs -0 -P "$(nproc)" -I{} bash -c 'tidy "$@"' tidy {} "${flags[@]}" |
    sed -E "s|^($scratch/ringlog\|$PWD)/||" | sort -u
}

{
  python3 tools/lint.py "${files[@]}" || echo "tools/lint.py:1: error: it failed"
  python3 tools/lint_layers.py "${files[@]}" || echo "tools/lint_layers.py:1: error: it failed"
  [ ${#sources[@]} -eq 0 ] || clang-format --dry-run --Werror "${sources[@]}" 2>&1 | grep -E ': (error|warning): '
  [ ${#units[@]} -eq 0 ] || tidy_all
} | tee "$scratch/findings"
count=$(wc -l < "$scratch/findings")
echo "lint: ${#files[@]} files, $count findings"
[ "$count" -eq 0 ]
