"""Reads Sextant's run files: sealed, still being written, or left by a killed run; and a report's
analysis.h5. One file; needs h5py and numpy. Copy it wherever you like.

    import sextant
    run = sextant.open("runs/demo")         # a run folder, or any .h5 of `sextant trace`, `eval`
    run.stats.entropy                       # .values .dims .coords .units .long_name
    run.stats.entropy.sel(layer=2, head=0).mean_over("sequence").values
    run.train.phase.words                   # flags as words
    run.to_pandas("train")                  # where pandas is there
    run.to_xarray("stats")                  # where xarray is there
    for run in run.follow():                # as it grows, for live plots
        plt.cla(); plt.plot(run.train.step, run.train.loss); plt.pause(0.1)
    report = sextant.open("report/analysis.h5")
    report.to_pandas("loss"); report.figures.loss.series.words
run.refresh() looks again. Missing values are NaN, -1 in whole numbers, "" among words."""

import glob
import os
import signal
import sys
import time

import h5py
import numpy as np

GROWING = ("step", "sample", "ckpt")  # axes along which records are added


class Array:
    """Values with names for their axes. numpy and matplotlib take it as it is."""

    def __init__(self, name, values, dims, coords, attrs):
        self.name, self.values, self.dims, self.attrs = name, values, tuple(dims), attrs
        self.coords = {d: coords[d] for d in dims if d in coords}
        self.units, self.long_name = attrs.get("units", ""), attrs.get("long_name", "")

    shape = property(lambda self: self.values.shape)
    dtype = property(lambda self: self.values.dtype)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype) if copy else np.asarray(self.values, dtype)

    def __getitem__(self, index):
        return self.values[index]

    def __len__(self):
        return len(self.values)

    def __repr__(self):
        axes = ", ".join("%s %d" % a for a in zip(self.dims, self.shape))
        return "%-24s %-8s [%s] %s: %s" % (self.name, self.dtype, axes, self.units, self.long_name)

    @property
    def words(self):
        """The words that the numbers of a flag dataset stand for."""
        if "labels" in self.attrs:
            return self.attrs["labels"][self.values]
        if "flag_meanings" not in self.attrs:
            raise TypeError("%s holds values, not flags" % self.name)
        words = dict(zip(self.attrs["flag_values"].tolist(), self.attrs["flag_meanings"].split()))
        return np.array([words.get(v, "") for v in range(256)])[self.values]

    def sel(self, **where):
        """The part at these coordinates: sel(layer=2, step=963). An axis with one match goes."""
        values, dims, coords = self.values, list(self.dims), dict(self.coords)
        for dim, label in where.items():
            if dim not in dims:
                raise KeyError("%s has the axes %s" % (self.name, ", ".join(dims)))
            at = np.flatnonzero(coords[dim] == label)
            if len(at) == 0:
                raise KeyError("%s: no %s is %r" % (self.name, dim, label))
            axis, coords[dim] = dims.index(dim), coords[dim][at]
            values = np.take(values, at if len(at) > 1 else at[0], axis)
            dims = [d for d in dims if d != dim or len(at) > 1]
        return Array(self.name, values, dims, coords, self.attrs)

    def mean_over(self, dim):
        """Mean along an axis over the values that are there."""
        values = np.nanmean(self.values, self.dims.index(dim), dtype=np.float64)
        return Array(self.name, values, [d for d in self.dims if d != dim], self.coords, self.attrs)


class Group:
    """A group of a run file; its datasets are attributes."""

    def __init__(self, run, name):
        self._parts = [f[name] if name in f else {} for f in run._files]
        if not any(self._parts):
            raise AttributeError("%s has no group %s" % (run.path, name))
        self._run, self._name, self._read = run, name, {}
        self.attrs = _attrs([p for p in self._parts if p][-1])
        self._starts = [f.attrs.get("start_step", np.inf) for f in run._files]
        self._keep = {a: self._choose(a) for a in GROWING if a in self.keys()}

    def _choose(self, axis):
        """Which records of every segment count, as when `sextant` seals them: those before any of a
        later attempt, and none beyond the step where a later attempt began."""
        step, phase = ("sample_step", "sample_phase") if axis == "sample" else ("step", "phase")
        limit, last, keep = (np.inf, 0), np.inf, []
        for part, start in zip(reversed(self._parts), reversed(self._starts)):
            n = len(part[axis]) if axis in part else 0
            columns = [part[c][:n].tolist() if c in part else [0] * n for c in (step, phase)]
            at = list(zip(*columns))
            keep.insert(0, np.array([k < limit and k[0] <= last for k in at], bool))
            limit, last = min([limit] + at), min(last, start)
        return keep

    def keys(self):
        return list(dict.fromkeys(k for p in reversed(self._parts) for k in p))

    __dir__ = keys

    def items(self):
        return [(k, self[k]) for k in self.keys()]

    def __repr__(self):
        return "\n".join(repr(a) for k, a in self.items())

    def __getattr__(self, name):
        if name.startswith("_") or name not in self.keys():
            raise AttributeError("there is no %s; there are %s" % (name, ", ".join(self.keys())))
        if name not in self._read:
            newest = [p[name] for p in self._parts if name in p][-1]
            group = isinstance(newest, h5py.Group)
            path = "%s/%s" % (self._name, name)
            self._read[name] = Group(self._run, path) if group else self._array(name, newest)
        return self._read[name]

    __getitem__ = __getattr__

    def _array(self, name, newest):
        dims = [d.label or name for d in newest.dims]
        if dims and dims[0] in self._keep:
            parts = zip(self._parts, self._keep[dims[0]])
            values = np.concatenate([_records(p, name, newest, k) for p, k in parts])
            if name == dims[0] != "step":
                values = np.arange(len(values), dtype=values.dtype)  # numbered anew
        else:
            values = (newest.asstr() if h5py.check_string_dtype(newest.dtype) else newest)[()]
        coords = {d: values if d == name else self[d].values for d in dims if d in self.keys()}
        return Array("/%s/%s" % (self._name, name), values, dims, coords, _attrs(newest))


