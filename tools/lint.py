"""Rules for BUILD files and for the form of sources; for tools/lint.sh.

Usage: lint.py FILE...
"""

import ast
import re
import sys

MAX_LINES = 400
MAX_TEST_LINES = 450  # tables of cases
# Packages that users load: a load from a repository that only our own tests have would break their build.
PACKAGES_OF_USERS = ("ring", "compress", "logsink", "tools")
BINARY = ("testing/fuzz/corpus/", "testing/golden/")
SERVER = "testing/consumer/app/server.cc"
LAYER = ["//:__subpackages__"]
PUBLIC = ["//visibility:public"]
SECTIONS = ["# Public targets", "# Internal targets", "# Tests"]
# Paths of one machine, and host names of package mirrors.
PATHS = re.compile(r"/(home|root|work|Users)/\w|\b(deb|snapshot|security)\.debian\.org|\bmirrors?\.\w+\.\w+")


def finding(path, line, message):
  print(f"{path}:{line}: error: {message}")


def attribute(call, name):
  return next((k.value for k in call.keywords if k.arg == name), None)


def strings(node):
  return [e.value for e in node.elts if isinstance(e, ast.Constant)] if isinstance(node, ast.List) else []


def dep_order(label):
  """The order of buildifier: labels of the package, then of this repository, then of others."""
  return (0 if label.startswith(":") else 1 if label.startswith("//") else 2, label.replace(":", "!"))


def check_library(path, package, name, call):
  prefix = attribute(call, "include_prefix")
  if prefix is None or prefix.value != f"ringlog/{package}":
    finding(path, call.lineno, f'{name}: include_prefix must be "ringlog/{package}"')


def check_rule(path, package, call):
  kind, line, name = call.func.id, call.lineno, attribute(call, "name").value
  for bad in ("copts", "linkopts", "includes", "defines", "local_defines"):
    if attribute(call, bad) is not None:
      finding(path, line, f"{name}: no {bad} in a rule; flags belong in .bazelrc")
  for list_name in ("deps", "srcs", "hdrs", "data", "visibility"):
    value = attribute(call, list_name)
    if value is not None and not isinstance(value, ast.List):
      finding(path, value.lineno, f"{name}: {list_name} must be a plain list without glob and select")
    labels = strings(value)
    if labels != sorted(labels, key=dep_order):
      finding(path, value.lineno, f"{name}: {list_name} must be sorted: {sorted(labels, key=dep_order)}")
    if len(labels) != len(set(labels)):
      finding(path, value.lineno, f"{name}: {list_name} names something twice")
  if kind == "cc_library":
    check_library(path, package, name, call)
  elif not {f"{name}.cc", f"{name.removesuffix('_test')}.cc"} & set(strings(attribute(call, "srcs"))):
    finding(path, line, f'{name}: its srcs must contain "{name}.cc"')
  if kind == "cc_test" and attribute(call, "size") is None:
    finding(path, line, f"{name}: a test must state its size")


def section_of(lines, call):
  """The number of the section header above a rule: 0 if there is none."""
  above = [line for line in lines[:call.lineno - 1] if line in SECTIONS]
  return SECTIONS.index(above[-1]) + 1 if above else 0


def check_sections(path, text, calls):
  """Sections come in one order, rules in a section by name; a public target states its reason."""
  lines = text.split("\n")
  previous = (0, "")
  for call in calls:
    if attribute(call, "name") is None or call.func.id == "package":
      continue
    name = attribute(call, "name").value
    here = (section_of(lines, call), name)
    if here < previous:
      finding(path, call.lineno, f"{name}: rules must be sorted by section, then by name")
    previous = here
    visibility = strings(attribute(call, "visibility"))
    if visibility and visibility != PUBLIC:
      finding(path, call.lineno, f"{name}: only a public target has a visibility of its own, not {visibility}")
    if visibility and (here[0] != 1 or not lines[call.lineno - 2].startswith("# ")):
      finding(path, call.lineno, f"{name}: a public target is in the first section, and a comment above it states its reason")


