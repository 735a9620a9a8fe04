"""Which profiles there are, by benchmark. A module of profiles names its own in PROFILES."""

from __future__ import annotations

import functools
import importlib

from geovr.evaluation.profiles.profile import Profile

MODULES: tuple[str, ...] = (
    "vsi",
    "revsi",
    "vsti",
    "spbench",
    "spar",
    "mmsi",
    "viewspatial",
    "mindcube",
    "sti",
    "cv_bench",
    "blink",
    "own",
)
"""Modules of this package with PROFILES, a tuple of Profile."""


@functools.cache
def profiles_of(benchmark: str) -> dict[str, Profile]:
    """Name -> profile, of those that can score a benchmark; the official one comes first."""
    found = {}
    for module in MODULES:
        loaded = importlib.import_module(f"{__package__}.{module}")
        for profile in loaded.PROFILES:
            if benchmark in profile.benchmarks:
                found[profile.name] = profile
    return dict(sorted(found.items(), key=lambda pair: pair[0] != "official"))
