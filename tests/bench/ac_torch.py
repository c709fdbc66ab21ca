"""A_c (diagonal) of all heads and its gradients by W_Q and W_K in PyTorch: a head's A_c depends on its own
rows alone, so one backward pass per layer, of the sum over heads, gives all of them; each layer's
graph goes as soon as its gradients are there. Prints JSON: seconds of a plain forward pass and of
one with the gradients."""
import torch

import peer

a = peer.arguments(__doc__).parse_args()
model = peer.Model(a)
others = torch.arange(a.context).clamp(min=1).float()  # keys besides the row's own


def forward():
    with torch.no_grad():
        model.forward()


def attend(layer, h):
    with torch.enable_grad():
        wq, wk = (model.layers[layer][n].detach().requires_grad_() for n in "qk")
        p = model.probabilities(h, wq, wk)
        own = p.diagonal(dim1=-2, dim2=-1)[..., 1:]
        ac = (own - (1 - own) / others[1:]).sum((0, 2)) / a.context  # per head
        gq, gk = torch.autograd.grad(ac.sum(), (wq, wk))
    for g in (gq, gk):
        found.append(g.view(a.heads, -1).norm(dim=1))
    return p.detach()


def gradients():
    found.clear()
    with torch.no_grad():
        model.forward(attend=attend)


found = []
plain, total = peer.measure(a.rounds, forward, gradients)
peer.report(context=a.context, batch=a.batch, forward=plain[len(plain) // 2],
            total=total[len(total) // 2])
