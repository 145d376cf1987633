#!/bin/bash
# Makes a private Bazel, unless there is one already, and prints its path.
#
#     tools/bazelw_debian.sh
#
# For Debian machines without Bazel whose only network access is a package mirror. Debian's stable
# release has no Bazel, its testing release has one. This script unpacks (does not install) the
# packages of testing into a separate directory and makes them run there with their own C library.
# The sources of Abseil, GoogleTest, Benchmark and zstd come from the same mirror, and Bazel takes
# every module from that directory. This Bazel therefore works without network, and only for the
# needs of ringlog and its users on such a machine.
#
# The directory is bazel-$revision in $BAZELW_CACHE, by default
# ${XDG_CACHE_HOME:-$HOME/.cache}/ringlog. The script writes nothing outside of it and does not need
# root. To start over, delete the directory.
#
# Trust. Before the script prints a path, and at each run, it checks that no other user but root can
# have changed a file in the directory, or can put another directory in its place.
#   pinned   the release $suite; its archive keys, by the keyring of the machine, which must be there:
#            apt refuses lists and packages that are not signed by one of them
#   moves    the versions of all packages and sources, which are those that $suite has at the first
#            run; the script knows no checksum of them
#   trusted  the sources of apt as to where files come from, not as to what is in them; CC and PATH
set -euo pipefail
export LC_ALL=C
umask 077

revision=2    # Increase it when the result of this script changes: old and new directories can coexist.
suite=forky   # the oldest Debian release with Bazel 7

say() { printf 'bazelw: %s\n' "$*" >&2; }
die() { say "error: $1"; shift; [ $# = 0 ] || say "$@"; exit 1; }

# ---- Checks. Every cause of failure that can be known is reported before any work.

if [ -z "${CC-}" ] && ! command -v g++ >/dev/null && ! command -v clang++ >/dev/null; then
  die "find a C++ compiler: none in PATH" "install one: apt-get install g++"
fi
if [ -z "${BAZELW_CACHE-}" ]; then
  [ -n "${XDG_CACHE_HOME:-${HOME-}}" ] || die "find the cache directory: HOME is not set" "set HOME, or BAZELW_CACHE to a directory with 400 MB"
  BAZELW_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/ringlog
fi
prefix=$BAZELW_CACHE/bazel-$revision
bazel=$prefix/bin/bazel
stamp=$prefix/complete
instead="install bazelisk or Bazel 7.4 or later"
elsewhere="set BAZELW_CACHE to a directory with 400 MB that is not in /tmp"
check_letters() {
  case $1 in
    [!/]* | *[!A-Za-z0-9_./+@~-]* | */../* | */..)
      die "use $1: not an absolute path without .. of letters, digits and _./+@~-" "$elsewhere" ;;
  esac
}
check_letters "$prefix"
mkdir -p "$prefix" 2>/dev/null || die "write to $prefix: not permitted" "$elsewhere"

me=$(id -u)
# Prints the path and each directory above it.
with_parents() {
  local path=$1
  while [ "$path" != / ] && [ -n "$path" ]; do echo "$path"; path=$(dirname "$path"); done
  echo /
}
# Checks that no other user can replace a part of the path: each part belongs to root or to this user;
# if others may write to it, it is sticky, or a symlink.
check_path() {
  local parts owner mode path
  check_letters "$1"
  parts=$(with_parents "$1" | xargs stat -c '%u %A %n') || die "check $1: stat failed" "$elsewhere"
  while read -r owner mode path; do
    if [ "$owner" != 0 ] && [ "$owner" != "$me" ]; then
      die "use $prefix: $path belongs to user $owner, and not to user $me or root" "$elsewhere"
    fi
    case $mode in
      l*) ;;
      d????????[tT]) [ "$path" != "$1" ] || die "use $prefix: $path has mode $mode" "$elsewhere" ;;
      ?????w* | ????????w*) die "use $prefix: $path has mode $mode, so others may write to it" "chmod go-w $path" ;;
    esac
  done <<< "$parts"
}
# Checks the same for each file in the directory $1.
check_files() {
  local other
  other=$(find "$1" \( ! -uid "$me" ! -uid 0 -o ! -type l -perm /022 \) -print -quit)
  [ -z "$other" ] || die "use $prefix: another user may have changed $other" \
    "delete $prefix and run this again"
}
real=$(readlink -f "$prefix")
check_path "$prefix"
check_path "$real"
check_files "$real"

