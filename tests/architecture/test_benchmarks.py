"""Every benchmark can be started; what it measures is not a test's business."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PROGRAMS = sorted(path for path in BENCHMARKS.glob("*.py") if "__main__" in path.read_text())


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_every_benchmark_says_how_it_is_used(program, monkeypatch, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)  # as when it is started: they import one another
    monkeypatch.setattr("sys.argv", [str(program), "--help"])
    # Some pin threads before they import; that is their process's business, not this one's.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(program), run_name="__main__")
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out
