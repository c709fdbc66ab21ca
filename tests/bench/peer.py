"""The model of `sextant bench` in PyTorch: L6 H6 C384, RMSNorm, RoPE, SwiGLU, random weights. Attention
shows its probabilities, so it is the plain softmax(QK^T)V."""
import argparse
import json
import resource
import time

import torch


def arguments(doc):
    a = argparse.ArgumentParser(description=doc)
    for name, value in [("layers", 6), ("width", 384), ("heads", 6), ("ffn", 1024), ("vocab", 256),
                        ("context", 256), ("batch", 8), ("rounds", 5)]:
        a.add_argument("--" + name, type=int, default=value)
    a.add_argument("--beta", type=float, default=8, help="factor on the logits: sharper heads")
    return a


class Model:
    def __init__(self, a):
        torch.manual_seed(1)
        self.a, self.D = a, a.width // a.heads

        def weight(rows, cols):
            return torch.randn(rows, cols) / cols ** 0.5

        C, F = a.width, a.ffn
        self.embed = torch.randn(a.vocab, C)
        self.layers = [dict(q=weight(C, C), k=weight(C, C), v=weight(C, C), o=weight(C, C),
                            g=weight(F, C), u=weight(F, C), d=weight(C, F)) for _ in range(a.layers)]
        angle = torch.outer(torch.arange(a.context).float(),
                            10000 ** (-torch.arange(0, self.D, 2).float() / self.D))
        self.cos, self.sin = torch.cat([angle.cos()] * 2, -1), torch.cat([angle.sin()] * 2, -1)
        self.hidden = torch.full((a.context, a.context), float("-inf")).triu(1)
        self.tokens = torch.randint(a.vocab, (a.batch, a.context))

    @staticmethod
    def norm(x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5)

    def split(self, x):
        return x.view(*x.shape[:2], self.a.heads, self.D).transpose(1, 2)

    def rotate(self, x):
        half = self.D // 2
        return x * self.cos + torch.cat([-x[..., half:], x[..., :half]], -1) * self.sin

    def probabilities(self, h, wq, wk):
        q, k = self.rotate(self.split(h @ wq.T)), self.rotate(self.split(h @ wk.T))
        return torch.softmax(q @ k.transpose(-1, -2) * (self.a.beta / self.D ** 0.5) + self.hidden, -1)

    def forward(self, see=lambda layer, h, p: None, attend=None):
        """see(layer, h, p) is shown every layer's input and probabilities; attend(layer, h) makes these
        in place of the plain way."""
        x = self.embed[self.tokens]
        for i, w in enumerate(self.layers):
            h = self.norm(x)
            p = attend(i, h) if attend else self.probabilities(h, w["q"], w["k"])
            see(i, h, p)
            z = (p @ self.split(h @ w["v"].T)).transpose(1, 2).reshape(x.shape)
            del p
            x = x + z @ w["o"].T
            u = self.norm(x)
            x = x + (torch.nn.functional.silu(u @ w["g"].T) * (u @ w["u"].T)) @ w["d"].T
        return self.norm(x)


def measure(rounds, *works):
    """Seconds of each of the works in turns, sorted; one round warms up."""
    times = [[] for _ in works]
    for r in range(rounds + 1):
        for t, work in zip(times, works):
            begun = time.monotonic()
            work()
            t.append(time.monotonic() - begun)
    return [sorted(t[1:]) for t in times]


def report(**what):
    print(json.dumps(dict(what, peak_bytes=1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)))
