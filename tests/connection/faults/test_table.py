"""The table of all faults: each has a test in every mode that it applies to."""

from __future__ import annotations

import importlib
import inspect
import re
from collections import defaultdict
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
FOLDERS = ("connection/faults", "ingest/faults", "state/faults")
ALL = range(1, 53)
BOTH = {"kbv2", "native"}

BEFORE_A_MODE = {2, 9, 10, 11, 23}
"""These strike before a server has chosen the mode, or are decided without one."""

ONE_MODE = {45: {"kbv2"}}
"""What only one mode can suffer."""

NOT_YET: dict[int, str] = {
    45: "nothing keeps a second kbtui off a KBV2 server, and there is no --read-only",
    50: "no banner is shown for a full disk, and jobs that run are given up",
}
"""What the product does not do so far, and what is missing."""


def fault_tests():
    """Every fault test: number, function."""
    for folder in FOLDERS:
        for path in sorted((TESTS / folder).glob("test_*.py")):
            name = ".".join(("tests", *folder.split("/"), path.stem))
            for function in vars(importlib.import_module(name)).values():
                found = re.match(r"test_fault_(\d\d)_", getattr(function, "__name__", ""))
                if found:
                    yield int(found[1]), function


def modes(function):
    """The modes that a test runs in: by its fixtures and parameters, or by its name's end."""
    name = function.__name__
    for mode in BOTH:
        if name.endswith(f"_{mode}"):
            return {mode}
    if {"peer", "secure", "native", "attribution"} & set(inspect.signature(function).parameters):
        return BOTH
    return set()


def met():
    table = defaultdict(set)
    for number, function in fault_tests():
        table[number] |= {"any"} | modes(function)
    return table


@pytest.mark.parametrize("number", ALL)
def test_every_fault_has_its_tests(number):
    have = met().get(number, set())
    if number in NOT_YET:
        assert not have, "it has tests now: take it out of NOT_YET"
    elif number in BEFORE_A_MODE:
        assert have
    else:
        assert ONE_MODE.get(number, BOTH) <= have


def test_no_test_has_a_number_that_there_is_not():
    assert set(met()) <= set(ALL)
