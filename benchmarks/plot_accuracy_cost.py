"""Accuracy against cost, from what speed.py measured, as SVG and as a table in Markdown.

    python benchmarks/plot_accuracy_cost.py speed.json --figure docs/accuracy-cost.svg

Across: processor time per atom and step, µs, on the thread count of the measurement. Up: root mean square error of
forces on the test set, eV/Å. Left and low is good. A potential without errors (NEP, whose weights are made up) is a
vertical line; the published MTP, whose cost is of another machine, a horizontal one. The table goes to standard
output.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot

NAMES = {
    "ours": "Isoline",
    "gap": "GAP",
    "mace": "MACE, small",
    "chgnet": "CHGNet, pretrained",
    "nep": "NEP (cost only)",
}
LEFT_OUT = ("ours_float64", "featomic", "soap_float64", "soap_float32")
MTP_FORCE_RMSE = 0.088  # eV/Å on silicon, the potential of Zuo et al., J. Phys. Chem. A 124, 731 (2020)
OURS, THEIRS, REFERENCE = "#0b7285", "#495057", "#adb5bd"


def rows(report: dict) -> list[tuple[str, bool, float, dict]]:
    """Name, whether it is ours, µs per atom and step, and errors ({} if it has none), fastest first."""
    found = [
        (NAMES.get(name, f"Isoline, {name}"), name not in NAMES or name == "ours", times, report["test"].get(name, {}))
        for name, times in report["times"].items()
        if name not in LEFT_OUT
    ]
    found = [(name, own, times["processor_us_per_atom"], errors) for name, own, times, errors in found]
    return sorted(found, key=lambda row: row[2])


def table(report: dict) -> str:
    lines = [
        "| | µs per atom and step | × ours | energy, meV/atom | forces, eV/Å |",
        "|---|---|---|---|---|",
    ]
    own = report["times"]["ours"]["processor_us_per_atom"]
    for name, _, cost, errors in rows(report):
        accuracy = f"{1e3 * errors['energy_rmse']:.2f} | {errors['force_rmse']:.3f}" if errors else "– | –"
        lines.append(f"| {name} | {cost:.0f} | {cost / own:.2f} | {accuracy} |")
    return "\n".join(lines)


def draw(report: dict, path: Path) -> None:
    with pyplot.rc_context({"font.family": "sans-serif", "svg.fonttype": "none", "svg.hashsalt": "isoline"}):
        figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
        axes.axhline(MTP_FORCE_RMSE, color=REFERENCE, linestyle="--", linewidth=1)
        axes.annotate(
            "MTP, published",
            (0.99, MTP_FORCE_RMSE),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="right",
            color=THEIRS,
        )
        for name, own, cost, errors in rows(report):
            colour = OURS if own else THEIRS
            if not errors:
                axes.axvline(cost, color=REFERENCE, linestyle=":", linewidth=1.5)
                axes.annotate(
                    name,
                    (cost, 0.97),
                    xycoords=("data", "axes fraction"),
                    xytext=(-4, 0),
                    textcoords="offset points",
                    rotation=90,
                    ha="right",
                    va="top",
                    color=THEIRS,
                )
                continue
            axes.plot(cost, errors["force_rmse"], "o", color=colour, markersize=8 if own else 6)
            axes.annotate(
                name,
                (cost, errors["force_rmse"]),
                xytext=(0, 9),
                textcoords="offset points",
                ha="center",
                color=colour,
                fontweight="bold" if own else "normal",
            )
        axes.set(
            xscale="log",
            yscale="log",
            xlabel=f"processor time, µs per atom and step ({report['atoms']} atoms, {report['threads']} thread)",
            ylabel="force error on the test set, eV/Å",
        )
        ticks = [0.05, 0.07, 0.1, 0.15, 0.2, 0.3]
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.yaxis.minorticks_off()
        axes.margins(x=0.12, y=0.15)
        axes.spines[["top", "right"]].set_visible(False)
        # No date: the same measurement makes the same file.
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, help="what speed.py --json printed")
    parser.add_argument("--figure", type=Path, help="SVG to write")
    arguments = parser.parse_args()
    report = json.loads(arguments.report.read_text())
    print(table(report))
    if arguments.figure:
        draw(report, arguments.figure)


if __name__ == "__main__":
    main()
