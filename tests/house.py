"""Print the house in figures, by `python -m tests.house`: lines per room, ties, floors and circles."""

from __future__ import annotations

import tomllib
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

PACKAGE = Path(__file__).parent.parent / "calypso_nb"
FACES = ("__init__", "__main__")

# The rooms that each room imports, inside functions too, but not for types alone.
Ties = dict[str, set[str]]


def room(module: str) -> str:
    """Return the room of a module: a folder or a file right below the package."""
    return [*module.split("."), FACES[0]][1]


def read_ties() -> Ties:
    """Return the rooms that each room imports; the package's own face is none."""
    graph = grimp.build_graph("calypso_nb", exclude_type_checking_imports=True, cache_dir=None)
    ties: Ties = {room(module): set() for module in graph.modules}
    for module in graph.modules:
        ties[room(module)] |= {room(other) for other in graph.find_modules_directly_imported_by(module)}
    for face in FACES:
        ties.pop(face, None)
    return {one: others & ties.keys() - {one} for one, others in ties.items()}


def circles(ties: Ties) -> list[set[str]]:
    """Return the groups of rooms that can each reach the others."""
    reach = {one: reachable(one, ties) for one in ties}
    groups = [{other for other in reach[one] if one in reach[other]} for one in ties]
    return [group for number, group in enumerate(groups) if len(group) > 1 and group not in groups[:number]]


def reachable(start: str, ties: Ties) -> set[str]:
    """Return the rooms that a room needs, and theirs."""
    found, ahead = set[str](), [start]
    while ahead:
        new = ties[ahead.pop()] - found
        found |= new
        ahead += new
    return found


def floors(ties: Ties) -> list[list[str]] | None:
    """Return the rooms by floor, those that need no other first; None if there is a circle."""
    sorter = TopologicalSorter(ties)
    try:
        sorter.prepare()
    except CycleError:
        return None
    found = []
    while sorter.is_active():
        found.append(sorted(sorter.get_ready()))
        sorter.done(*found[-1])
    return found


def lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def upward(ties: Ties, layers: list[str]) -> list[str]:
    """Return the ties from a room to one above it, or beside it on the same floor."""
    floor = {name: number for number, layer in enumerate(layers) for name in layer.split(" | ")}
    return [f"{one} > {other}" for one in ties for other in ties[one] if floor[other] <= floor[one]]


def main() -> None:
    ties = read_ties()
    by_room = Counter[str]()
    count = Counter[str]()
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        by_room[name] += lines(path)
        count[name] += 1
    print("| room | modules | lines | imports |\n| --- | ---: | ---: | --- |")
    for name in sorted(by_room, key=lambda name: (not (PACKAGE / name).is_dir(), name)):
        print(f"| {name} | {count[name]} | {by_room[name]:,} | {', '.join(sorted(ties.get(name, ())))} |")
    print(f"| all | {sum(count.values())} | {sum(by_room.values()):,} | |\n")
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    [contract] = project["tool"]["importlinter"]["contracts"]
    by_floor = floors(ties)
    print(f"rooms: {len(ties)}")
    print(f"floors: {len(by_floor) if by_floor else 'none, there is a circle'}")
    print(f"ties: {sum(map(len, ties.values()))}")
    print(f"ties upwards: {upward(ties, contract['layers'])}")
    print(f"circles: {[sorted(group) for group in circles(ties)]}")


if __name__ == "__main__":
    main()
