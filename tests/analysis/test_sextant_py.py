"""Run by test_sextant_py.sh in the folder that it made."""

import json
import os
import subprocess
import sys
import time

import numpy as np

program, folder = sys.argv[1:]
sys.path.insert(0, folder)
sys.dont_write_bytecode = True
import sextant

passed = failed = 0


def check(good, *what):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("FAILED:", *what)


def ls(*arguments):
    return subprocess.run([program, "ls", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def same(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def check_against_ls(path, run):
    """Every dataset: shape, axes, units, and each value as it is printed."""
    for item in json.loads(ls("--json", path))["datasets"]:
        group, name = item["path"].split("/")[1:]
        a = run[group][name]
        dims = list(item["dims"])
        check(list(a.shape) == dims, item["path"], a.shape, dims)
        check(list(a.dims) == item["axes"] or a.dims == (name,), item["path"], a.dims, item["axes"])
        check((a.units, a.long_name) == (item["units"], item["long_name"]), item["path"], a.units)
        check([len(a.coords[d]) for d in a.dims] == dims, item["path"], "coordinates")
        if group == "meta" or a.values.size > 200000:
            continue
        lines = [line.split("\t")[-1] for line in ls(path, item["path"]).splitlines()[1:]]
        if a.dtype == object or "flag_meanings" in a.attrs:
            mine = (a.words if "flag_meanings" in a.attrs else a.values).ravel().tolist()
            check(mine == lines, item["path"], mine[:3], lines[:3])
        else:
            there = np.array(lines, np.float64).astype(a.dtype)
            check(same(a.values.ravel(), there), item["path"], "values")


def check_prefix(run, whole):
    """What a killed run has is what the whole run has at the same (step, phase), none twice."""
    clock = ("wall_time", "tokens_per_s", "path")
    for group in ("train", "stats", "ac", "rope", "attn", "checkpoints"):
        axis = {"attn": "sample", "checkpoints": "ckpt"}.get(group, "step")
        for name in run[group].keys():
            mine, theirs = run[group][name], whole[group][name]
            n = len(mine) if axis in mine.dims else None
            check(n is None or 0 < n <= len(theirs), group, name, n)
            check(name in clock or same(mine.values, theirs.values[:n]), group, name, "differs")


whole = sextant.open("whole")
check(whole.attrs["status"] == "complete", whole.attrs)
check_against_ls("whole", whole)
check_against_ls("trace.h5", sextant.open("trace.h5"))

entropy = whole.stats.entropy
check(entropy.dims == ("step", "sequence", "layer", "head") and entropy.units == "nat", repr(entropy))
one = entropy.sel(layer=1, head=0)
check(one.dims == ("step", "sequence") and same(one.values, entropy.values[:, :, 1, 0]), "sel")
check(entropy.sel(step=150).shape[0] == 2, "two records at the drop")
check(np.allclose(one.mean_over("sequence"), np.mean(one, axis=1)), "mean")
check(whole.ac.value.sel(c="previous").dims == entropy.dims, "sel by a word")
check(whole.stats.phase.sel(step=150).words.tolist() == ["pretrain", "recalibration"], "words")
check("entropy" in dir(whole.stats) and "stats" in dir(whole), "dir")
for bad in (lambda: entropy.sel(layer=7), lambda: entropy.sel(lair=0), lambda: whole.stats.entropie,
            lambda: whole.nothing, lambda: entropy.words, lambda: sextant.open("none"),
            lambda: sextant.open("text.txt")):
    try:
        bad()
        check(False, "no exception")
    except (KeyError, AttributeError, TypeError, OSError) as e:
        check(str(e), "no message")

once, twice = sextant.open("once"), sextant.open("twice")
check(once.attrs["status"] == "running", "a killed run's file is as the kill left it")
check_against_ls("once", once)
check_prefix(once, whole)
check(len(twice._files) == 2, "two segments")
check_prefix(twice, whole)
# one that came after the drop, and the first attempt's records before the second began
check(twice.stats.step.values.max() > 150 and twice.stats.step.values.min() == 0, twice.stats.step.values)
check_prefix(sextant.open("sealed"), whole)
check(len(sextant.open("sealed").train.step) == len(whole.train.step), "sealed")

live = subprocess.Popen([program, "train", "tiny.yaml", "-o", "live", "-q", "train.steps=20000", "train.drop_at=none",
                         "probe.every=500"])
while live.poll() is None and not os.path.exists("live/live/seg-0000.h5"):
    time.sleep(0.01)
counts = []
for run in sextant.open("live").follow(every=0.05, patience=60):
    n = len(run.train.step)
    counts.append(n)
    check(run.train.step.values.tolist() == list(range(1, n + 1)), "live steps")
    check(np.isfinite(run.train.loss).all(), "live losses")
    if len(counts) == 4:
        live.terminate()  # ends as an interrupted run, and follow() with it
check(counts == sorted(set(counts)) and len(counts) >= 4, counts)
check(run.attrs["status"] == "interrupted", run.attrs["status"])
check(live.wait() == 75, "the live run ends with", live.returncode)

try:
    import pandas
    import xarray

    x = whole.to_xarray("stats")
    check(x.entropy.dims == entropy.dims and x.entropy.attrs["units"] == "nat", "xarray")
    check(same(x.entropy.isel(layer=1, head=0).values, one.values), "xarray values")
    frame = whole.to_pandas("train")
    check(len(frame) == len(whole.train.step) and frame.phase.iloc[-1] == "recalibration", "pandas")
    check(len(x.entropy.to_dataframe()) == entropy.values.size, "long table")
except ImportError as e:
    print("skipped: to_xarray, to_pandas (%s)" % e)

out = subprocess.run([sys.executable, sextant.__file__, "whole"], stdout=subprocess.PIPE, text=True)
check(out.returncode == 0 and "/stats/entropy" in out.stdout, "summary")
print("test_sextant_py: %d passed, %d failed" % (passed, failed))
sys.exit(failed > 0)
