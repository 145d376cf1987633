#!/usr/bin/env bash
# Checks formatting, clang-tidy, and the rules for BUILD files and sources. Prints each finding as
# FILE:LINE: MESSAGE, then their number. Exit status: 0 no findings, 1 findings, 2 a tool is
# missing.
#
#     tools/lint.sh [--tidy-tests] [FILE...]     by default all files that git tracks
#
# clang-tidy takes most of the time. Without a FILE it omits tests and benchmarks, unless --tidy-tests is given.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/.." || exit 2

for tool in git python3 clang++ clang-format clang-tidy; do
  command -v $tool >/dev/null || { echo "lint: find $tool: not in PATH; apt-get install git python3 clang clang-format clang-tidy"; exit 2; }
done
tidies_tests=false
if [ "${1:-}" = --tidy-tests ]; then tidies_tests=true; shift; fi
if [ $# -gt 0 ]; then files=("$@") tidies_tests=true; else mapfile -t files < <(git ls-files); fi
sources=() units=() headers=()
for f in "${files[@]}"; do
  case $f in *.cc | *.h) sources+=("$f") ;; esac
  case $f in testing/consumer/*) ;; *.cc) units+=("$f") ;; *.h) headers+=("$f") ;; esac
done
# A header must compile on its own. If the first #include of a file is this header, that file shows it. Each header that no
# file includes first is compiled here.
mapfile -t proven < <(grep -hm1 '^#include' "${units[@]}" /dev/null | sed -n 's,#include "ringlog/\(.*\)",\1,p')
mapfile -t -O "${#units[@]}" units < <(printf '%s\n' "${headers[@]}" | grep -vxF -f <(printf '%s\n' "${proven[@]}") | grep .)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Returns 0 for code that no user links.
is_test() { # FILE
  case $1 in testing/* | *_test.cc | *_test_fixture.* | *_benchmark.cc) ;; *) return 1 ;; esac
}
if ! $tidies_tests; then
  kept=()
  for f in "${units[@]}"; do is_test "$f" || kept+=("$f"); done
  units=("${kept[@]}")
fi

# Runs clang-tidy on files, which are all tests or all not, as one translation unit: most of the time goes to the headers that
# they share. Files that do not compile together, because they define the same name, are halved. For what no user links,
# omits the analyzer, the checks for speed, modernization and use of Abseil, and some slow ones: GoogleTest's headers make
# each check slow.
tidy() { # "FILE..." COMPILER-FLAG...
  local files unit checks='-bugprone-suspicious-include' status half
  read -ra files <<<"$1"
  shift
  unit=${files[0]}
  if [ ${#files[@]} -gt 1 ]; then
    unit=$(mktemp "$scratch/unit.XXXXXX")
    printf '#include "ringlog/%s"\n' "${files[@]}" >"$unit"
    if ! clang++ -fsyntax-only -x c++ "$@" "$unit" 2>/dev/null; then
      half=$((${#files[@]} / 2))
      tidy "${files[*]:0:half}" "$@"
      tidy "${files[*]:half}" "$@"
      return
    fi
  fi
  if is_test "${files[0]}"; then
    checks+=',-clang-analyzer-*,-modernize-*,-performance-*,-abseil-*,-bugprone-infinite-loop,-bugprone-sizeof-expression'
    checks+=',-bugprone-suspicious-string-compare,-bugprone-*-widening*,-readability-suspicious-call-argument'
    checks+=',-cert-env33-c,-misc-misleading-bidirectional'   # Tests run shells, and print hostile text.
  fi
  clang-tidy --quiet --config-file=.clang-tidy --checks="$checks" "$unit" -- -x c++ "$@" 2>/dev/null |
    grep -E ': (error|warning): '
  status=("${PIPESTATUS[@]}")
  # A bad status without a finding: clang-tidy crashed or was killed.
  [ "${status[0]}" -eq 0 ] || [ "${status[1]}" -eq 0 ] || echo "${files[0]}:1: error: clang-tidy ended with ${status[0]}"
}
export -f tidy is_test

# Prints groups of at most 8 files that are of one package, and all tests or all not.
groups() { # FILE...
  local f
  for f in "$@"; do
    if is_test "$f"; then echo "$(dirname "$f") test $f"; else echo "$(dirname "$f") code $f"; fi
  done | sort | awk '$1 " " $2 != key || ++n == 8 { if (line != "") print line; line = ""; n = 0; key = $1 " " $2 }
                     { line = line (line == "" ? "" : " ") $3 } END { if (line != "") print line }'
}

# Our headers are included as ringlog/...; Bazel stores those of the dependencies under one of three names. A finding in a
# header of the system comes from a test that defines a function of the C library.
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
  export scratch
  groups "${units[@]}" | xargs -d '\n' -P "$(nproc)" -I{} bash -c 'tidy "$@"' tidy {} "${flags[@]}" |
    sed -E "s|^($scratch/ringlog\|$PWD)/||" | grep -v '^/' | sort -u
}

{
  for script in lint lint_layers lint_text; do
    python3 "tools/$script.py" "${files[@]}" || echo "tools/$script.py:1: error: tools/$script.py failed"
  done
  [ ${#sources[@]} -eq 0 ] || clang-format --dry-run --Werror "${sources[@]}" 2>&1 | grep -E ': (error|warning): '
  [ ${#units[@]} -eq 0 ] || tidy_all
} | tee "$scratch/findings"
count=$(wc -l < "$scratch/findings")
echo "lint: ${#files[@]} files, $count findings"
[ "$count" -eq 0 ]
