"""All attention maps of a forward pass in PyTorch, written by h5py: float32 with gzip 4 and shuffle, or
uncompressed float16. Prints JSON: seconds of a plain forward pass and of one with the maps written,
bytes of the file."""
import os
import tempfile

import h5py
import torch

import peer

p = peer.arguments(__doc__)
p.add_argument("--store", choices=["gzip32", "raw16"], default="gzip32")
a = p.parse_args()
model = peer.Model(a)
kind = (dict(dtype="f4", compression="gzip", compression_opts=4, shuffle=True) if a.store == "gzip32"
        else dict(dtype="f2"))
chunk = min(256, a.context), min(1024, a.context)


def forward():
    with torch.no_grad():
        model.forward()


def capture():
    with torch.no_grad(), h5py.File(path, "w") as f:
        maps = f.create_dataset("prob", (a.batch, a.layers, a.heads, a.context, a.context),
                                chunks=(1, 1, 1, *chunk), **kind)

        def see(layer, h, p):
            p = p.half().numpy() if a.store == "raw16" else p.numpy()
            for b in range(a.batch):
                for n in range(a.heads):
                    maps[b, layer, n] = p[b, n]

        model.forward(see=see)


with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "maps.h5")
    plain, total = peer.measure(a.rounds, forward, capture)
    size = os.path.getsize(path)
peer.report(context=a.context, batch=a.batch, store=a.store, forward=plain[len(plain) // 2],
            total=total[len(total) // 2], file_bytes=size)
