"""Runs by an image's own Python, without GeoVR's code, and says as JSON what is in it."""

import json
import subprocess
from importlib.metadata import distributions
from pathlib import Path
from typing import Any


def python_packages() -> list[dict[str, Any]]:
    """Name, version and what each distribution says of its licence."""
    found = []
    for one in distributions():
        told = one.metadata
        name = told["Name"]
        classified = [c for c in told.get_all("Classifier") or [] if c.startswith("License ::")]
        # some put the whole text there
        licence = str(told["License-Expression"] or told["License"] or "").strip()
        short = licence if "\n" not in licence and len(licence) < 100 else ""
        by_class = classified[-1].rsplit(" :: ", 1)[-1] if classified else ""
        found.append({"name": name, "version": one.version, "licence": short or by_class})
    return found


def debian_packages() -> list[dict[str, Any]]:
    """Name, version, architecture and the licences that the copyright file names."""
    listed = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package}\t${Version}\t${Architecture}\n"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = []
    for line in listed.splitlines():
        name, version, architecture = line.split("\t")
        path = Path("/usr/share/doc") / name / "copyright"
        text = path.read_text(errors="replace") if path.is_file() else ""
        licences = {
            row.partition(":")[2].strip() for row in text.splitlines() if row.startswith("License:")
        }
        found.append(
            {
                "name": name,
                "version": version,
                "architecture": architecture,
                "licences": sorted(filter(None, licences)),
            }
        )
    return found


def ffmpeg_libraries() -> list[dict[str, Any]]:
    """The libraries of FFmpeg that PyAV brings, as they tell themselves, and those beside them."""
    import av
    from av import _core

    found = [
        {
            "name": name,
            "version": ".".join(map(str, told["version"])),
            "licence": told["license"],
            "configuration": told["configuration"],
        }
        for name, told in sorted(_core.library_meta.items())
    ]
    beside = Path(av.__file__).parent.parent / "av.libs"
    files = sorted(path.name for path in beside.glob("*.so*"))
    told_of = tuple(one["name"] for one in found)
    found += [
        {"name": file, "version": "", "licence": "", "configuration": ""}
        for file in files
        if not file.startswith(told_of)
    ]
    return found


if __name__ == "__main__":
    print(
        json.dumps(
            {
                "python": python_packages(),
                "debian": debian_packages(),
                "ffmpeg": ffmpeg_libraries(),
            }
        )
    )
