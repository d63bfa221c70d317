"""Rules: what a selection is made of, as JSON; each is a question that every structure answers with yes or no.

{"all": true}                                            every structure
{"positions": [0, 5, …]}                                 rows of the version
{"polygon": [[x, y], …], "map": id}                      inside a lasso on a map
{"box": [x0, x1, y0, y1], "map": id}                     inside a rectangle on a map, edges included
{"range": {"channel": …, "low": …, "high": …}}           between two values, either may be absent; "evaluation" too
{"category": {"channel": …, "value": …}}                 of a group, split, composition or decision; "" is none
{"decision": "accepted"}                                 as decided; "" is undecided
{"tag": name}                                            tagged
{"parity": {"evaluation": id, "quantity": …, "polygon": […]}}   with at least one point inside a lasso on a parity plot
{"selection": id}                                        in a selection made before
{"and": […]}  {"or": […]}  {"not": rule}                 any combination
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..errors import InvalidInput
from ..statistics.polygon import inside
from ..workbench import Workbench
from . import accuracy, channels, library, maps, members, predictions, review

DEEPEST, MOST_RULES, MOST_VERTICES, MOST_POSITIONS = 16, 200, 10_000, 100_000


def satisfying(bench: Workbench, version_id: int, rule: dict) -> np.ndarray:
    """(n,) bool: the structures of a version that satisfy a rule.

    Raises InvalidInput for what is no rule, or too large a one; NotFound for an unknown map or evaluation.
    """
    check(rule)
    return _mask(bench, version_id, rule)


def check(rule: object) -> None:
    """Raise InvalidInput unless `rule` is built as it should be; what it refers to is not looked up."""
    waiting, seen = [(rule, 1)], 0
    while waiting:
        one, depth = waiting.pop()
        seen += 1
        if depth > DEEPEST or seen > MOST_RULES:
            raise InvalidInput("the rule is too large", hint=f"At most {MOST_RULES} parts, {DEEPEST} deep.")
        name = _name(one)
        if name in ("and", "or"):
            if not isinstance(one[name], list) or not one[name]:
                raise InvalidInput(f"'{name}' takes a list of rules")
            waiting += [(part, depth + 1) for part in one[name]]
        elif name == "not":
            waiting.append((one["not"], depth + 1))


def _name(rule: object) -> str:
    found = [name for name in RULES if isinstance(rule, dict) and name in rule]
    extra = set(rule) - {*found, "map"} if isinstance(rule, dict) else set()
    if len(found) != 1 or extra:
        raise InvalidInput(
            f"a rule says one thing, found {sorted(map(str, rule)) if isinstance(rule, dict) else type(rule).__name__}",
            hint=f"Use one of: {', '.join(RULES)}.",
        )
    return found[0]


def _mask(bench: Workbench, version_id: int, rule: dict) -> np.ndarray:
    return RULES[_name(rule)](bench, version_id, rule)


def _all(bench: Workbench, version_id: int, rule: dict) -> np.ndarray:
    if rule["all"] is not True:
        raise InvalidInput('the rule for everything is {"all": true}')
    return np.ones(library.version(bench, version_id).n_structures, dtype=bool)


def _and(bench: Workbench, version_id: int, rule: dict) -> np.ndarray:
    return np.logical_and.reduce([_mask(bench, version_id, part) for part in rule["and"]])


def _or(bench: Workbench, version_id: int, rule: dict) -> np.ndarray:
    return np.logical_or.reduce([_mask(bench, version_id, part) for part in rule["or"]])


def _not(bench: Workbench, version_id: int, rule: dict) -> np.ndarray:
    return ~_mask(bench, version_id, rule["not"])


def _positions(bench: Workbench, version_id: int, rule: dict) -> np.ndarray:
    given = rule["positions"]
    if isinstance(given, list) and len(given) > MOST_POSITIONS:
        raise InvalidInput(
            f"a rule names at most {MOST_POSITIONS} rows one by one, this one has {len(given)}",
            hint="Say what they have in common, or combine selections.",
        )
    return members.mask(bench, version_id, members.rows(bench, version_id, given))


def _polygon(bench: Workbench, version_id: int, rule: dict) -> np.ndarray:
    vertices = _vertices(rule["polygon"])
    return inside(maps.points(bench, _whole(rule, "map"), version_id), vertices)


def _box(bench: Workbench, version_id: int, rule: dict) -> np.ndarray:
    ends = rule["box"]
    if not isinstance(ends, list) or len(ends) != 4:
        raise InvalidInput("a box has four sides: [x0, x1, y0, y1]")
    x0, x1, y0, y1 = (_number(end, "a side of the box") for end in ends)
    x, y = maps.points(bench, _whole(rule, "map"), version_id).T
    with np.errstate(invalid="ignore"):
        return (x >= min(x0, x1)) & (x <= max(x0, x1)) & (y >= min(y0, y1)) & (y <= max(y0, y1))


def _range(bench: Workbench, version_id: int, rule: dict) -> np.ndarray:
    given = _fields(rule, "range", {"channel", "low", "high", "evaluation"})
    evaluation = None if given.get("evaluation") is None else _whole(given, "evaluation")
    values = channels.values(bench, version_id, str(given.get("channel")), evaluation)
    low = -math.inf if given.get("low") is None else _number(given["low"], "low")
    high = math.inf if given.get("high") is None else _number(given["high"], "high")
    with np.errstate(invalid="ignore"):
        return (values >= low) & (values <= high)


def _category(bench: Workbench, version_id: int, rule: dict) -> np.ndarray:
    given = _fields(rule, "category", {"channel", "value"})
    codes, names = channels.categories(bench, version_id, str(given.get("channel")))
    value = given.get("value")
    return codes == names.index(value) if value in names else np.zeros(len(codes), dtype=bool)


def _decision(bench: Workbench, version_id: int, rule: dict) -> np.ndarray:
    if rule["decision"] not in review.DECISIONS:
        raise InvalidInput(f"'{rule['decision']}' is no decision", hint='Use "accepted", "rejected" or "".')
    return _category(bench, version_id, {"category": {"channel": "decision", "value": rule["decision"]}})


def _tag(bench: Workbench, version_id: int, rule: dict) -> np.ndarray:
    tag = str(rule["tag"])
    return _category(bench, version_id, {"category": {"channel": channels.TAG + tag, "value": tag}})


def _parity(bench: Workbench, version_id: int, rule: dict) -> np.ndarray:
    given = _fields(rule, "parity", {"evaluation", "quantity", "polygon"})
    vertices = _vertices(given.get("polygon"))
    evaluation = _whole(given, "evaluation")
    predictions.evaluation(bench, evaluation, version_id)
    plotted = accuracy.parity(bench, evaluation, str(given.get("quantity")))
    points = np.stack([plotted.reference, plotted.predicted], axis=1)
    # The lasso is given in true values, the points are kept relative to the plot's origin.
    return members.mask(bench, version_id, plotted.position[inside(points, vertices - plotted.origin)])


def _selection(bench: Workbench, version_id: int, rule: dict) -> np.ndarray:
    return members.selected(bench, version_id, str(rule["selection"]))


def _fields(rule: dict, name: str, allowed: set[str]) -> dict:
    given = rule[name]
    if not isinstance(given, dict) or set(given) - allowed:
        raise InvalidInput(f"'{name}' takes {', '.join(sorted(allowed))}")
    return given


def _vertices(polygon: object) -> np.ndarray:
    try:
        vertices = np.array(polygon, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput("a polygon is a list of points [x, y]") from error
    if vertices.ndim != 2 or vertices.shape[1] != 2 or not np.isfinite(vertices).all():
        raise InvalidInput("a polygon is a list of points [x, y]")
    if not 3 <= len(vertices) <= MOST_VERTICES:
        raise InvalidInput(f"a polygon has 3 to {MOST_VERTICES} vertices, this one has {len(vertices)}")
    return vertices


def _number(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"{what} must be a number, not {value!r}")
    try:
        number = float(value)
    except OverflowError as error:
        raise InvalidInput(f"{what} is too large a number") from error
    if math.isnan(number):
        raise InvalidInput(f"{what} must be a number, not {value!r}")
    return number


def _whole(given: dict, name: str) -> int:
    value = given.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise InvalidInput(f"'{name}' must be given as a whole number below 2³¹", hint=f"Say which {name}.")
    return value


RULES: dict[str, Callable[[Workbench, int, dict], np.ndarray]] = {
    "all": _all,
    "positions": _positions,
    "polygon": _polygon,
    "box": _box,
    "range": _range,
    "category": _category,
    "decision": _decision,
    "tag": _tag,
    "parity": _parity,
    "selection": _selection,
    "and": _and,
    "or": _or,
    "not": _not,
}