def check_build(path, text):
  package = path.rsplit("/", 1)[0] if "/" in path else ""
  calls = [n.value for n in ast.parse(text).body if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call)]
  rules = [c for c in calls if c.func.id.startswith("cc_")]
  header = next((c for c in calls if c.func.id == "package"), None)
  if rules:
    if header is None or strings(attribute(header, "default_visibility")) != LAYER:
      finding(path, header.lineno if header else 1, f"package(): default_visibility must be {LAYER}")
    if header is not None and attribute(header, "features") is not None:
      finding(path, header.lineno, "package(): no features; --config=clang sets them")
  for rule in rules:
    check_rule(path, package, rule)
  check_sections(path, text, calls)
  used = {c.func.id for c in calls}
  for load in (c for c in calls if c.func.id == "load"):
    repository = load.args[0].value.split("//")[0]
    if package.split("/")[0] in PACKAGES_OF_USERS and repository != "@rules_cc":
      finding(path, load.lineno, f"packages that users load must take rules from @rules_cc only, not {load.args[0].value}")
    for symbol in (a.value for a in load.args[1:]):
      if symbol not in used:
        finding(path, load.lineno, f"{symbol} is loaded and not used")


def check_line(path, number, line, is_code):
  if is_code and len(line) > 80:
    finding(path, number, f"{len(line)} columns; at most 80 are allowed")
  if is_code and "\t" in line:
    finding(path, number, "a tab; use blanks")
  if line != line.rstrip():
    finding(path, number, "blanks at the end of the line")
  if path == "tools/lint.py":
    return
  if re.search(r"\b(TODO|FIXME|XXX)\b", line):
    finding(path, number, "unfinished work; finish it, or state the limit in the README")
  if PATHS.search(line):
    finding(path, number, f"a path or host of one machine: {PATHS.search(line).group()}")


def check_code(path, text):
  """What clang-tidy also finds, but in a hundred times the time: it looks for it in every header of every library."""
  for number, line in enumerate(text.split("\n"), 1):
    code = line.split("//")[0]
    if re.match(r"\s*typedef\b", code):
      finding(path, number, "typedef; write using NAME = TYPE")
    if re.search(r"\.find\([^(),]+\) [=!]= (absl::|std::)?\w+::npos", code):
      finding(path, number, "find() compared with npos; use absl::StrContains()")
    used = re.match(r"\s*using (?:::)?(?:\w+::)+(\w+);", code)
    if used and len(re.findall(rf"\b{used.group(1)}\b", re.sub(r"//.*", "", text))) < 2:
      finding(path, number, f"{used.group(1)} is not used; delete the using-declaration")


def check_text(path, text):
  is_code = path.endswith((".cc", ".h"))
  lines = text.split("\n")
  limit = MAX_TEST_LINES if path.endswith("_test.cc") else MAX_LINES
  if is_code and len(lines) - 1 > limit:
    finding(path, len(lines) - 1, f"{len(lines) - 1} lines; at most {limit} are allowed; reconsider the design")
  for number, line in enumerate(lines, 1):
    check_line(path, number, line, is_code)
  if is_code:
    check_code(path, text)
  if not text.endswith("\n") or text.endswith("\n\n"):
    finding(path, len(lines), "a file must end with exactly one line break")


def check_readme(text):
  with open(SERVER, encoding="utf-8") as file:
    if f"```cpp\n{file.read()}```" not in text:
      line = text[:text.find("```cpp")].count("\n") + 1
      finding("README.md", line, f"the program must equal {SERVER}, which is compiled")


def main(paths):
  for path in paths:
    with open(path, "rb") as file:
      content = file.read()
    if path.startswith(BINARY):
      continue
    text = content.decode("utf-8")
    check_text(path, text)
    if path == "README.md":
      check_readme(text)
    if path.endswith("BUILD.bazel") and not path.startswith("testing/consumer/"):
      check_build(path, text)


main(sys.argv[1:])
