"""What stays as it is while networks learn."""

from __future__ import annotations

from dataclasses import dataclass

from isoline_lab.descriptors.feature_map import FeatureMap
from isoline_lab.descriptors.projection import Projection
from isoline_lab.potentials.baseline import Baseline


@dataclass(frozen=True, eq=False)
class Learner:
    """Features, scaled and rotated for a training set, on top of a baseline.

    features    what the networks see of the neighbours of an atom
    projection  features → inputs of the networks
    baseline    subtracted from the labels
    warnings    for people
    """

    features: FeatureMap
    projection: Projection
    baseline: Baseline
    warnings: tuple[str, ...] = ()