ready() { [ -e "$stamp" ] && [ -x "$bazel" ]; }
if ready; then echo "$bazel"; exit 0; fi
: > "$prefix/lock" || die "write to $prefix: not permitted" "$elsewhere"
# Bazel's sandbox gives each action a private /tmp, without the files of this Bazel.
case $real/ in /tmp/* | /var/tmp/*) die "use $prefix: it is in a temporary directory" "$elsewhere" ;; esac
for tool in apt-get apt-config dpkg dpkg-deb tar gzip flock find awk; do
  command -v $tool >/dev/null || die "find $tool: not in PATH" "every Debian system has it: install it, or $instead"
done
# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "${ID-} ${VERSION_CODENAME-}")
case $release in
  'debian bookworm') ;;
  debian*) say "only tested on Debian 12 (bookworm); continuing" ;;
  *) die "read /etc/os-release: not a Debian system" "$instead" ;;
esac

# ---- One run at a time. Children also hold the lock: if this script is killed, the next run waits
# for its apt-get.

exec 9> "$prefix/lock"
if ! flock -n 9; then say "waiting for another run to finish"; flock 9; fi
if ready; then echo "$bazel"; exit 0; fi
trap 'say "error at line $LINENO: $BASH_COMMAND"; say "run it again; if it fails again, $instead"' ERR

[ "$(df -Pk "$prefix" | awk 'NR == 2 { print $4 }')" -gt 700000 ] ||
  die "write to $prefix: less than 700 MB free" "free some, or $elsewhere"

# A run that was interrupted left no stamp. Deletes its files.
find "$prefix" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} +
apt=$prefix/apt root=$prefix/root src=$prefix/src
mkdir -p "$apt"/{empty,state/lists/partial,cache/archives/partial,log} "$root" "$src" "$prefix"/{bin,classes,registry,stubs}

# ---- A private apt: the machine's mirror, proxy and keys; its own lists, cache and dpkg status; no
# hooks of the machine.

arch=$(dpkg --print-architecture)
{
  apt-config dump | grep '^Acquire::' | grep -vE '^Acquire::(IndexTargets|Languages)' || true
  cat <<CONF
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages { "none"; };
Acquire::Retries "3";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
APT::Get::AllowUnauthenticated "false";
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Log "$apt/log";
Dir::Etc::main "$apt/none";
Dir::Etc::parts "$apt/empty";
Dir::Etc::preferences "$apt/none";
Dir::Etc::preferencesparts "$apt/empty";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "$apt/empty";
CONF
} > "$apt/apt.conf"
apt_get() { APT_CONFIG=$apt/apt.conf DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" </dev/null >&2; }
: > "$apt/status"

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r $keyring ] || die "read $keyring: missing, so downloads cannot be checked" "apt-get install debian-archive-keyring"
signed="[signed-by=$keyring]"
# Without --no-release-info, apt-get prints nothing on a machine that never ran apt-get update.
# shellcheck disable=SC2016
mirrors=$(apt-get indextargets --no-release-info --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
  awk '$2 == "main" && $1 !~ /[-\/]/ && !seen[$3]++ { print $3 }')
[ -n "$mirrors" ] || die "read the sources of apt: no Debian release" "see man sources.list"
updated=
for mirror in $mirrors; do
  printf '%s\n' "deb $signed $mirror $suite main" "deb-src $signed $mirror $suite main" > "$apt/sources.list"
  say "reading the package lists of $suite"
  if apt_get -o APT::Update::Error-Mode=any update; then updated=1; break; fi
done
[ -n "$updated" ] || die "fetch the package lists of $suite: apt-get update failed" "check the network and the mirror in /etc/apt/sources.list*"

# ---- Packages. apt computes the dependencies itself, from a dpkg status written here. The status
# lists large packages as installed that Bazel depends on and a C++ build does not use; of 700 MB,
# 150 MB remain. A name that the suite no longer has does no harm.

jre=
for p in openjdk-21-jre-headless openjdk-25-jre-headless default-jre-headless; do
  if APT_CONFIG=$apt/apt.conf apt-cache show $p >/dev/null 2>&1; then jre=$p; break; fi
done
wanted="bazel-bootstrap bazel-rules-shell patchelf xz-utils ${jre:-default-jre-headless}"
unneeded="build-essential ca-certificates-java default-jdk-headless libeclipse-jdt-core-compiler-batch-java
  libeclipse-jdt-core-java libhttpclient-java libjgit-java libmaven3-core-java libnss3 libprotoc32t64 libssl3t64 python3
  util-linux zlib1g-dev"
for p in $unneeded; do
  printf '%s\n' "Package: $p" "Status: install ok installed" "Maintainer: none" "Architecture: $arch" \
    "Multi-Arch: allowed" "Version: 99999:0" "Description: none" ""
done > "$apt/status"
# shellcheck disable=SC2086 # lists
if ! apt_get -s install $wanted >/dev/null 2>&1; then
  say "$suite has changed; fetching all dependencies of its Bazel"
  : > "$apt/status"
fi
say "fetching 150 MB"
# shellcheck disable=SC2086
apt_get -y --download-only install $wanted ||
  die "fetch the packages of $suite: apt-get failed" "try again later, or $instead"
(cd "$src" && apt_get source --download-only --tar-only abseil googletest benchmark libzstd) ||
  die "fetch the sources of $suite: apt-get failed" "try again later, or $instead"

say "unpacking"
for deb in "$apt"/cache/archives/*.deb; do dpkg-deb -x "$deb" "$root"; done
chmod -R u+rw,go-w,u-s,g-s "$root"
rm -rf "$apt/cache" "$apt/state" "$root"/usr/share/{doc,man,maven-repo}

# ---- Relocation.

share=$root/usr/share/bazel
loader=$(readlink -f "$root"/usr/lib/*/ld-linux*.so.*)
libs=$(dirname "$loader")
java=$(find "$root/usr/lib/jvm" -mindepth 1 -maxdepth 1 -type d -name 'java-*-openjdk-*')
for f in "$root/usr/bin/bazel" "$loader" "$java/bin/java"; do
  [ -x "$f" ] || die "find $f: not in the packages of $suite" "$instead"
