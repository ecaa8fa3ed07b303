"""Several things asked at once."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio

T = TypeVar("T")
AnswerT = TypeVar("AnswerT")


async def side_by_side(
    ask: Callable[[T], Awaitable[AnswerT]], items: Iterable[T]
) -> tuple[AnswerT, ...]:
    """What `ask` gives for each of the items, in their order; where one raises, so does this."""
    answers: dict[int, AnswerT] = {}

    async def one(index: int, item: T) -> None:
        answers[index] = await ask(item)

    async with anyio.create_task_group() as tasks:
        for index, item in enumerate(items):
            tasks.start_soon(one, index, item)
    return tuple(answers[index] for index in sorted(answers))
