"""Checks the #includes between folders, and the size of the public interface; for tools/lint.sh.

Usage: lint_layers.py FILE...

Prints findings on stdout, and the headers of the public interface on stderr. Run in the root of the repository.
"""

import os
import re
import sys

# The layers, lowest first. Folders of one row have the same rank. A file includes only files of its own rank or below.
LAYERS = [
    ["ring/os"],
    ["ring"],
    ["compress"],
    ["compress/line"],
    ["compress/segment"],
    ["compress/recovery"],
    ["compress/retention"],
    ["compress/flusher"],
    ["logsink", "logsink/internal"],
    ["tools/decode"],
    ["tools/command"],
    ["tools/crash_demo"],
    ["tools"],
]
RANKS = {folder: rank for rank, row in enumerate(LAYERS) for folder in row}
PRODUCT = ("ring/", "compress/", "logsink/", "tools/")
# Tests and their support, which may include anything.
NOT_PRODUCT = re.compile(r"(_test\.cc|_test_fixture\.(h|cc)|_benchmark\.cc)$")
INCLUDE = re.compile(r'^\s*#\s*include "ringlog/([^"]+)"')

PUBLIC_HEADER = "logsink/ring_log_sink.h"
MAX_PUBLIC_HEADERS = 10


def finding(path, line, message):
  print(f"{path}:{line}: error: {message}")


def is_product(path):
  return path.startswith(PRODUCT) and not NOT_PRODUCT.search(path)


def includes(path):
  """Yields line number and path of each ringlog header that a file includes."""
  with open(path, encoding="utf-8") as file:
    for number, line in enumerate(file, 1):
      match = INCLUDE.match(line)
      if match:
        yield number, match.group(1)


def check_layer(path, number, header):
  """Product files include no file of a higher layer, and nothing that only tests need."""
  if header.startswith("testing/"):
    finding(path, number, f"product code includes {header}; only tests may include files from testing/")
    return
  if NOT_PRODUCT.search(header):
    finding(path, number, f"product code includes {header}; only tests may include test fixtures")
    return
  rank = RANKS.get(os.path.dirname(path))
  header_rank = RANKS.get(os.path.dirname(header))
  if rank is not None and header_rank is not None and header_rank > rank:
    finding(path, number, f"{os.path.dirname(path)} includes {header}, which is in a higher layer")


def check_file(path):
  folder = os.path.dirname(path)
  if path.startswith(PRODUCT) and folder not in RANKS:
    finding(path, 1, f"{folder} is in no layer; LAYERS in tools/lint_layers.py needs a row for it")
  for number, header in includes(path):
    if is_product(path):
      check_layer(path, number, header)
    elif folder == "testing/harness" and header.startswith(PRODUCT):
      finding(path, number, f"testing/harness includes {header}; it must not need product code")
    elif folder == "testing/fixtures" and NOT_PRODUCT.search(header):
      finding(path, number, f"testing/fixtures includes {header}; it must not need the fixture of a test")


def closure(header):
  """Returns the ringlog headers that a header includes, directly or through others, itself among them."""
  found = {header}
  waiting = [header]
  while waiting:
    path = waiting.pop()
    for number, included in includes(path):
      if included in found:
        continue
      found.add(included)
      if os.path.exists(included):
        waiting.append(included)
      else:
        finding(path, number, f"{included} does not exist")
  return sorted(found)


def check_public_headers():
  headers = closure(PUBLIC_HEADER)
  print(f"{PUBLIC_HEADER} needs {len(headers)} headers of at most {MAX_PUBLIC_HEADERS}:", file=sys.stderr)
  for header in headers:
    print(f"  {header}", file=sys.stderr)
    if "/internal/" in header:
      finding(PUBLIC_HEADER, 1, f"the public interface includes {header}, which is internal")
  if len(headers) > MAX_PUBLIC_HEADERS:
    finding(PUBLIC_HEADER, 1, f"the public interface needs {len(headers)} headers; {MAX_PUBLIC_HEADERS} are allowed")


def main(paths):
  for path in paths:
    if path.endswith((".h", ".cc")):
      check_file(path)
  check_public_headers()


main(sys.argv[1:])
