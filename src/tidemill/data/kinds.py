"""The few kinds of columns tidemill tells apart, by name alone: who only reads statistics needs no Arrow."""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal["int", "float", "string", "bool", "timestamp", "other", "empty"]
"""`empty`: no value was ever seen, so any kind may follow. `other`: counted, not looked into."""

KINDS: tuple[str, ...] = get_args(Kind)
