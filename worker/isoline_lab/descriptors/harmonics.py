"""Real solid harmonics of many vectors at once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class SolidHarmonics(torch.nn.Module):
    """Real solid harmonics rˡ Yₗₘ up to l_max: polynomials in x, y and z, so smooth at the origin too.

    Orthonormal on the unit sphere, without Condon–Shortley phase. The recursion of normalised associated Legendre
    functions, for all m at once: Sₗₘ = aₗₘ (z Sₗ₋₁ₘ − r² Sₗ₋₂ₘ / aₗ₋₁ₘ), aₗₘ² = (4l² − 1) / (l² − m²).
    """

    def __init__(self, l_max: int):
        super().__init__()
        self.l_max = l_max
        for l in range(2, l_max + 1):  # noqa: E741 - the symbol of the equations
            m = (np.arange(2 * l - 3) + 1) // 2  # 0, 1, −1, …, ±(l − 2), without sign
            a, before = (np.sqrt((4 * k * k - 1) / (k * k - m * m)) for k in (l, l - 1))
            self.register_buffer(f"first_{l}", torch.from_numpy(a)[:, None])
            self.register_buffer(f"second_{l}", torch.from_numpy(-a / before)[:, None])

    def forward(self, vectors: Tensor, factors: Tensor) -> list[Tensor]:
        """Harmonics of each vector, times one factor each.

        vectors  (vectors, 3)
        factors  (vectors,)
        returns  for each l: (2l + 1, vectors); rows are m = 0, 1, −1, 2, −2, …
        """
        x, y, z = vectors.unbind(1)
        harmonics = [(factors / (4 * torch.pi) ** 0.5)[None]]
        if self.l_max > 0:
            harmonics.append(3**0.5 * torch.stack([z, x, y]) * harmonics[0])
        r2 = x * x + y * y + z * z
        for l in range(2, self.l_max + 1):  # noqa: E741
            last, before = harmonics[-1], harmonics[-2]
            inner = torch.addcmul(
                r2 * (getattr(self, f"second_{l}") * before), z, getattr(self, f"first_{l}") * last[:-2]
            )
            outer = (2 * l + 1) ** 0.5 * z * last[-2:]  # |m| = l − 1
            # |m| = l: real and imaginary part of (x + iy)ˡ.
            xn, yn = (norm * ((2 * l + 1) / (2 * l)) ** 0.5 for norm in (x, y))
            cosine, sine = xn * last[-2] - yn * last[-1], xn * last[-1] + yn * last[-2]
            harmonics.append(torch.cat([inner, outer, cosine[None], sine[None]]))
        return harmonics