class Run:
    """A run file, or a run folder: its run.h5 or, where that is not there, its live segments."""

    def __init__(self, path):
        self.path, self._files = os.fspath(path), []
        self.refresh()

    def refresh(self):
        """Looks again: what is read from now on is as of now."""
        self.close()
        self._files = [_open(p) for p in _locate(self.path)]
        self.attrs = _attrs(self._files[-1])
        return self

    def close(self):
        for f in self._files:
            f.close()
        self._files, self._groups = [], {}

    def keys(self):
        return list(dict.fromkeys(k for f in reversed(self._files) for k in f))

    def __dir__(self):
        return self.keys() + list(vars(self)) + list(vars(Run))

    def __getattr__(self, name):
        if name.startswith("_") or name == "attrs":
            raise AttributeError(name)
        if name not in self._groups:
            self._groups[name] = Group(self, name)
        return self._groups[name]

    __getitem__ = __getattr__

    def __repr__(self):
        return "%s: %s" % (self.path, self.attrs.get("status"))

    def to_pandas(self, group):
        """A DataFrame of what runs along the growing axis, or a table's rows, alone; flags as words."""
        import pandas
        columns = {k: a for k, a in self[group].items() if a.dims in [(g,) for g in GROWING + ("row",)]}
        text = lambda a: a.words if {"flag_meanings", "labels"} & a.attrs.keys() else a.values
        return pandas.DataFrame({k: text(a) for k, a in columns.items()})

    def to_xarray(self, group):
        import xarray
        data = {k: (a.dims, a.values, a.attrs) for k, a in self[group].items()}
        return xarray.Dataset(data, attrs=self[group].attrs)

    def follow(self, group="train", every=2.0, patience=None):
        """Yields the run, looked at again, whenever `group` has more records, until it is done. A
        killed run looks like a slow one: give `patience`, the seconds after which to stop."""
        seen, since, done = -1, time.monotonic(), False
        while not done and (patience is None or time.monotonic() - since <= patience):
            try:
                self.refresh()
                n = sum(int(k.sum()) for parts in self[group]._keep.values() for k in parts)
                done = self.attrs.get("status") != "running"
            except (OSError, AttributeError):
                n = seen  # not begun, or just being sealed
            if n > seen:
                seen, since = n, time.monotonic()
                yield self
            elif not done:
                time.sleep(every)


def _locate(path):
    sealed = os.path.join(path, "run.h5")
    if not os.path.isdir(path) or os.path.exists(sealed):
        return [sealed if os.path.isdir(path) else path]
    segments = os.path.join(glob.escape(path), "live", "seg-" + 4 * "[0-9]" + ".h5")
    return sorted(glob.glob(segments)) or [sealed]  # not there: _open says so


def _open(path):
    os.stat(path)  # FileNotFoundError, rather than h5py's message
    try:
        f = h5py.File(path, "r")
    except OSError:  # being written, or its writer was killed
        f = h5py.File(path, "r", libver="latest", swmr=True)
    if _attrs(f).get("schema") not in ("sextant", "sextant-analysis"):
        f.close()
        raise OSError("%s is no file of sextant" % path)
    return f


def _attrs(of):
    skip = ("DIMENSION_LIST", "DIMENSION_LABELS", "REFERENCE_LIST", "CLASS", "NAME")
    return {k: v for k, v in of.attrs.items() if k not in skip}


def _records(part, name, model, keep):
    """The records of a segment that count; missing values where the segment lacks the dataset."""
    text = h5py.check_string_dtype(model.dtype)
    if name in part:
        return (part[name].asstr() if text else part[name])[: len(keep)][keep]
    missing = "" if text else {"f": np.nan, "i": -1, "u": 255}[model.dtype.kind]
    return np.full((keep.sum(),) + model.shape[1:], missing, object if text else model.dtype)


open = Run

if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as when piped into head
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: python3 sextant.py RUN|FILE.h5     prints what is in it")
    try:
        this = Run(sys.argv[1])
    except OSError as e:
        sys.exit("sextant.py: %s" % e)
    print(this, *(this[g] for g in this.keys()), sep="\n")
