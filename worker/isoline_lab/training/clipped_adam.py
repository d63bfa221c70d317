"""Adam with decoupled weight decay and bounded gradients, whose whole state is two tensors per parameter."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# torch.optim gives the same numbers, but importing it loads the compiler, which costs seconds in every worker.
BETAS = (0.9, 0.999)
EPSILON = 1e-8

# A gradient longer than this many times its recent length is cut: one odd structure must not throw the weights about.
LEASH = 3.0
MEMORY = 0.99


class ClippedAdam:
    """Steps of Loshchilov & Hutter, arXiv:1711.05101, algorithm 2, gradients cut to a multiple of their usual norm.

    network   what is optimised, in place; matrices decay, offsets do not
    decay     pull towards zero, relative to the learning rate
    moments   first and second moments to go on from, by parameter name, and the usual norm
    steps     taken so far
    """

    def __init__(self, network: nn.Module, decay: float, moments: dict[str, Tensor], steps: int):
        self.parameters = dict(network.named_parameters())
        self.decay, self.steps = decay, steps
        self.first = {name: self._start(moments, name, "first") for name in self.parameters}
        self.second = {name: self._start(moments, name, "second") for name in self.parameters}
        self.norm = moments["norm"].clone() if moments else torch.zeros(())

    def _start(self, moments: dict[str, Tensor], name: str, which: str) -> Tensor:
        parameter = self.parameters[name]
        return moments[f"{name}.{which}"].to(parameter).clone() if moments else torch.zeros_like(parameter)

    @torch.no_grad()
    def step(self, loss: Tensor, learning_rate: float) -> None:
        """One step down the gradient of a loss."""
        gradients = torch.autograd.grad(loss, list(self.parameters.values()), allow_unused=True, materialize_grads=True)
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm().cpu()
        self.steps += 1
        usual = self.norm if self.steps > 1 else norm
        cut = float((LEASH * usual / norm.clamp(min=1e-30)).clamp(max=1.0))
        self.norm = MEMORY * usual + (1.0 - MEMORY) * norm * cut
        correction = [1.0 - beta**self.steps for beta in BETAS]
        for (name, parameter), gradient in zip(self.parameters.items(), gradients, strict=True):
            first, second = self.first[name], self.second[name]
            first.lerp_(gradient * cut, 1.0 - BETAS[0])
            second.mul_(BETAS[1]).addcmul_(gradient * cut, gradient * cut, value=1.0 - BETAS[1])
            if name != "offset":
                parameter.mul_(1.0 - learning_rate * self.decay)
            size = (second / correction[1]).sqrt_().add_(EPSILON)
            parameter.addcdiv_(first, size, value=-learning_rate / correction[0])

    def moments(self) -> dict[str, Tensor]:
        """What a later optimiser needs to go on."""
        first = {f"{name}.first": tensor.cpu().clone() for name, tensor in self.first.items()}
        second = {f"{name}.second": tensor.cpu().clone() for name, tensor in self.second.items()}
        return first | second | {"norm": self.norm.clone()}