done

find "$root" -type l -lname '/*' | while IFS= read -r link; do
  target=$root$(readlink "$link")
  if [ -e "$target" ]; then ln -sfn "$target" "$link"; fi
done

run() { local program=$1; shift; "$loader" --library-path "$libs" "$root/usr/bin/$program" "$@"; }
find "$root/usr/bin/bazel" "$root/usr/libexec" "$java/bin" "$java/lib/jspawnhelper" "$share/embedded_tools" \
  -type f -perm /111 | while IFS= read -r f; do
  run patchelf --print-interpreter "$f" >/dev/null 2>&1 || continue   # not a program
  rpath=$(run patchelf --print-rpath "$f")
  run patchelf --set-interpreter "$loader" --force-rpath --set-rpath "${rpath:+$rpath:}$libs" "$f"
done

# Debian's build has the label "development version", which rule sets consider newer than all
# releases. This resource sets the real version.
echo "build.label=$(tr -d '[:space:]' < "$share/build-label.txt")" > "$prefix/classes/build-data.properties"
jars=$share/bazel_classpath_debian_depends.txt
{
  while IFS= read -r jar; do [ ! -e "$root$jar" ] || readlink -f "$root$jar"; done < "$jars"
  find "$root/usr/share/java" -name '*.jar' -type f | sort   # includes the jars that manifests refer to
  echo "$prefix/classes"
} | awk '!seen[$0]++' > "$jars.new"
mv "$jars.new" "$jars"

# ---- Modules.

unpack() { # DIRECTORY SOURCE-PACKAGE
  local tarball
  tarball=$(echo "$src/$2"_*.orig.tar.*)
  mkdir "$src/$1"
  case $tarball in *.xz) run xz -dc "$tarball" ;; *) gzip -dc "$tarball" ;; esac | tar -x --no-same-owner --no-same-permissions --strip-components=1 -C "$src/$1"
  rm "$tarball"
}
unpack abseil-cpp abseil
unpack googletest googletest
unpack google_benchmark benchmark
unpack zstd libzstd
printf '%s\n' 'module(name = "zstd")' 'bazel_dep(name = "rules_cc", version = "0")' > "$src/zstd/MODULE.bazel"
cp "$(dirname "$(readlink -f "$0")")/../compress/zstd.BUILD" "$src/zstd/BUILD.bazel"
: > "$src/zstd/WORKSPACE"

