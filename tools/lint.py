"""What BUILD files and sources have to keep to; for tools/lint.sh.

Usage: lint.py FILE...
"""

import ast
import re
import sys

MAX_LINES = 400
MAX_TEST_LINES = 450  # tables of cases
# What users of the module load: a load from a repository that only our own tests have would break them.
PACKAGES_OF_USERS = ("ring", "compress", "logsink", "tools")
FEATURES = ["layering_check", "parse_headers"]
FOUND_OR_GOLDEN = ("testing/fuzz/corpus/", "testing/golden/")
SERVER = "testing/consumer/app/server.cc"
PRIVATE = ["//visibility:private"]
# Paths that one machine has, and names of package mirrors.
PATHS = re.compile(r"/(home|root|work|Users)/\w|\b(deb|snapshot|security)\.debian\.org|\bmirrors?\.\w+\.\w+")


def finding(path, line, what):
  print(f"{path}:{line}: error: {what}")


def attribute(call, name):
  return next((k.value for k in call.keywords if k.arg == name), None)


def strings(node):
  return [e.value for e in node.elts if isinstance(e, ast.Constant)] if isinstance(node, ast.List) else []


def dep_order(label):
  """As buildifier sorts: those of the package first, then ours, then others'."""
  return (0 if label.startswith(":") else 1 if label.startswith("//") else 2, label.replace(":", "!"))


def check_library(path, package, name, call):
  prefix = attribute(call, "include_prefix")
  if prefix is None or prefix.value != f"ringlog/{package}":
    finding(path, call.lineno, f'{name}: include_prefix has to be "ringlog/{package}"')
  headers = strings(attribute(call, "hdrs"))
  if len(headers) != 1:
    finding(path, call.lineno, f"{name}: one header a library, not {headers}")
  # The front door carries the package's name.
  if name != package and f"{name}.h" not in headers:
    finding(path, call.lineno, f'{name}: its header has to be "{name}.h", not {headers}')


def check_rule(path, package, call):
  kind, line, name = call.func.id, call.lineno, attribute(call, "name").value
  for bad in ("copts", "linkopts", "includes", "defines", "local_defines"):
    if attribute(call, bad) is not None:
      finding(path, line, f"{name}: no {bad} in a rule; flags belong in .bazelrc")
  for list_name in ("deps", "srcs", "hdrs", "data", "visibility"):
    value = attribute(call, list_name)
    if value is not None and not isinstance(value, ast.List):
      finding(path, value.lineno, f"{name}: {list_name} has to be a plain list, no glob and no select")
    labels = strings(value)
    if labels != sorted(labels, key=dep_order):
      finding(path, value.lineno, f"{name}: {list_name} has to be sorted: {sorted(labels, key=dep_order)}")
    if len(labels) != len(set(labels)):
      finding(path, value.lineno, f"{name}: {list_name} names something twice")
  if kind == "cc_library":
    check_library(path, package, name, call)
  elif not {f"{name}.cc", f"{name.removesuffix('_test')}.cc"} & set(strings(attribute(call, "srcs"))):
    finding(path, line, f'{name}: its srcs have to have "{name}.cc"')
  if kind == "cc_test" and attribute(call, "size") is None:
    finding(path, line, f"{name}: a test says its size")


def check_build(path, text):
  package = path.rsplit("/", 1)[0] if "/" in path else ""
  calls = [n.value for n in ast.parse(text).body if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call)]
  rules = [c for c in calls if c.func.id.startswith("cc_")]
  header = next((c for c in calls if c.func.id == "package"), None)
  if rules:
    for name, value in (("default_visibility", PRIVATE), ("features", FEATURES)):
      if header is None or strings(attribute(header, name)) != value:
        finding(path, header.lineno if header else 1, f"package(): {name} has to be {value}")
  for rule in rules:
    check_rule(path, package, rule)
  used = {c.func.id for c in calls}
  for load in (c for c in calls if c.func.id == "load"):
    repository = load.args[0].value.split("//")[0]
    if package in PACKAGES_OF_USERS and repository != "@rules_cc":
      finding(path, load.lineno, f"what users load takes its rules from @rules_cc only, not {load.args[0].value}")
    for symbol in (a.value for a in load.args[1:]):
      if symbol not in used:
        finding(path, load.lineno, f"{symbol} is loaded and not used")


def check_line(path, number, line, is_code):
  if is_code and len(line) > 80:
    finding(path, number, f"{len(line)} columns; 80 are allowed")
  if is_code and "\t" in line:
    finding(path, number, "a tab; blanks are wanted")
  if line != line.rstrip():
    finding(path, number, "blanks at the end of the line; none are wanted")
  if path == "tools/lint.py":
    return
  if re.search(r"\b(TODO|FIXME|XXX)\b", line):
    finding(path, number, "something is left to do here; do it, or say in the README that it is not there")
  if PATHS.search(line):
    finding(path, number, f"a path or host of one machine: {PATHS.search(line).group()}")


def check_text(path, text):
  is_code = path.endswith((".cc", ".h"))
  lines = text.split("\n")
  most = MAX_TEST_LINES if path.endswith("_test.cc") else MAX_LINES
  if is_code and len(lines) - 1 > most:
    finding(path, len(lines) - 1, f"{len(lines) - 1} lines; {most} are allowed: another look at the design")
  for number, line in enumerate(lines, 1):
    check_line(path, number, line, is_code)
  if not text.endswith("\n") or text.endswith("\n\n"):
    finding(path, len(lines), "a file ends with one line break")


def check_readme(text):
  with open(SERVER, encoding="utf-8") as file:
    if f"```cpp\n{file.read()}```" not in text:
      line = text[:text.find("```cpp")].count("\n") + 1
      finding("README.md", line, f"the program has to be {SERVER}, which is compiled")


def main(paths):
  for path in paths:
    with open(path, "rb") as file:
      content = file.read()
    if path.startswith(FOUND_OR_GOLDEN):
      continue  # they are as they are
    text = content.decode("utf-8")
    check_text(path, text)
    if path == "README.md":
      check_readme(text)
    if path.endswith("BUILD.bazel") and not path.startswith("testing/consumer/"):
      check_build(path, text)


main(sys.argv[1:])
