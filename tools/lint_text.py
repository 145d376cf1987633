"""Rules for the text of the tree: its language, and what comments and pages cite; for tools/lint.sh.

Usage: lint_text.py FILE...

Prints each finding as FILE:LINE: error: MESSAGE. CONTRIBUTING.md has the language rules.
"""

import os
import re
import subprocess
import sys

SKIPPED = ("LICENSE", "tools/lint_text.py", "testing/golden/1.0/", "testing/fuzz/corpus/")
# CONTRIBUTING.md shows sentences before and after a rewrite, marked so.
BEFORE = re.compile(r"^\s*(- )?Before: ")
LANGUAGE = (
    (re.compile(r"^\s*(//|#) (Of|That|Those|The same)\b"), "begin with a verb or a noun phrase"),
    (re.compile(r"\b([Nn]obody|[Ss]omebody|[Ww]hoever)\b"), "name the actor: a process, a thread, a reader"),
    (re.compile(r"\b[Bb]ehind\b"), 'write "after"'),
    (re.compile(r", for (it|they|the|what|that|there)\b"), 'write "because"'),
    (re.compile(r"\b[Mm]etadata (are|say)\b"), '"metadata" takes the singular and does not speak'),
    (re.compile(r"\bat the most\b"), 'write "at most"'),
    (re.compile(r"\b[Mm]end(s|ed|ing)?\b"), 'write "repair"'),
)
README_PROSE_WORDS = 1000
README_WORDS = 1500
SECTION = re.compile(r'([\w./-]+\.md)(?:,| \(| in)? "([^"]+)"')
LINK = re.compile(r"\]\(([^)#\s]+)(#[\w-]+)?\)")
FILE = re.compile(r"(?<![\w./<*$@{~:-])((?:[\w-]+/)+[\w-]+\.(?:h|cc|md|py|sh|pml|bazel|bzl))(?![\w*/])")
BASENAME = re.compile(r"(?<![\w./*-])([a-z]\w*(?:_\w+)*\.(?:h|cc|py|pml))\b")


def finding(path, line, message):
  print(f"{path}:{line}: error: {message}")


def tracked():
  return set(subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], check=True, capture_output=True,
                            text=True).stdout.split("\n"))


def headings(page):
  with open(page, encoding="utf-8") as file:
    return {line.lstrip("#").strip() for line in file if line.startswith("#")}


def prose(path, text):
  """Yields (line number, text) of what people read: comments of code, whole pages."""
  for number, line in enumerate(text.split("\n"), 1):
    if path.endswith(".md"):
      yield number, line
      continue
    mark = {".cc": "//", ".h": "//", ".pml": "/*"}.get(os.path.splitext(path)[1], "#")
    at = line.find(mark)
    if at >= 0 and (at == 0 or line[at - 1] == " "):
      yield number, line[at:]


def joined(path, text):
  """The same as one string, without the marks of comments; and the line of each character."""
  parts, lines = [], []
  for number, line in prose(path, text):
    part = (line if path.endswith(".md") else line.lstrip("/#* ")) + " "
    parts.append(part)
    lines += [number] * len(part)
  return "".join(parts), lines


def check_language(path, text):
  for number, line in enumerate(text.split("\n"), 1):
    if BEFORE.match(line):
      continue
    for pattern, advice in LANGUAGE:
      match = pattern.search(line)
      if match:
        finding(path, number, f'"{match.group().strip()}": {advice}')


def resolve(path, cited, files):
  """The tracked file that `path` cites, or None."""
  beside = os.path.normpath(os.path.join(os.path.dirname(path), cited))
  for candidate in (cited, beside, cited.removeprefix("ringlog/")):
    if candidate in files or any(f.startswith(candidate.rstrip("/") + "/") for f in files):
      return candidate
  return None


def check_citations(path, text, files):
  body, lines = joined(path, text)
  for match in SECTION.finditer(body):
    page = resolve(path, match.group(1), files)
    if page is None:
      finding(path, lines[match.start()], f"cites {match.group(1)}, which does not exist")
    elif match.group(2) not in headings(page):
      finding(path, lines[match.start()], f'cites a section "{match.group(2)}" that {page} does not have')
  if path.endswith(".md"):
    for match in LINK.finditer(body):
      if "://" not in match.group(1) and resolve(path, match.group(1), files) is None:
        finding(path, lines[match.start()], f"links to {match.group(1)}, which does not exist")
  ours = {f.split("/")[0] for f in files if "/" in f}
  for match in FILE.finditer(body):
    if match.group(1).split("/")[0] in ours | {"ringlog"} and resolve(path, match.group(1), files) is None:
      finding(path, lines[match.start()], f"names {match.group(1)}, which does not exist")
  names = {os.path.basename(f) for f in files}
  for match in () if path.endswith(".md") else BASENAME.finditer(body):
    if "_" in match.group(1) and match.group(1) not in names:
      finding(path, lines[match.start()], f"names {match.group(1)}, which does not exist")


def check_readme_length(text):
  words = len(text.split())
  without_code = re.sub(r"^(```.*?^```|    .*?$|\|.*?$)", "", text, flags=re.S | re.M)
  prose_words = len(without_code.split())
  if words > README_WORDS or prose_words > README_PROSE_WORDS:
    finding("README.md", 1, f"{words} words, {prose_words} of prose; at most {README_WORDS} and {README_PROSE_WORDS}")


def main(paths):
  files = tracked()
  for path in paths:
    if path.startswith(SKIPPED):
      continue
    with open(path, encoding="utf-8") as file:
      text = file.read()
    check_language(path, text)
    check_citations(path, text, files)
    if path == "README.md":
      check_readme_length(text)


main(sys.argv[1:])