# Two symbols that Abseil and newer WORKSPACE files need and that Debian's rules_cc 0.0.11 does not
# have.
grep -q '"emscripten"' "$share/rules/cc/cc/compiler/BUILD" || cat >> "$share/rules/cc/cc/compiler/BUILD" <<'BUILD'

config_setting(
    name = "emscripten",
    flag_values = {"@bazel_tools//tools/cpp:compiler": "emscripten"},
)
BUILD
grep -q compatibility_proxy_repo "$share/rules/cc/cc/extensions.bzl" ||
  printf '\ndef compatibility_proxy_repo():\n    pass\n' >> "$share/rules/cc/cc/extensions.bzl"

modules="
  abseil-cpp=$src/abseil-cpp
  googletest=$src/googletest
  google_benchmark=$src/google_benchmark
  zstd=$src/zstd
  platforms=$share/tools/platforms
  bazel_skylib=$share/tools/skylib
  bazel_features=$share/tools/features
  rules_cc=$share/rules/cc
  rules_java=$share/rules/java
  rules_license=$share/rules/license
  rules_proto=$share/rules/proto
  rules_python=$share/rules/python
  rules_shell=$share/rules/shell"
named() { tr '\n' ' ' < "$1" | grep -oE 'bazel_dep\( *name = "[^"]+"' | cut -d'"' -f2; }

# Modules that those depend on and that are not used here become empty modules, with targets for
# `bazel query`.
for name in $(for m in $modules; do f=${m#*=}/MODULE.bazel; [ ! -e "$f" ] || named "$f"; done; named "$share/embedded_tools/MODULE.bazel"); do
  stub=$prefix/stubs/$name
  case $modules in *" $name="*) continue ;; esac
  [ ! -e "$stub" ] || continue
  mkdir "$stub"
  echo "module(name = \"$name\")" > "$stub/MODULE.bazel"
  : > "$stub/WORKSPACE"
  : > "$stub/BUILD.bazel"
  modules="$modules $name=$stub"
done
library() { # PACKAGE-DIRECTORY NAME
  mkdir -p "$prefix/stubs/$1"
  echo "cc_library(name = \"$2\", visibility = [\"//visibility:public\"])" > "$prefix/stubs/$1/BUILD.bazel"
}
library re2 re2
library libpfm libpfm
library zlib zlib
for p in fdio syslog zx; do library fuchsia_sdk/pkg/$p $p; done

# Bazel rejects --override_module of a module outside the dependency graph, and each project has
# another graph. Bazel's own tools module is in every graph, so it depends on all of them.
already=" $(named "$share/embedded_tools/MODULE.bazel" | tr '\n' ' ')"
{
  echo "common --registry=file://$prefix/registry --lockfile_mode=off"
  for m in $modules; do
    echo "common --override_module=$m --override_repository=$m"
    case $already in
      *" ${m%%=*} "*) ;;
      *) printf '\nbazel_dep(name = "%s", version = "0")\n' "${m%%=*}" >> "$share/embedded_tools/MODULE.bazel" ;;
    esac
  done
} > "$prefix/offline.bazelrc"
# clang 14 cannot parse some of Abseil's headers on their own, and Abseil enables that check.
echo 'common --repo_env=CC=clang --features=-parse_headers' > "$prefix/clang.bazelrc"

cat > "$bazel" <<SH
#!/bin/sh
command -v g++ >/dev/null || [ -n "\${CC-}" ] || set -- --bazelrc=$prefix/clang.bazelrc "\$@"
exec $root/usr/bin/bazel --nosystem_rc --install_base=$share --trust_install_base --server_javabase=$java \\
  --bazelrc=$prefix/offline.bazelrc "\$@"
SH
chmod +x "$bazel"
version=$("$bazel" --version) || die "run $bazel: it failed" "$instead"
: > "$stamp"
say "ready: $version in $prefix"
echo "$bazel"
