"""Adam with decoupled weight decay, whose whole state is two tensors per parameter."""

from __future__ import annotations

import torch
from torch import Tensor

from isoline_lab.potentials.networks import MemberNetworks

# torch.optim gives the same numbers, but importing it loads the compiler, which costs seconds in every worker.
BETAS = (0.9, 0.999)
EPSILON = 1e-8


class AdamW:
    """Steps of Loshchilov & Hutter, arXiv:1711.05101, algorithm 2; weights between layers decay, the rest does not.

    networks  what is optimised, in place
    decay     pull towards zero, relative to the learning rate
    moments   first and second moments to go on from, by parameter name
    steps     taken so far
    """

    def __init__(self, networks: MemberNetworks, decay: float, moments: dict[str, Tensor], steps: int):
        self.parameters = dict(networks.named_parameters())
        self.decay, self.steps = decay, steps
        self.first = {name: self._start(moments, f"{name}.first") for name in self.parameters}
        self.second = {name: self._start(moments, f"{name}.second") for name in self.parameters}

    def _start(self, moments: dict[str, Tensor], key: str) -> Tensor:
        return moments[key].clone() if moments else torch.zeros_like(self.parameters[key.rpartition(".")[0]])

    @torch.no_grad()
    def step(self, loss: Tensor, learning_rate: float) -> None:
        """One step down the gradient of a loss."""
        self.steps += 1
        names = list(self.parameters)
        gradients = torch.autograd.grad(loss, [self.parameters[name] for name in names])
        correction = [1.0 - beta**self.steps for beta in BETAS]
        for name, gradient in zip(names, gradients, strict=True):
            parameter, first, second = self.parameters[name], self.first[name], self.second[name]
            first.lerp_(gradient, 1.0 - BETAS[0])
            second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1.0 - BETAS[1])
            if name.startswith("weights."):
                parameter.mul_(1.0 - learning_rate * self.decay)
            size = (second / correction[1]).sqrt_().add_(EPSILON)
            parameter.addcdiv_(first, size, value=-learning_rate / correction[0])

    def moments(self) -> dict[str, Tensor]:
        """What a later optimiser needs to go on."""
        first = {f"{name}.first": tensor.clone() for name, tensor in self.first.items()}
        return first | {f"{name}.second": tensor.clone() for name, tensor in self.second.items()}
