"""Run by check_readers.sh.

poll RUN PID     while process PID writes RUN/live/seg-0000.h5, reads it by SWMR as fast as it can and
                 keeps every row it saw in RUN/seen.pickle
compare RUN      all that was seen, and the closed live file, against the sealed one
open FILE..      every group by h5py, and by xarray through h5netcdf and through netCDF4
top SEXTANT RUN PID   `sextant top` beside process PID, by JSON and on a terminal
"""

import json
import os
import pickle
import pty
import subprocess
import sys
import time

import h5py
import numpy as np

GROWING = {"step", "sample", "ckpt"}
passed = failed = 0


def check(good, *what):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("FAILED:", *what)


def columns(f):
    """{axis: [datasets along it]} of every growing axis."""
    found = {}

    def visit(path, d):
        if isinstance(d, h5py.Dataset) and d.maxshape[0] is None:
            axis = d.dims[0].label or path.rsplit("/", 1)[1]
            found.setdefault("%s/%s" % (path.rsplit("/", 1)[0], axis), []).append(path)

    f.visititems(visit)
    return found


def same(a, b):
    return np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f")


def is_running(pid):
    try:
        os.kill(pid, 0)
        return open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def poll(run, pid):
    path = run + "/live/seg-0000.h5"
    while not os.path.exists(path) and is_running(pid):
        time.sleep(0.001)
    f = h5py.File(path, "r", swmr=True, libver="latest")  # it has its name: it must open
    groups = columns(f)
    seen, rows, polls, grown = [], dict.fromkeys(groups, 0), 0, 0
    random = np.random.default_rng(1)
    while is_running(pid):
        polls += 1
        for axis, paths in groups.items():
            f[axis].id.refresh()
            n = f[axis].shape[0]  # as its writer promises: every record before is whole
            check(n >= rows[axis], axis, "shrinks")
            if n == 0:
                continue
            # what is new, and anything from before
            first = rows[axis] if n > rows[axis] else int(random.integers(n))
            last = n if n > rows[axis] else first + 1
            grown += n > rows[axis]
            for path in paths:
                d = f[path]
                d.refresh()
                check(d.shape[0] >= n, path, "has", d.shape[0], "rows, its axis", n)
                seen.append((path, first, d[first:last]))
            rows[axis] = n
    with open(run + "/seen.pickle", "wb") as out:
        pickle.dump(seen, out)
    print("poll: %d looks, %d of them found something new; %d reads" % (polls, grown, len(seen)))
    check(grown > 50, "hardly anything was seen to grow:", grown)


def text(a):
    return [x.decode() if isinstance(x, bytes) else x for x in a]


def compare(run):
    live, sealed = run + "/live/seg-0000.h5", run + "/run.h5"
    seen = pickle.load(open(run + "/seen.pickle", "rb"))
    with h5py.File(sealed) as s, h5py.File(live) as f:
        whole = {path: s[path][:] for paths in columns(s).values() for path in paths}
        for path, first, rows in seen:
            want = whole[path][first : first + len(rows)]
            good = text(rows) == text(want) if want.dtype.kind == "O" else same(rows, want)
            check(good, path, "row", first, "was seen as it never was")
        for path, want in whole.items():
            got = f[path][:]
            check(text(got) == text(want) if want.dtype.kind == "O" else same(got, want), path)
    a, b = os.path.getsize(live), os.path.getsize(sealed)
    print("%s: live %.2f MB, sealed %.2f MB, ratio %.3f" % (run, a / 1e6, b / 1e6, a / b))
    if b >= 10e6:
        check(a <= 1.3 * b, "the live file is bloated")


def open_by_h5py(path):
    """Every axis has a name, and the dimension scale of that name in its group."""
    with h5py.File(path) as f:
        for group in f.values():
            for d in group.values():
                # netCDF-C 4.10 dies on closing a file with a half that has one
                if d.dtype == np.float16:
                    filled = d.id.get_create_plist().fill_value_defined()
                    check(filled != h5py.h5d.FILL_VALUE_USER_DEFINED, path, d.name, "fill value")
                if h5py.h5ds.is_scale(d.id):
                    continue
                for axis, n in zip(d.dims, d.shape):
                    good = axis.label and len(axis) == 1 and axis[0] == group[axis.label]
                    check(good and axis[0].shape == (n,), "h5py", path, d.name, axis.label)


def takes_halves_for_text():
    import netCDF4

    return tuple(int(n) for n in netCDF4.__netcdf4libversion__.split(".")[:2]) >= (4, 10)


