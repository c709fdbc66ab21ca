"""Sextant beside PyTorch, by turns in one run: A_c with gradients of all heads, and all attention maps
written to a file. See run.sh."""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

here = os.path.dirname(os.path.abspath(__file__))
p = argparse.ArgumentParser(description=__doc__)
p.add_argument("sextant", help="the program")
p.add_argument("--rounds", type=int, default=5)
p.add_argument("--python", default=sys.executable, help="one that has torch and h5py")
p.add_argument("--only", default="", metavar="WORD", help="rows whose name has it")
p.add_argument("shapes", nargs="*", default=["256x8", "1024x1", "4096x1"], metavar="TxB")
a = p.parse_intermixed_args()

# Either side as fast as it can be made without changing it: docs in run.sh.
peer_env = dict(os.environ, ATEN_CPU_CAPABILITY="avx512", MALLOC_MMAP_THRESHOLD_="1073741824",
                MALLOC_TRIM_THRESHOLD_="1073741824")
openmp = "/usr/lib/x86_64-linux-gnu/openblas-openmp"
if os.path.isdir(openmp):
    peer_env["LD_LIBRARY_PATH"] = openmp


def spawn(command, env=None):
    """Standard output, seconds and peak bytes of a program."""
    begun = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env=env)
    text = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = status
    if status:
        sys.exit(f"{' '.join(command)}: failed")
    return text, time.monotonic() - begun, 1024 * usage.ru_maxrss


def peer(script, T, B, *more):
    text, _, _ = spawn([a.python, os.path.join(here, script), "--context", str(T), "--batch", str(B),
                        "--rounds", "3", *more], peer_env)
    return json.loads(text)


def observers(T, B):
    kind = "ac_weights_one"
    text, _, _ = spawn([a.sextant, "bench", "pass", "--quiet", "--json", "--context", str(T), "--batch",
                        str(B), "--vocab", "256", "--pairs", "3", "--observers", kind])
    found = json.loads(text)
    row = found["observers"][kind]
    return dict(forward=row["seconds_without"], total=row["seconds_with"], peak_bytes=found["peak_bytes"])


def trace(folder, T, B, kind, *how):
    """`sextant trace` from start to end with all its statistics; without maps, for what these add."""
    out = os.path.join(folder, "trace.h5")
    command = [a.sextant, "trace", os.path.join(folder, "config.yaml"), "--quiet", "--tokens",
               os.path.join(folder, "tokens.txt"), "--length", str(T), "--sequences", str(B), "--ac",
               "diagonal", "-o", out]
    more = ["--maps", "L*/H*", "--maps-type", kind, *how]
    _, plain, _ = spawn(command)
    none = os.path.getsize(out)
    _, total, peak = spawn(command + more)
    size = os.path.getsize(out) - none
    return dict(forward=plain, total=total, peak_bytes=peak, file_bytes=size)


def write_inputs(folder, T, B):
    with open(os.path.join(folder, "config.yaml"), "w") as f:
        f.write(f"model: {{layers: 6, width: 384, heads: 6, kv_heads: 6, ffn: 1024, context: {T}}}\n"
                "pos: {beta: 8}\n")
    random.seed(1)
    with open(os.path.join(folder, "tokens.txt"), "w") as f:
        f.write(" ".join(str(random.randrange(256)) for _ in range(T * B)) + "\n")


def middle(runs, key):
    return statistics.median(r[key] for r in runs)


def main():
    print(f"{'':32}{'without s':>12}{'with s':>12}{'added s':>12}{'ratio':>8}{'peak MiB':>10}{'file MiB':>10}")
    for shape in a.shapes:
        T, B = (int(n) for n in shape.split("x"))
        with tempfile.TemporaryDirectory() as folder:
            write_inputs(folder, T, B)
            works = {
                "A_c + gradients, sextant": lambda: observers(T, B),
                "A_c + gradients, PyTorch": lambda: peer("ac_torch.py", T, B),
                "A_c + gradients, one graph": lambda: peer("ac_torch.py", T, B, "--whole"),
                "maps f16, sextant trace": lambda: trace(folder, T, B, "f16"),
                "maps f16 stored, sextant trace": lambda: trace(folder, T, B, "f16", "--maps-stored"),
                "maps f32, sextant trace": lambda: trace(folder, T, B, "f32"),
                "maps f32 gzip 4, PyTorch + h5py": lambda: peer("maps_torch.py", T, B),
                "maps f16 raw, PyTorch + h5py":
                    lambda: peer("maps_torch.py", T, B, "--store", "raw16"),
            }
            if T * T * B > 2**23:
                del works["A_c + gradients, one graph"]  # some 20 GiB at T = 4096
            works = {name: work for name, work in works.items() if a.only in name}
            runs = {name: [] for name in works}
            for _ in range(a.rounds):
                for name, work in works.items():
                    runs[name].append(work())
        print(f"T = {T}, {B} sequences")
        for name, r in runs.items():
            off, on = middle(r, "forward"), middle(r, "total")
            size = f"{middle(r, 'file_bytes') / 2**20:10.1f}" if "file_bytes" in r[0] else " " * 10
            print(f"  {name:30}{off:12.4f}{on:12.4f}{on - off:12.4f}{on / off:8.2f}"
                  f"{middle(r, 'peak_bytes') / 2**20:10.0f}{size}", flush=True)


main()
