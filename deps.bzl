"""The repositories that ringlog needs, for a user's WORKSPACE file. MODULE.bazel does not use this file."""

load("@bazel_tools//tools/build_defs/repo:http.bzl", "http_archive")
load("@bazel_tools//tools/build_defs/repo:utils.bzl", "maybe")

def ringlog_deps():
    """Defines the repositories of the libraries and the command. Does not redefine a repository."""
    maybe(
        http_archive,
        name = "rules_cc",
        # Version 0.2 and later need further loads, which a macro cannot make for its caller.
        sha256 = "b8b918a85f9144c01f6cfe0f45e4f2838c7413961a8ff23bc0c6cdf8bb07a3b6",
        strip_prefix = "rules_cc-0.1.5",
        url = "https://github.com/bazelbuild/rules_cc/releases/download/0.1.5/rules_cc-0.1.5.tar.gz",
    )
    maybe(
        http_archive,
        name = "bazel_skylib",
        sha256 = "3b5b49006181f5f8ff626ef8ddceaa95e9bb8ad294f7b5d7b11ea9f7ddaf8c59",
        url = "https://github.com/bazelbuild/bazel-skylib/releases/download/1.9.0/bazel-skylib-1.9.0.tar.gz",
    )
    maybe(
        http_archive,
        name = "abseil-cpp",
        sha256 = "6e1aee535473414164bf83e4ebc40240dec71a4701f8a642d906e95bea1aea0c",
        strip_prefix = "abseil-cpp-20260526.0",
        url = "https://github.com/abseil/abseil-cpp/releases/download/20260526.0/abseil-cpp-20260526.0.tar.gz",
    )
    maybe(
        http_archive,
        name = "zstd",
        build_file = Label("//compress:zstd.BUILD"),
        sha256 = "eb33e51f49a15e023950cd7825ca74a4a2b43db8354825ac24fc1b7ee09e6fa3",
        strip_prefix = "zstd-1.5.7",
        url = "https://github.com/facebook/zstd/releases/download/v1.5.7/zstd-1.5.7.tar.gz",
    )

def ringlog_test_deps():
    """Defines the repositories of ringlog's own tests and benchmarks, in addition to ringlog_deps()."""
    maybe(
        http_archive,
        name = "googletest",
        sha256 = "6e3191c1455468b3fc35a417fb565c1c5071aee1b7e7f85e30cf48a98d37d8b5",
        strip_prefix = "googletest-1.18.0",
        url = "https://github.com/google/googletest/releases/download/v1.18.0/googletest-1.18.0.tar.gz",
    )
    maybe(
        http_archive,
        name = "google_benchmark",
        sha256 = "32131c08ee31eeff2c8968d7e874f3cb648034377dfc32a4c377fa8796d84981",
        strip_prefix = "benchmark-1.9.1",
        url = "https://github.com/google/benchmark/archive/refs/tags/v1.9.1.tar.gz",
    )
