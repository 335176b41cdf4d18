"""Compiled kernels: the cache on disk, and CPUs with fewer features."""

import os
import platform
import subprocess
import sys

import llvmlite.binding as llvm
import numpy as np
import pytest

from ran.phy.ldpc import LdpcCode, decode, is_compiled, native, warm_up


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A cache directory of this test's own, and a process that has loaded nothing."""
    monkeypatch.setenv("RAN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(native, "_loaded", {})
    return tmp_path / "cache"


def cached_files(directory):
    return sorted(directory.glob("*"))


def test_compiles_once(empty_cache, monkeypatch):
    assert not is_compiled("float32")
    warm_up("float32")
    assert is_compiled("float32")
    (file,) = cached_files(empty_cache)
    monkeypatch.setattr(native, "_loaded", {})
    monkeypatch.setattr(native, "_compile", None)
    warm_up("float32")
    assert cached_files(empty_cache) == [file]


def test_a_torn_file_is_compiled_again(empty_cache, monkeypatch):
    warm_up()
    (file,) = cached_files(empty_cache)
    whole = file.read_bytes()
    for torn in (whole[: len(whole) // 2], b"", whole[:-1] + b"?"):
        file.write_bytes(torn)
        monkeypatch.setattr(native, "_loaded", {})
        monkeypatch.setattr(native, "_compile", lambda *_: whole[32:])
        assert not is_compiled()
        warm_up()
        assert file.read_bytes() == whole


def test_works_where_nothing_can_be_written(empty_cache):
    empty_cache.write_text("a file where the directory should be")
    assert not is_compiled()
    warm_up()
    assert is_compiled()
    assert empty_cache.read_text() == "a file where the directory should be"


def test_processes_may_race(empty_cache):
    command = [sys.executable, "-c", "from ran.phy.ldpc import warm_up; warm_up()"]
    processes = [subprocess.Popen(command, env=os.environ.copy()) for _ in range(3)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    assert len(cached_files(empty_cache)) == 1
    assert is_compiled()


def test_a_cpu_without_wide_vectors_decides_the_same(empty_cache, monkeypatch):
    code = LdpcCode(2, 36, 340)
    llr = np.random.default_rng(0).normal(1.0, 1.1, (6, code.num_coded_bits)).astype(np.float32)
    decisions = [decode(llr, code, 8, precision=precision) for precision in ("int8", "float32")]
    cpu = "x86-64" if platform.machine() == "x86_64" else "generic"
    monkeypatch.setattr(native, "_loaded", {})
    monkeypatch.setattr(llvm, "get_host_cpu_name", lambda: cpu)
    monkeypatch.setattr(llvm, "get_host_cpu_features", lambda: llvm.FeatureMap())
    native._fingerprint.cache_clear()
    native.native_vector_bytes.cache_clear()
    try:
        assert native.native_vector_bytes() == 16
        for expected, precision in zip(decisions, ("int8", "float32"), strict=True):
            decision = decode(llr, code, 8, precision=precision)
            assert np.array_equal(decision.bits, expected.bits)
            assert np.array_equal(decision.iterations, expected.iterations)
    finally:
        native._fingerprint.cache_clear()
        native.native_vector_bytes.cache_clear()
