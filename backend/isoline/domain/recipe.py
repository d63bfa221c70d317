"""Recipes: one frozen class per kind of work, used as form, REST body, JSON column, worker argument and provenance."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from .contract import Contract

LARGEST_ID = 2**31 - 1


class Recipe(BaseModel):
    """What to compute and from what; equal recipes on equal inputs give equal results."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def key(self, *inputs: str) -> str:
        """32 hex digits that name the result of this recipe on `inputs` (content keys)."""
        text = json.dumps([self.model_dump(mode="json"), *inputs], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class SoapDescriptor(Recipe):
    """Smooth overlap of atomic positions, power spectrum (Bartók et al., PRB 87, 184115, 2013)."""

    kind: Literal["soap"] = "soap"
    cutoff: float = Field(5.0, gt=1.0, le=12.0, description="Radius of an environment, Å")
    n_max: int = Field(6, ge=1, le=12, description="Radial functions")
    l_max: int = Field(4, ge=0, le=8, description="Highest angular momentum")
    width: float = Field(0.5, gt=0.05, le=2.0, description="Gaussian width of an atom, Å")


class AcsfDescriptor(Recipe):
    """Atom-centred symmetry functions G2 and G5 (Behler, J. Chem. Phys. 134, 074106, 2011)."""

    kind: Literal["acsf"] = "acsf"
    cutoff: float = Field(6.0, gt=1.0, le=12.0, description="Radius of an environment, Å")
    n_radial: int = Field(8, ge=1, le=32, description="Radial functions (G2) per element")
    n_angular: int = Field(4, ge=0, le=16, description="Radial factors of the angular functions (G5) per element")


Descriptor = Annotated[SoapDescriptor | AcsfDescriptor, Field(discriminator="kind")]


class Describe(Recipe):
    """Descriptors of every structure of a dataset version, and their two-dimensional maps."""

    kind: Literal["describe"] = "describe"
    version: int = Field(ge=0, le=LARGEST_ID, description="Dataset version id")
    descriptor: Descriptor = Field(default_factory=SoapDescriptor)
    neighbours: int = Field(15, ge=2, le=200, description="UMAP: neighbours that define closeness")
    min_dist: float = Field(0.1, ge=0.0, le=0.99, description="UMAP: how tightly points may pack")
    seed: int = Field(0, ge=0)


CLASSIC: dict[str, Any] = {
    "members": 4,
    "cutoff": 5.0,
    "hidden": (32, 32),
    "weight_decay": 0.1,
    "weighting": "fixed",
    "stress_weight": 0.1,
}

MESSAGES: dict[str, Any] = {
    "members": 4,
    "cutoff": 5.0,
    "l_max": 2,
    "hidden": (16,),
    "batch_size": 2,
    "learning_rate": 0.03,
    "weight_decay": 0.1,
    "weighting": "fixed",
    "stress_weight": 0.1,
}

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "body-ordered": {
        "fast": {"inputs": 96, "epochs": 25},
        "balanced": {"inputs": 240, "epochs": 40},
        "accurate": {"inputs": 400, "epochs": 60, "cutoff": 6.0},
    },
    "behler-parrinello": {
        "fast": CLASSIC | {"inputs": 96, "epochs": 50},
        "balanced": CLASSIC | {"inputs": 128, "epochs": 100},
        "accurate": CLASSIC | {"inputs": 192, "epochs": 200, "members": 8},
    },
    "message-passing": {
        "fast": MESSAGES | {"epochs": 20, "channels": 16},
        "balanced": MESSAGES | {"epochs": 60, "channels": 32},
        "accurate": MESSAGES | {"epochs": 200, "channels": 64},
    },
}
"""What each family takes for the fields that are not given, for each level of accuracy."""


def only(*families: str) -> dict[str, list[str]]:
    """Marks a field that only some families look at."""
    return {"families": list(families)}