def open_by(engine, path):
    import xarray

    with h5py.File(path) as f:
        for group in f:
            # netCDF-C 4.10 takes a half for a text, of anybody's file, and dies of reading it
            if any(d.dtype == np.float16 for d in f[group].values()) and engine == "netcdf4" and takes_halves_for_text():
                print("skipped: xarray with netCDF4 on %s of %s" % (group, path))
                continue
            x = xarray.open_dataset(path, group=group, engine=engine, decode_cf=False)
            check(set(x.variables) == set(f[group]), path, group, "variables")
            for name, d in f[group].items():
                v = x[name]
                where = (engine, path, group, name)
                check(v.shape == d.shape, *where, v.shape, d.shape)
                check(not any(str(k).startswith("phony") for k in v.dims), *where, v.dims)
                check(all(k in x.coords and x.coords[k].shape == (n,) for k, n in zip(v.dims, v.shape)), *where, "coordinates")
                check(v.attrs.get("units") and v.attrs.get("long_name"), *where, "attributes")
                if v.size <= 2000000:
                    good = text(v.values) == text(d[:]) if d.dtype.kind == "O" else same(v.values, d[:])
                    check(good, *where, "values")
            x.close()


def open_files(paths):
    for path in paths:
        open_by_h5py(path)
    for engine, module in (("h5netcdf", "h5netcdf"), ("netcdf4", "netCDF4")):
        try:
            __import__("xarray")
            __import__(module)
        except ImportError as e:
            print("skipped: xarray with %s (%s)" % (engine, e))
            continue
        for path in paths:
            open_by(engine, path)


def frames(command, environment):
    """All that a program shows on a terminal of its own, and its exit status."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, environment)
    out = b""
    while True:
        try:
            more = os.read(fd, 65536)
        except OSError:  # the terminal is gone
            break
        if not more:
            break
        out += more
    return out.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def largest_ac(run):
    """(layer, head, family, mean over text) of the last record, by falling size."""
    with h5py.File(run + "/run.h5") as f:
        text = f["stats/sequence_kind"][:] == 0
        mean = f["ac/value"][-1][text].mean(axis=0)
        names = [c.decode() if isinstance(c, bytes) else c for c in f["ac/c"][:]]
        best = np.abs(mean).argmax(axis=-1)
        rows = [(l, h, names[best[l, h]], mean[l, h, best[l, h]]) for l, h in np.ndindex(best.shape)]
        return sorted(rows, key=lambda r: -abs(r[3])), int(f["ac/step"][-1]), float(f["train/lr"][-1])


def top(sextant, run, pid):
    while is_running(pid) and not os.path.exists(run + "/config.yaml"):
        time.sleep(0.001)
    states, steps = [], []
    for _ in range(5):
        d = json.loads(subprocess.run([sextant, "top", "--json", run], stdout=subprocess.PIPE, check=True).stdout)
        states.append(d["state"])
        steps.append(d["step"])
        time.sleep(0.2)
    check(states[-1] == "running" and steps == sorted(steps) and 0 < steps[-1] < 260, states, steps)
    check(d["seconds_left"] > 0 and d["ac"] and d["ac"]["step"] <= steps[-1] + 1, d)
    check(d["file"].endswith("live/seg-0000.h5"), d["file"])
    shown, code = frames([sextant, "top", run], dict(os.environ, NO_COLOR="1", TERM="xterm"))
    check(code == 0 and shown.count("\033[H") > 1 and "ended" in shown, "on a terminal", code, shown[-300:])
    check("\033[1m" not in shown, "colours in spite of NO_COLOR")
    while is_running(pid):
        time.sleep(0.05)
    shown, code = frames([sextant, "top", run], dict(os.environ, NO_COLOR="", TERM="xterm"))
    check(code == 0 and "\033[1m" in shown and shown.count("\033[H") == 1, "colours")

    d = json.loads(subprocess.run([sextant, "top", "--json", run], stdout=subprocess.PIPE, check=True).stdout)
    rows, step, lr = largest_ac(run)
    check(d["state"] == "ended" and d["step"] == 260 and d["last_checkpoint"] == 260 and d["checkpoints"] == 5, d)
    check(np.float32(d["lr"]) == np.float32(lr) and d["sealed_bytes"] == os.path.getsize(run + "/run.h5"), d)
    got = d["ac"]["heads"]
    check(d["ac"]["step"] == step and len(got) == len(rows), step)
    for g, (layer, head, c, value) in zip(got, rows):
        check((g["layer"], g["head"], g["c"]) == (layer, head, c) and abs(g["value"] - value) < 1e-15, g, (layer, head, c, value))
    piped = subprocess.run([sextant, "top", run], stdout=subprocess.PIPE, text=True)
    check(piped.returncode == 0 and "\033" not in piped.stdout and "largest |A_c|" in piped.stdout, piped.stdout)


verb, arguments = sys.argv[1], sys.argv[2:]
if verb == "poll":
    poll(arguments[0], int(arguments[1]))
elif verb == "compare":
    compare(arguments[0])
elif verb == "top":
    top(arguments[0], arguments[1], int(arguments[2]))
else:
    open_files(arguments)
print("check_readers %s: %d passed, %d failed" % (verb, passed, failed))
sys.exit(failed > 0)
