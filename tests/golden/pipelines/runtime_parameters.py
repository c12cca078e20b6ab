"""Runtime parameters of all types, with and without defaults."""

from __future__ import annotations

from typing import Any

from tidemill import component, pipeline


@component
def use(*, a: int, b: float, c: str, d: bool, e: list[int], f: dict[str, Any] | None = None) -> None:
    """Anything."""


@pipeline(name="runtime-parameters")
def runtime_parameters(
    count: int,
    title: str,
    rate: float = 1,
    name: str = "",
    fast: bool = False,
    sizes: list[int] = [3, 5],  # noqa: B006 - a default of the pipeline, never changed
    limits: dict[str, Any] | None = None,
    guessed=7,
    pair: tuple[int, int] = (1, 2),
) -> None:
    use(a=count, b=rate, c=title, d=fast, e=sizes, f=limits)
    use(a=guessed, b=count, c=f"{name}-{count}", d=True, e=pair, f={"rate": rate}).with_id("again")
