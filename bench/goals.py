"""One line of a benchmark that has a goal: what was measured, and what must hold."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A measured figure beside its bound."""

    number: str
    """Such as P3."""
    what: str
    """What was done, with sizes, and what it is measured against."""
    measured: float | None
    """None where it could not be measured here; `note` says why."""
    bound: float
    unit: str = "x"
    at_most: bool = True
    """Whether the bound is an upper one."""
    note: str = ""
    """The figures behind a ratio, with their units; or why there is no figure."""

    @property
    def met(self) -> bool | None:
        """Whether the bound holds; None where nothing was measured."""
        if self.measured is None:
            return None
        return self.measured <= self.bound if self.at_most else self.measured >= self.bound

    def __str__(self) -> str:
        sign = "<=" if self.at_most else ">="
        verdict = {True: "met", False: "MISSED", None: "not measured"}[self.met]
        figure = "-" if self.measured is None else f"{self.measured:.3g} {self.unit}"
        bound = f"{sign} {self.bound:g} {self.unit}"
        return f"{self.number:<4} {figure:>12}  {bound:<12} {verdict:<12}  {self.what}  ({self.note})"
