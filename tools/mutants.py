# SPDX-License-Identifier: GPL-3.0-or-later
"""Do the tests notice when the code is wrong? Runs mutmut over a sample of all mutants (`make mutants`).

What is changed and which tests are run stands in pyproject.toml under ``tool.mutmut``. All mutants would take hours: a
sample is drawn with a fixed seed, the same share of every file. Runs in a Python that has mutmut beside all that the
tests need; prints the score by file, and what survived.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import re
import shutil
import sys
from collections import Counter
from collections.abc import Set
from pathlib import Path
from typing import Any

# mutmut's exit codes. What takes too long may be an endless loop or a busy machine: it counts for neither side.
_SURVIVED, _NO_TESTS, _TOO_LONG = 0, 33, {-24, 24, 36, 152, 255}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=150, help="mutants of the sample (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each mutant imports all of it
    shutil.rmtree("mutants", ignore_errors=True)
    _generate()
    known = {path: list(_results(path)) for path in sorted(Path("mutants").rglob("*.meta"))}
    total = sum(map(len, known.values()))
    rng = random.Random(options.seed)
    drawn = [
        (path, name)
        for path, names in known.items()
        for name in rng.sample(names, min(len(names), -(-len(names) * options.count // total)))
    ]
    chosen = [name for _, name in rng.sample(drawn, min(len(drawn), options.count))]
    for path in known:
        _keep_only(path.with_suffix(""), {name.rpartition(".")[2] for name in chosen})
    print(f"{len(chosen)} of {total} mutants", flush=True)
    _run(chosen)
    wanted, survivors = set(chosen), []
    print("\n| file | mutants | noticed | in none of the tests | took too long |\n|---|---|---|---|---|")
    whole: Counter[str] = Counter()
    for path in known:
        found = {name: code for name, code in _results(path).items() if name in wanted and code is not None}
        if not found:
            continue
        missed = [name for name, code in found.items() if code in (_SURVIVED, _NO_TESTS)]
        untested = sum(code == _NO_TESTS for code in found.values())
        too_long = sum(code in _TOO_LONG for code in found.values())
        noticed = len(found) - len(missed) - too_long
        survivors += missed
        whole.update(all=len(found), noticed=noticed, untested=untested, too_long=too_long)
        name = path.relative_to("mutants").with_suffix("")
        print(f"| `{name}` | {len(found)} | {noticed} | {untested} | {too_long} |")
    print(f"| all | {whole['all']} | {whole['noticed']} | {whole['untested']} | {whole['too_long']} |")
    decided = whole["all"] - whole["too_long"]
    print(f"\nScore: {whole['noticed'] / max(decided, 1):.0%}. What survived (mutmut show NAME):")
    print("\n".join(survivors))
    return 0


def _generate() -> None:
    """Write the mutants, without a run: so far mutmut has no command for it."""
    from mutmut import __main__ as mutmut

    Path("mutants").mkdir(exist_ok=True)
    mutmut.copy_src_dir()
    mutmut.copy_also_copy_files()
    mutmut.setup_source_paths()
    mutmut.create_mutants(2)


def _keep_only(path: Path, names: Set[str]) -> None:
    """Take all other mutants out of a file of mutmut's: with all of them it is a hundred times as long as the source,
    and Python takes longer to compile it than the tests take."""
    text = path.read_text("utf-8")
    drop: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and re.search(r"__mutmut_\d+$", node.name) and node.name not in names:
            drop.update(range(node.lineno - len(node.decorator_list), (node.end_lineno or node.lineno) + 1))
    kept = []
    for number, line in enumerate(text.splitlines(), 1):
        listed = re.match(r"mutants_\w+\['(\w+__mutmut_\d+)'\] = ", line)
        if number not in drop and (listed is None or listed[1] in names):
            kept.append(line)
    path.write_text("\n".join(kept) + "\n", "utf-8")


def _run(chosen: list[str]) -> None:
    """Which tests reach which function, then each mutant, its quickest tests first. mutmut would run all tests once
    more in between, without a mutant; they have just passed."""
    from mutmut import __main__ as mutmut
    from mutmut.state import state
    from mutmut.utils.format_utils import mangled_name_from_mutant_name
    from mutmut.workers import isolation

    runner = mutmut.get_mutant_runner(2)
    submit, collect = runner.submit, mutmut.collect_or_load_stats

    def quickest_first(name: str, tests: list[str], *limits: Any) -> None:
        submit(name, sorted(tests, key=lambda test: state().duration_by_test[test]), *limits)

    def collected(*args: Any, **more: Any) -> None:
        collect(*args, **more)
        # What runs in the engine's own process nobody sees here; the mutant is told to it by the environment.
        found = state().tests_by_mangled_function_name
        spoken_to = {test for test in state().duration_by_test if "test_server.py" in test}
        for name in chosen:
            if ".server." in name:
                found[mangled_name_from_mutant_name(name)] |= spoken_to

    runner.submit = quickest_first
    mutmut.collect_or_load_stats = collected
    runner.run_clean_tests = lambda tests: 0
    mutmut.get_mutant_runner = lambda *_: runner
    assert isinstance(runner, isolation.ForkServerRunner)
    mutmut._run(chosen, 2)


def _results(path: Path) -> dict[str, int | None]:
    """Exit code by mutant, of one file."""
    return dict(json.loads(path.read_text("utf-8"))["exit_code_by_key"])


if __name__ == "__main__":
    sys.exit(main())
