"""The Gaussian posterior of a linear model whose labels come in kinds of unknown noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from isoline.errors import Diverged

# Relative change of any hyperparameter below which they are settled, and where the search for it gives up.
SETTLED = 1e-3
ITERATIONS = 100

# Precisions of coefficients, eV⁻², and deviations of noise are not believed beyond these.
PRIOR_RANGE = (1e-3, 1e9)
LEAST_NOISE = 1e-3

# Of the labels of a kind: at least so many are left to estimate the noise from, however many coefficients they fixed.
LEAST_LEFT = 0.02

# Precision of coefficients that belong to no group, the offsets of elements: 1 eV⁻².
OFFSET = 1.0


@dataclass(eq=False)
class NormalEquations:
    """All that least squares needs of the labels of one kind, whatever their number; float64.

    gram    (n, n)  XᵀX
    moment  (n,)    Xᵀy
    square  yᵀy
    count   labels

    Sums and differences are those of having more and fewer labels.
    """

    gram: Tensor
    moment: Tensor
    square: float
    count: int

    @classmethod
    def empty(cls, n: int) -> NormalEquations:
        return cls(torch.zeros(n, n, dtype=torch.float64), torch.zeros(n, dtype=torch.float64), 0.0, 0)

    def include(self, rows: Tensor, labels: Tensor) -> None:
        """Add labels (labels,) that are rows (labels, n) times the coefficients, and noise."""
        rows, labels = rows.double(), labels.double()
        self.gram.addmm_(rows.T, rows)
        self.moment.addmv_(rows.T, labels)
        self.square += float(labels @ labels)
        self.count += len(labels)

    def __add__(self, other: NormalEquations) -> NormalEquations:
        square, count = self.square + other.square, self.count + other.count
        return NormalEquations(self.gram + other.gram, self.moment + other.moment, square, count)

    def __sub__(self, other: NormalEquations) -> NormalEquations:
        square, count = self.square - other.square, self.count - other.count
        return NormalEquations(self.gram - other.gram, self.moment - other.moment, square, count)

    def residual(self, coefficients: Tensor) -> Tensor:
        """Σ (label − prediction)² for each of coefficients (n, …): (…)."""
        cross = 2 * torch.tensordot(self.moment, coefficients, 1)
        return (self.square - cross + (coefficients * (self.gram @ coefficients)).sum(0)).clamp(min=0.0)


@dataclass(frozen=True, eq=False)
class Posterior:
    """Coefficients of a linear model and how certain they are.

    equations  of each kind of labels
    counts     of each kind: for how many labels one counts, see `maximise_evidence`
    group      (n,)      which prior each coefficient has, −1 for the fixed one of offsets
    prior      (groups,) precisions 1/variance of coefficients
    noise      of each kind: standard deviation of its labels
    mean       (n,)
    factor     (n, n)    lower Cholesky factor of the precision, the inverse of the covariance
    evidence   logarithm of the probability of the labels
    iterations until the hyperparameters settled
    """

    equations: Mapping[str, NormalEquations]
    counts: Mapping[str, float]
    group: Tensor
    prior: Tensor
    noise: Mapping[str, float]
    mean: Tensor
    factor: Tensor
    evidence: float
    iterations: int = 0

    def covariance(self) -> Tensor:
        """(n, n)."""
        return torch.cholesky_inverse(self.factor)

    def draw(self, members: int, seed: int) -> Tensor:
        """Coefficients of a committee: (n, members).

        Their mean is the posterior's, exactly; their covariance, unbiased over members, has the posterior's as its
        expectation. A single member is the mean.
        """
        if members == 1:
            return self.mean[:, None].clone()
        generator = torch.Generator().manual_seed(seed)
        free = torch.randn(len(self.mean), members, dtype=torch.float64, generator=generator)
        free = free - free.mean(1, keepdim=True)
        return self.mean[:, None] + torch.linalg.solve_triangular(self.factor.T, free, upper=True)


def update(
    posterior: Posterior,
    added: Mapping[str, NormalEquations],
    removed: Mapping[str, NormalEquations] | None = None,
) -> Posterior:
    """The posterior with more and with fewer labels, hyperparameters estimated again.

    What a fit to all labels at once would give, to the precision of the solver, at the cost of the changes alone.
    """
    equations = changed(posterior.equations, added, removed or {})
    return maximise_evidence(equations, posterior.counts, posterior.group)


def changed(
    equations: Mapping[str, NormalEquations],
    added: Mapping[str, NormalEquations],
    removed: Mapping[str, NormalEquations],
) -> dict[str, NormalEquations]:
    """Normal equations with more and with fewer labels: a rank-k update, as k labels have rank k."""
    after = dict(equations)
    for kind, more in added.items():
        after[kind] = after[kind] + more if more.count else after[kind]
    for kind, fewer in removed.items():
        after[kind] = after[kind] - fewer if fewer.count else after[kind]
    return after


def maximise_evidence(
    equations: Mapping[str, NormalEquations], counts: Mapping[str, float], group: Tensor
) -> Posterior:
    """The posterior with the hyperparameters that make the labels most probable.

    counts  of each kind: below one where labels say less than their number, since their errors are correlated, as
            forces of one structure are: their likelihood is raised to this power
    group   (n,)  coefficients that share a prior, −1 for offsets

    MacKay's fixed point (Neural Computation 4, 415, 1992; Bishop, Pattern Recognition and Machine Learning, 2006,
    eqs. 3.91 to 3.95), with a precision αᵍ for each group g of coefficients and 1/σ² for each kind of labels:
        γᵍ = nᵍ − αᵍ Trᵍ H⁻¹,  αᵍ = γᵍ/|m|²ᵍ,  σₖ² = cₖ |y − Xm|²ₖ / (cₖ Nₖ − γₖ),  γₖ = (cₖ/σₖ²) Tr(H⁻¹ XᵀX)ₖ

    Raises Diverged where the labels are not finite.
    """
    used = {kind: found for kind, found in equations.items() if found.count and counts[kind] > 0}
    groups = int(group.max()) + 1
    # Energies start as trusted as can be and stresses not at all: where labels of the two disagree (Ni of Zuo et al.
    # 2020 has such) there are two maxima, and energies are what a potential is for.
    start = {"energy": 1e-4, "force": 1e-2}
    noise = {
        kind: max(math.sqrt(start.get(kind, 1.0) * found.square / found.count), LEAST_NOISE)
        for kind, found in used.items()
    }
    prior = torch.ones(groups, dtype=torch.float64)
    for iteration in range(1, ITERATIONS + 1):
        posterior = solve(equations, counts, group, prior, noise, iteration)
        covariance, mean = posterior.covariance(), posterior.mean
        found = {}
        for kind, known in used.items():
            fixed = counts[kind] / noise[kind] ** 2 * float((covariance * known.gram).sum())
            labels = counts[kind] * known.count
            left = max(labels - fixed, LEAST_LEFT * labels)
            square = counts[kind] * float(known.residual(mean)) / left
            found[kind] = max(math.sqrt(square), LEAST_NOISE)
        variances = covariance.diagonal()
        stiffer = torch.empty_like(prior)
        for place in range(groups):
            inside = group == place
            fixed = (inside.sum() - prior[place] * variances[inside].sum()).clamp(min=1e-3)
            stiffer[place] = fixed / mean[inside].pow(2).sum().clamp(min=1e-12)
        stiffer = stiffer.clamp(*PRIOR_RANGE)
        change = max(
            float((stiffer / prior).log().abs().max()),
            *(abs(math.log(found[kind] / noise[kind])) for kind in used),
        )
        prior, noise = stiffer, found
        if change < SETTLED:
            break
    return solve(equations, counts, group, prior, noise, iteration)


def solve(
    equations: Mapping[str, NormalEquations],
    counts: Mapping[str, float],
    group: Tensor,
    prior: Tensor,
    noise: Mapping[str, float],
    iterations: int = 0,
) -> Posterior:
    """The posterior for given hyperparameters (Bishop, eqs. 3.53 and 3.54; evidence 3.86).

    noise  of each kind that shall be used

    Raises Diverged where the labels are not finite.
    """
    alpha = torch.where(group >= 0, prior[group.clamp(min=0)], OFFSET)
    precision, moment = torch.diag(alpha), torch.zeros_like(alpha)
    for kind, deviation in noise.items():
        weight = counts[kind] / deviation**2
        precision.add_(equations[kind].gram, alpha=weight)
        moment.add_(equations[kind].moment, alpha=weight)
    factor, failed = torch.linalg.cholesky_ex(precision)
    if failed or not bool(torch.isfinite(moment).all()):
        raise Diverged(
            "the normal equations of the linear potential could not be solved",
            hint="Look for energies, forces or stresses that are extreme or not numbers.",
        )
    mean = torch.cholesky_solve(moment[:, None], factor)[:, 0]
    evidence = 0.5 * float(alpha.log().sum() - alpha @ mean**2) - float(factor.diagonal().log().sum())
    for kind, deviation in noise.items():
        known = equations[kind]
        terms = known.count * math.log(2 * math.pi * deviation**2) + float(known.residual(mean)) / deviation**2
        evidence -= 0.5 * counts[kind] * terms
    return Posterior(equations, counts, group, prior, dict(noise), mean, factor, evidence, iterations)
