"""Laws of the Gaussian posterior of a linear model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isoline.errors import Diverged
from isoline_lab.training.posterior import NormalEquations, Posterior, maximise_evidence, solve, update

N = 40
NOISE = {"energy": 0.05, "force": 0.4}
PRIOR = 4.0  # coefficients have a standard deviation of 0.5
ALIKE = {"energy": 1.0, "force": 1.0}


def labels(count: int, noise: float, truth: torch.Tensor, seed: int) -> NormalEquations:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(count, len(truth), dtype=torch.float64, generator=generator)
    scatter = torch.randn(count, dtype=torch.float64, generator=generator)
    found = NormalEquations.empty(len(truth))
    found.include(rows, rows @ truth + noise * scatter)
    return found


def truth(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(N, dtype=torch.float64, generator=generator) / PRIOR**0.5


def kinds(sizes: dict[str, int], seed: int) -> dict[str, NormalEquations]:
    places = ("energy", "force")
    return {kind: labels(count, NOISE[kind], truth(), seed + places.index(kind)) for kind, count in sizes.items()}


@pytest.fixture(scope="module")
def group() -> torch.Tensor:
    return torch.zeros(N, dtype=torch.int64)


def same(one: Posterior, other: Posterior) -> None:
    """To what is left of float64 after solving equations whose condition is about 1e4."""
    torch.testing.assert_close(one.mean, other.mean, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(one.covariance(), other.covariance(), rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(one.prior, other.prior, rtol=1e-8, atol=0)
    assert one.noise == pytest.approx(other.noise, rel=1e-8)


def test_the_evidence_finds_the_noise_of_each_kind_and_the_prior(group):
    found = maximise_evidence(kinds({"energy": 2000, "force": 8000}, 1), ALIKE, group)
    # A standard deviation from k numbers is known to 1/√(2k); the prior is seen through forty coefficients.
    assert found.noise["energy"] == pytest.approx(NOISE["energy"], rel=4 / np.sqrt(2 * 2000))
    assert found.noise["force"] == pytest.approx(NOISE["force"], rel=4 / np.sqrt(2 * 8000))
    assert float(found.prior[0]) == pytest.approx(PRIOR, rel=4 * np.sqrt(2 / N))


def test_no_other_noise_or_prior_makes_the_labels_more_probable(group):
    equations = kinds({"energy": 60, "force": 200}, 1)
    best = maximise_evidence(equations, ALIKE, group)
    for factor in (0.9, 1.1):
        for kind in NOISE:
            noise = {**best.noise, kind: factor * best.noise[kind]}
            assert solve(equations, ALIKE, group, best.prior, noise).evidence < best.evidence
        assert solve(equations, ALIKE, group, factor * best.prior, best.noise).evidence < best.evidence


def test_the_evidence_is_the_density_of_the_labels_themselves(group):
    generator = torch.Generator().manual_seed(3)
    rows = torch.randn(30, N, dtype=torch.float64, generator=generator)
    values = torch.randn(30, dtype=torch.float64, generator=generator)
    equations = NormalEquations.empty(N)
    equations.include(rows, values)
    found = solve({"energy": equations}, ALIKE, group, torch.tensor([2.0], dtype=torch.float64), {"energy": 0.3})
    marginal = torch.distributions.MultivariateNormal(
        torch.zeros(30, dtype=torch.float64), rows @ rows.T / 2.0 + 0.3**2 * torch.eye(30, dtype=torch.float64)
    )
    assert found.evidence == pytest.approx(float(marginal.log_prob(values)), rel=1e-10)


def test_mean_and_covariance_are_those_of_a_gaussian_conditioned_on_the_labels(group):
    generator = torch.Generator().manual_seed(4)
    rows = torch.randn(25, N, dtype=torch.float64, generator=generator)
    values = torch.randn(25, dtype=torch.float64, generator=generator)
    equations = NormalEquations.empty(N)
    equations.include(rows, values)
    found = solve({"energy": equations}, ALIKE, group, torch.tensor([2.0], dtype=torch.float64), {"energy": 0.3})
    # Conditioning the joint Gaussian of coefficients and labels, without normal equations.
    prior = torch.eye(N, dtype=torch.float64) / 2.0
    gain = prior @ rows.T @ torch.linalg.inv(rows @ prior @ rows.T + 0.3**2 * torch.eye(25, dtype=torch.float64))
    torch.testing.assert_close(found.mean, gain @ values, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(found.covariance(), prior - gain @ rows @ prior, rtol=1e-9, atol=1e-11)


def test_added_labels_give_what_a_fit_to_all_labels_gives(group):
    first, more = kinds({"energy": 80, "force": 500}, 1), kinds({"energy": 10, "force": 60}, 11)
    whole = {kind: first[kind] + more[kind] for kind in first}
    same(update(maximise_evidence(first, ALIKE, group), more), maximise_evidence(whole, ALIKE, group))


def test_labels_that_are_taken_away_leave_no_trace(group):
    first, more = kinds({"energy": 80, "force": 500}, 1), kinds({"energy": 10, "force": 60}, 11)
    before = maximise_evidence(first, ALIKE, group)
    same(update(update(before, more), {}, more), before)


def test_members_have_the_mean_of_the_posterior_and_its_covariance_on_average(group):
    found = maximise_evidence(kinds({"energy": 30, "force": 30}, 1), ALIKE, group)
    draws = torch.stack([found.draw(8, seed) for seed in range(800)])
    # Exact but for round-off of sums of eight.
    torch.testing.assert_close(draws.mean(2), found.mean.expand(800, -1), rtol=0, atol=1e-12)
    free = (found.factor.T @ (draws - found.mean[:, None])).permute(1, 0, 2)
    covariance = torch.einsum("fsk,gsk->fg", free, free) / (800 * 7)
    # 5600 degrees of freedom: elements err by √(1/5600) = 0.013, twice the square root of that on the diagonal.
    torch.testing.assert_close(covariance, torch.eye(N, dtype=torch.float64), rtol=0, atol=5 * np.sqrt(2 / 5600))


def test_members_repeat_with_the_seed_and_one_member_is_the_mean(group):
    found = maximise_evidence(kinds({"energy": 30, "force": 30}, 1), ALIKE, group)
    assert torch.equal(found.draw(4, 1), found.draw(4, 1))
    assert not torch.equal(found.draw(4, 1), found.draw(4, 2))
    assert torch.equal(found.draw(1, 1)[:, 0], found.mean)


def test_a_kind_without_labels_changes_nothing(group):
    energies = kinds({"energy": 80}, 1)
    alone = maximise_evidence(energies, ALIKE, group)
    same(maximise_evidence({**energies, "force": NormalEquations.empty(N)}, ALIKE, group), alone)
    assert set(alone.noise) == {"energy"}


def test_labels_that_count_half_count_as_half_as_many(group):
    once, twice = kinds({"energy": 80}, 1), kinds({"energy": 80}, 1)
    doubled = {"energy": twice["energy"] + twice["energy"]}
    same(maximise_evidence(doubled, {"energy": 0.5}, group), maximise_evidence(once, {"energy": 1.0}, group))


def test_fewer_labels_than_coefficients_still_have_an_answer(group):
    found = maximise_evidence(kinds({"energy": 5}, 1), ALIKE, group)
    assert torch.isfinite(found.mean).all()
    assert torch.isfinite(found.covariance()).all()


def test_labels_that_are_not_finite_are_refused(group):
    equations = NormalEquations.empty(N)
    equations.include(torch.ones(2, N), torch.tensor([1.0, float("inf")]))
    with pytest.raises(Diverged):
        solve({"energy": equations}, ALIKE, group, torch.ones(1, dtype=torch.float64), {"energy": 0.1})
