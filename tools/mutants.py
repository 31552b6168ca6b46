# SPDX-License-Identifier: GPL-3.0-or-later
"""Do the tests notice when the code is wrong? Runs mutmut over a sample of all mutants (`make mutants`).

What is changed and which tests are run stands in pyproject.toml under ``tool.mutmut``. All mutants would take hours: a
sample is drawn with a fixed seed, the same share of every file. Runs in a Python that has mutmut beside all that the
tests need; prints the score by file, and what survived.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

# mutmut's exit codes.
_SURVIVED, _NO_TESTS = 0, 33


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=150, help="mutants of the sample (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    _generate()
    known = {path: list(_results(path)) for path in sorted(Path("mutants").rglob("*.meta"))}
    total = sum(map(len, known.values()))
    rng = random.Random(options.seed)
    chosen = [
        name
        for names in known.values()
        for name in rng.sample(names, min(len(names), -(-len(names) * options.count // total)))
    ]
    print(f"{len(chosen)} of {total} mutants", flush=True)
    mutmut = Path(sys.executable).with_name("mutmut")
    done = subprocess.run([mutmut, "run", "--max-children", "2", *chosen], check=False)
    wanted, survivors = set(chosen), []
    print("\n| file | mutants | noticed | in none of the tests |\n|---|---|---|---|")
    whole: Counter[str] = Counter()
    for path in known:
        found = {name: code for name, code in _results(path).items() if name in wanted and code is not None}
        if not found:
            continue
        missed = [name for name, code in found.items() if code in (_SURVIVED, _NO_TESTS)]
        untested = sum(code == _NO_TESTS for code in found.values())
        survivors += missed
        whole.update(all=len(found), noticed=len(found) - len(missed), untested=untested)
        name = path.relative_to("mutants").with_suffix("")
        print(f"| `{name}` | {len(found)} | {len(found) - len(missed)} | {untested} |")
    print(f"| all | {whole['all']} | {whole['noticed']} | {whole['untested']} |")
    print(f"\nScore: {whole['noticed'] / max(whole['all'], 1):.0%}. What survived (mutmut show NAME):")
    print("\n".join(survivors))
    return done.returncode


def _generate() -> None:
    """Write the mutants, without a run: so far mutmut has no command for it."""
    from mutmut import __main__ as mutmut  # type: ignore[import-not-found]

    Path("mutants").mkdir(exist_ok=True)
    mutmut.copy_src_dir()
    mutmut.copy_also_copy_files()
    mutmut.setup_source_paths()
    mutmut.create_mutants(2)


def _results(path: Path) -> dict[str, int | None]:
    """Exit code by mutant, of one file."""
    return dict(json.loads(path.read_text("utf-8"))["exit_code_by_key"])


if __name__ == "__main__":
    sys.exit(main())
