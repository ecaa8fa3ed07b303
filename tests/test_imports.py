"""No two modules of a package need each other, be it by way of others: each can be read alone."""

from graphlib import TopologicalSorter

import grimp
import pytest


@pytest.mark.parametrize("package", ["biostudio_doctor", "checks", "exporters"])
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    """Imports within functions count; those for type checkers alone do not."""
    graph = grimp.build_graph(package, exclude_type_checking_imports=True, cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle
