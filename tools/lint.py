"""What BUILD files and sources have to keep to; for tools/lint.sh.

Usage: lint.py FILE...
"""

import ast
import re
import sys

MAX_LINES = 400
LIBRARY_PACKAGES = ("ring", "compress", "logsink")
# A machine's own paths, and names of package mirrors.
PATHS = re.compile(r"/(home|root|work|Users)/\w|deb\.debian\.org|\bmirror\.\w+\.\w+")
RULES = ("cc_library", "cc_binary", "cc_test")


def finding(path, line, what):
  print(f"{path}:{line}: error: {what}")


def attribute(call, name):
  for keyword in call.keywords:
    if keyword.arg == name:
      return keyword.value
  return None


def strings(node):
  return [e.value for e in node.elts if isinstance(e, ast.Constant)] if isinstance(node, ast.List) else []


def dep_order(label):
  """Local ones first, then ours, then others', as buildifier sorts them."""
  return (0 if label.startswith(":") else 1 if label.startswith("//") else 2, label.replace(":", "!"))


def check_rule(path, package, call):
  kind, line = call.func.id, call.lineno
  name = attribute(call, "name").value
  for bad in ("copts", "linkopts", "includes", "defines"):
    if attribute(call, bad) is not None:
      finding(path, line, f"{name}: no {bad} in a rule; flags belong in .bazelrc")
  for list_name in ("deps", "srcs", "hdrs", "data", "visibility"):
    values = attribute(call, list_name)
    if isinstance(values, ast.Call):
      finding(path, line, f"{name}: {list_name} has to be a list, not {values.func.id}()")
    labels = strings(values)
    if labels != sorted(labels, key=dep_order):
      finding(path, line, f"{name}: {list_name} has to be sorted: {sorted(labels, key=dep_order)}")
    if len(labels) != len(set(labels)):
      finding(path, line, f"{name}: {list_name} names something twice")
  if kind == "cc_test" and attribute(call, "size") is None:
    finding(path, line, f"{name}: a test says its size")
  if kind == "cc_library":
    prefix = attribute(call, "include_prefix")
    if prefix is None or prefix.value != f"ringlog/{package}":
      finding(path, line, f'{name}: include_prefix has to be "ringlog/{package}"')
    headers = strings(attribute(call, "hdrs"))
    # The front door carries the package's name.
    if name != package and f"{name}.h" not in headers:
      finding(path, line, f"{name}: a library is named like its header, not {headers}")
    if len(headers) != 1:
      finding(path, line, f"{name}: one header a library, not {headers}")


def check_build(path, text):
  package = path.rsplit("/", 1)[0] if "/" in path else ""
  tree = ast.parse(text)
  calls = [n.value for n in tree.body if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call)]
  packages = [c for c in calls if c.func.id == "package"]
  if any(c.func.id in RULES for c in calls):
    visibility = attribute(packages[0], "default_visibility") if packages else None
    if strings(visibility) != ["//visibility:private"]:
      finding(path, 1, 'default_visibility has to be ["//visibility:private"]')
    features = strings(attribute(packages[0], "features")) if packages else []
    if features != ["layering_check", "parse_headers"]:
      finding(path, 1, 'features have to be ["layering_check", "parse_headers"]')
  names = []
  for call in calls:
    if call.func.id == "load" and package in LIBRARY_PACKAGES and not call.args[0].value.startswith("@rules_cc//"):
      finding(path, call.lineno, f"a library package loads from @rules_cc only, not {call.args[0].value}")
    if call.func.id in RULES:
      names.append(attribute(call, "name").value)
      check_rule(path, package, call)
  loaded = [a.value for c in calls if c.func.id == "load" for a in c.args[1:]]
  used = {c.func.id for c in calls}
  for symbol in loaded:
    if symbol not in used:
      finding(path, 1, f"{symbol} is loaded and not used")


def check_text(path, text):
  is_code = path.endswith((".cc", ".h"))
  lines = text.split("\n")
  if is_code and len(lines) - 1 > MAX_LINES:
    finding(path, len(lines), f"{len(lines) - 1} lines; more than {MAX_LINES} want another look at the design")
  for number, line in enumerate(lines, 1):
    if is_code and len(line) > 80:
      finding(path, number, f"{len(line)} columns; 80 are allowed")
    if not path.startswith("tools/lint.") and re.search(r"\b(TODO|FIXME|XXX)\b", line):
      finding(path, number, "something is left to do here")
    if path != "tools/lint.py" and PATHS.search(line):
      finding(path, number, f"a path or host of one machine: {PATHS.search(line).group()}")
    if line != line.rstrip():
      finding(path, number, "blanks at the end of the line")
    if is_code and "\t" in line:
      finding(path, number, "a tab")
  if not text.endswith("\n") or text.endswith("\n\n"):
    finding(path, len(lines), "a file ends with one line break")


def main(paths):
  for path in paths:
    with open(path, encoding="utf-8") as file:
      text = file.read()
    check_text(path, text)
    if path.endswith("BUILD.bazel") and not path.startswith("testing/consumer/"):
      check_build(path, text)


main(sys.argv[1:])
