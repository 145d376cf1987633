#!/usr/bin/env bash
# Formatting, clang-tidy, and what BUILD files and sources have to keep to. Prints each finding, then how many there were.
#
#   tools/lint.sh [FILE...]     by default every file that git knows
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

for tool in git python3 clang-format clang-tidy; do
  command -v $tool >/dev/null || { echo "lint: $tool is missing: apt-get install git python3 clang-format clang-tidy"; exit 2; }
done
if [ $# -gt 0 ]; then files=("$@"); else mapfile -t files < <(git ls-files); fi
sources=() code=()
for f in "${files[@]}"; do
  case $f in *.cc | *.h) sources+=("$f") ;; esac
  case $f in testing/consumer/*) ;; *.cc) code+=("$f") ;; esac
done
findings=$(mktemp) links=$(mktemp -d)
trap 'rm -rf "$findings" "$links"' EXIT

python3 tools/lint.py "${files[@]}" >> "$findings"
[ ${#sources[@]} = 0 ] || clang-format --dry-run --Werror "${sources[@]}" >> "$findings" 2>&1

# clang-tidy: the headers are where Bazel has put those of the dependencies, under one of three names.
if [ ${#code[@]} -gt 0 ]; then
  ./bazelw build --nobuild //... >/dev/null 2>&1 || echo "lint: error: bazelw build --nobuild //... fails" >> "$findings"
  external=$(./bazelw info output_base 2>/dev/null)/external
  ln -s "$PWD" "$links/ringlog"
  flags=(-std=c++17 "-I$links")
  for include in abseil-cpp zstd/lib googletest/googletest/include googletest/googlemock/include google_benchmark/include; do
    name=${include%%/*}
    for repository in "$name" "$name~" "$name+"; do
      [ ! -d "$external/$repository" ] || flags+=(-isystem "$external/$repository${include#"$name"}")
    done
  done
  # The analyzer takes a minute for a file that uses GoogleTest, and finds nothing there.
  tidy() {
    local file=$1 checks=
    shift
    case $file in *_test.cc) checks=-clang-analyzer-* ;; esac
    clang-tidy --quiet --checks="$checks" "$file" -- "$@" 2>/dev/null | grep -E ': (error|warning): '
    # No output and a bad status is a file that could not be read.
    [ "${PIPESTATUS[0]}" -eq 0 ] || [ "${PIPESTATUS[1]}" -eq 0 ] || echo "$file: error: clang-tidy fails"
  }
  export -f tidy
  printf '%s\0' "${code[@]}" | xargs -0 -P "$(nproc)" -I{} bash -c 'tidy "$@"' tidy {} "${flags[@]}" | sort -u >> "$findings"
fi

cat "$findings"
count=$(grep -cE ': (error|warning): ' "$findings")
echo "lint: ${#files[@]} files, $count findings"
[ "$count" -eq 0 ]
