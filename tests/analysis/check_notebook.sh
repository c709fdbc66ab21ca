#!/bin/bash
# Runs a report's notebook and compares what comes out with what is embedded, cell by cell; draws every
# figure again by its redraw(); opens its analysis.h5 with sextant.py.
#   check_notebook.sh TEST_REPORT     of the example that this program saves
#   check_notebook.sh FOLDER          of a report that is there
# Exits with 77 where nbconvert, nbformat, ipykernel, h5py or matplotlib is not there.
set -u
what=$(realpath "$1")
analysis=$(cd "$(dirname "$0")/../../analysis" && pwd)
python=${PYTHON:-/usr/bin/python3}
if ! "$python" -c 'import nbconvert, nbformat, ipykernel, h5py, matplotlib' 2>/dev/null; then
	echo "skipped: $python has no nbconvert (Debian: python3-nbconvert python3-ipykernel python3-h5py python3-matplotlib)"
	exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -d "$what" ]; then
	cp -r "$what" "$work/report" || exit 1
else
	"$what" "$work/report" || exit 1
fi
cd "$work/report" || exit 1
export HOME=$work IPYTHONDIR=$work/ipython MPLBACKEND=Agg PYTHONDONTWRITEBYTECODE=1
if ! "$python" -m nbconvert --execute --to notebook --output ../executed.ipynb report.ipynb >"$work/log" 2>&1; then
	tail -40 "$work/log"
	exit 1
fi
"$python" - report.ipynb ../executed.ipynb "$analysis" <<'P'
import base64
import os
import re
import sys
import warnings

import nbformat

bad = 0


def check(good, *what):
    global bad
    if not good:
        bad += 1
        print("FAILED:", *what)


def png(output):
    data = output.get("data", {}).get("image/png")
    return base64.b64decode(data) if data else None


text = open(sys.argv[1], encoding="utf-8").read()
ours, run = (nbformat.read(p, as_version=4) for p in sys.argv[1:3])
nbformat.validate(ours)
check((ours.nbformat, ours.nbformat_minor) == (4, 5), "nbformat")
check(nbformat.writes(ours) + "\n" == text, "nbformat writes it differently")
check(len(text) < 2 << 20, "larger than 2 MB:", len(text))
check(ours.metadata.kernelspec.name == run.metadata.kernelspec.name, "kernel")
check(len(ours.cells) == len(run.cells), "number of cells")
tagged = [c.id for c in ours.cells if "parameters" in c.metadata.get("tags", [])]
check(tagged == ["parameters"], "tags", tagged)
outputs = images = 0
for a, b in zip(ours.cells, run.cells):
    check((a.id, a.cell_type, a.source) == (b.id, b.cell_type, b.source), a.id, "is another cell")
    check({k: v for k, v in b.metadata.items() if k != "execution"} == a.metadata, a.id, "metadata")
    if a.cell_type != "code":
        continue
    check(a.execution_count == b.execution_count, a.id, "execution count")
    check(len(a.outputs) == len(b.outputs), a.id, "has other outputs:", b.outputs)
    for x, y in zip(a.outputs, b.outputs):
        outputs += 1
        check({**x, "data": {}} == {**y, "data": {}}, a.id, "output", {**x, "data": {}}, {**y, "data": {}})
        kinds = x.get("data", {}).keys()
        check(kinds == y.get("data", {}).keys(), a.id, "kinds of output", kinds)
        check(all(x.data[k] == y.data[k] for k in kinds if k != "image/png"), a.id, "text of output")
        check(png(x) == png(y), a.id, "image")
        if png(x):
            images += 1
            path = re.search(r'Image\("(.*?)"', a.source).group(1)
            check(png(x) == open(path, "rb").read(), a.id, "is not", path)
            check(x.metadata["image/png"].get("alt") is not None, a.id, "has no alternative text")

# redraw() of every figure, drawn and saved
names = {"__name__": "report"}
for c in ours.cells:
    if c.id in ("parameters", "functions"):
        exec(c.source, names)
import matplotlib.pyplot as plt

redrawn = 0
for c in ours.cells:
    for call in re.findall(r'^# (redraw\(".*?"\))', c.source, re.M):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            exec(call, names)
        plt.savefig(os.path.join("..", re.sub(r"\W", "_", call) + ".png"))
        check(all(ax.has_data() or not ax.axison for ax in plt.gcf().axes), call, "drew nothing")
        plt.close("all")
        redrawn += 1
check(redrawn == images, "redrawn", redrawn, "of", images)

# the same numbers by sextant.py
sys.path.insert(0, sys.argv[3])
import sextant

results = sextant.open("analysis.h5")
tables = ["figures/" + k for k in results.figures.keys()] + [k for k in results.keys() if k != "figures"]
check(len(tables) == outputs, "tables and figures", tables)
for name in tables:
    for key, column in names["numbers"](name).items():
        array = results[name][key]
        values = array.words if "labels" in array.attrs else array.values
        check(array.dims == ("row",) and (values == column).sum() + (column != column).sum() == len(column), name, key)
        check(array.long_name and array.units, name, key, "is not described")
print("notebook: %d cells, %d outputs as embedded, %d figures redrawn" % (len(ours.cells), outputs, redrawn))
sys.exit(bad != 0)
P
code=$?
[ $code = 0 ] && [ -n "${KEEP:-}" ] && cp "$work"/*.png "$KEEP"
exit $code
