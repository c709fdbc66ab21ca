#!/bin/sh
# Sextant beside PyTorch, by turns: A_c with its gradients of all heads (one backward pass per layer in
# PyTorch), and all attention maps written to a file (h5py: float32 with gzip 4, float16 as it is). For
# anyone who has a python3 with torch and h5py; no test needs it.
#
#   tests/bench/run.sh build/cli/sextant [--rounds N] [TxB ..]
#
# `without` is a plain forward pass (for sextant's maps: a whole `sextant trace` without maps), `with` the
# same and what the row names. PyTorch runs with OpenBLAS's OpenMP build where it is installed, AVX-512
# and an allocator that keeps its memory: two to three times as fast as without.
# The variables below would hold OpenBLAS to slower kernels.
set -eu
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(nproc)}
export OMP_NUM_THREADS
exec "${PYTHON:-python3}" "$(dirname "$0")/compare.py" "$@"
