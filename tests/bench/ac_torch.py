"""A_c (diagonal) of all heads and its gradients by W_Q and W_K in PyTorch: a head's A_c depends on its own
rows alone, so one backward pass per layer, of the sum over heads, gives all of them. Each layer's
graph goes as soon as its gradients are there; with --whole the graph of all layers is built first, the
usual way. Prints JSON: seconds of a plain forward pass and of one with the gradients."""
import torch

import peer

p = peer.arguments(__doc__)
p.add_argument("--whole", action="store_true", help="one graph of all layers")
a = p.parse_args()
model = peer.Model(a)
others = torch.arange(a.context).clamp(min=1).float()  # keys besides the row's own


def forward():
    with torch.no_grad():
        model.forward()


def score(layer, h):
    """Probabilities, A_c per head, and the weights to differentiate by."""
    w = [model.layers[layer][n].detach().requires_grad_() for n in "qk"]
    p = model.probabilities(h, *w)
    own = p.diagonal(dim1=-2, dim2=-1)[..., 1:]
    return p, (own - (1 - own) / others[1:]).sum((0, 2)) / a.context, w


def keep(ac, w, whole):
    for g in torch.autograd.grad(ac.sum(), w, retain_graph=whole):
        found.append(g.view(a.heads, -1).norm(dim=1))


def attend(layer, h):
    with torch.enable_grad():
        p, ac, w = score(layer, h)
        keep(ac, w, False)
    return p.detach()


def gradients():
    found.clear()
    with torch.no_grad():
        model.forward(attend=attend)


def gradients_whole():
    found.clear()
    layers = []

    def see(layer, h):
        p, *rest = score(layer, h)
        layers.append(rest)
        return p

    model.forward(attend=see)
    for ac, w in layers:
        keep(ac, w, True)


found = []
plain, total = peer.measure(a.rounds, forward, gradients_whole if a.whole else gradients)
peer.report(context=a.context, batch=a.batch, forward=plain[len(plain) // 2],
            total=total[len(total) // 2])