class Train(Recipe):
    """A committee of potentials learned from energies, forces and stresses.

    Fields that are not given take the preset of the family and accuracy, if it names them.
    """

    kind: Literal["train"] = "train"
    version: int = Field(ge=0, le=LARGEST_ID, description="Dataset version id")
    name: str = Field("", max_length=80, description="Name of the model; made from the dataset's if empty")
    start: int = Field(0, ge=0, le=LARGEST_ID, description="Model whose weights training starts from; 0 starts afresh")
    family: Literal["body-ordered", "behler-parrinello", "message-passing"] = Field(
        "body-ordered", description="Kind of potential: body-ordered, behler-parrinello or message-passing"
    )
    head: Literal["network", "linear"] = Field(
        "network",
        description="What reads the features: networks, or a linear model whose posterior is the committee",
        json_schema_extra=only("body-ordered"),
    )
    accuracy: Literal["fast", "balanced", "accurate"] = Field(
        "balanced", description="Preset for sizes and length of training: fast, balanced or accurate"
    )
    members: int = Field(8, ge=1, le=32, description="Potentials in the committee")
    cutoff: float = Field(5.5, gt=1.0, le=10.0, description="Radius of an environment, Å")
    channels: int = Field(
        32, ge=1, le=256, description="Channels of each angular momentum", json_schema_extra=only("message-passing")
    )
    l_max: int = Field(
        4,
        ge=0,
        le=6,
        description="Highest angular momentum; at most 2 where messages are passed",
        json_schema_extra=only("body-ordered", "message-passing"),
    )
    l_product: int = Field(
        3, ge=0, le=4, description="Highest angular momentum of products", json_schema_extra=only("body-ordered")
    )
    products: Literal[2, 4, 8] = Field(
        8,
        description="Pairs of densities that are multiplied for higher body orders: 2, 4 or 8",
        json_schema_extra=only("body-ordered"),
    )
    layers: int = Field(
        2, ge=1, le=4, description="Times that messages are passed", json_schema_extra=only("message-passing")
    )
    n_radial: int = Field(
        10,
        ge=1,
        le=32,
        description="Radial symmetry functions per element",
        json_schema_extra=only("behler-parrinello"),
    )
    n_angular: int = Field(
        6,
        ge=0,
        le=12,
        description="Radial factors of the angular symmetry functions per element",
        json_schema_extra=only("behler-parrinello"),
    )
    inputs: int = Field(
        128,
        ge=1,
        le=1024,
        description="Combinations of features that the networks see",
        json_schema_extra=only("body-ordered", "behler-parrinello"),
    )
    hidden: tuple[int, ...] = Field((32, 32), description="Widths of the hidden layers of each network")
    repulsion: bool = Field(True, description="Screened nuclear repulsion below the distances of the training set")
    epochs: int = Field(100, ge=1, le=100_000, description="Largest number of passes over the training set")
    patience: int = Field(40, ge=1, description="Epochs without a better validation loss before stopping")
    batch_size: int = Field(8, ge=1, le=4096, description="Structures per step")
    learning_rate: float = Field(3e-3, gt=0, le=1, description="Largest step of the optimiser")
    weight_decay: float = Field(2.0, ge=0, description="Pull of the network's weights towards zero")
    weighting: Literal["noise", "fixed"] = Field(
        "noise",
        description="Weights of labels: from their estimated noise, times those below, or those below alone",
        json_schema_extra=only("body-ordered", "behler-parrinello"),
    )
    force_priority: float = Field(
        3.0,
        gt=0,
        description="How many times more forces count than their noise says",
        json_schema_extra=only("body-ordered", "behler-parrinello"),
    )
    energy_weight: float = Field(1.0, ge=0, description="Weight of squared energy errors, per atom")
    force_weight: float = Field(1.0, ge=0, description="Weight of squared force errors, per component")
    stress_weight: float = Field(0.03, ge=0, description="Weight of squared stress errors times volume, per atom")
    direct_forces: bool = Field(
        False,
        description="Read forces directly instead of as slopes of the energy: faster, but energy is not conserved",
        json_schema_extra=only("message-passing"),
    )
    net_force_penalty: float = Field(
        0.0,
        ge=0,
        description="Weight of squared net forces of direct forces",
        json_schema_extra=only("message-passing"),
    )
    validation_fraction: float = Field(
        0.1, gt=0, lt=0.9, description="Held out where the dataset assigns no validation split"
    )
    levels_of_theory: Literal["one", "mixed"] = Field(
        "one", description="Whether labels of several levels of theory may be learned from together: one or mixed"
    )
    seed: int = Field(0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: Any) -> Any:
        """Take what is not given from the preset, unless there is none for what was asked."""
        if not isinstance(given, dict):
            return given
        family = given.get("family", cls.model_fields["family"].default)
        accuracy = given.get("accuracy", cls.model_fields["accuracy"].default)
        return PRESETS.get(family, {}).get(accuracy, {}) | given


class Evaluate(Recipe):
    """A model's predictions, committee spread and errors on a dataset version."""

    kind: Literal["evaluate"] = "evaluate"
    model: int = Field(
        ge=0, le=LARGEST_ID, description="Model id; 0 means the model made by the job this one waits for"
    )
    version: int = Field(ge=0, le=LARGEST_ID, description="Dataset version id")


class Adopt(Recipe):
    """A guest taken in as a model: it is seen to work, and its zero of energy is fitted to a dataset version."""

    kind: Literal["adopt"] = "adopt"
    guest: str = Field(min_length=1, max_length=40, description="Name of the guest")
    version: int = Field(ge=0, le=LARGEST_ID, description="Dataset version id")
    name: str = Field("", max_length=80, description="Name of the model; the guest's if empty")
    settings: dict[str, str | bool | int | float] = Field(
        default_factory=dict, max_length=20, description="Arguments that this guest leaves to choose"
    )
    shift: bool = Field(True, description="Fit energies of atoms, since other references have another zero of energy")
    structures: int = Field(100, ge=1, le=10_000, description="Structures that these are fitted to")


class Import(Recipe):
    """Files brought into a dataset, read as the label contract says."""

    kind: Literal["import"] = "import"
    uploads: tuple[str, ...] = Field(min_length=1, max_length=1000, description="Ids of uploaded files")
    dataset: str = Field(min_length=1, max_length=80, description="Dataset to create or extend")
    contract: Contract = Field(default_factory=Contract)
    split: Literal["", "train", "validation", "test"] = Field(
        "", description="Split of all frames; their own if not given"
    )


class Sample(Recipe):
    """One of the sample projects that come with the program."""

    kind: Literal["sample"] = "sample"
    name: Literal["silicon", "ethanol"]


AnyRecipe = Annotated[Describe | Train | Evaluate | Adopt | Import | Sample, Field(discriminator="kind")]

RECIPE: TypeAdapter[AnyRecipe] = TypeAdapter(AnyRecipe)
