"""No two modules of the engine need each other, be it by way of others: each can be read alone."""

from graphlib import TopologicalSorter

import grimp


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports within functions count; those for type checkers alone do not."""
    graph = grimp.build_graph(
        "biostudio_doctor", exclude_type_checking_imports=True, cache_dir=None
    )
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle
