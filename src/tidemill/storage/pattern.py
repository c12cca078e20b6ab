"""File patterns: which external files a run reads, and what was in them when it looked.

A pattern is a path with `{YYYY}`, `{MM}` and `{DD}`, or with `{SPAN}` (`{SPAN:w}`: w digits); beside
either a `{VERSION}` (`{VERSION:w}`); and `*` within a name. The span of a date is the number of days
since 1970-01-01 (TFX's rule), so that both forms have one order.

This room knows names, sizes and digests of files; it knows neither their formats nor runs.
"""

from __future__ import annotations

import bisect
import dataclasses
import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tidemill.errors import ResolutionError, did_you_mean
from tidemill.storage.external import ExternalFiles, KnownFiles, LocalFiles, RemoteFiles, nothing_known
from tidemill.types.source import FileSet

_EPOCH = datetime.date(1970, 1, 1)
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_DATE_DIGITS = {"YYYY": 4, "MM": 2, "DD": 2}
_COUNTER = re.compile(r"(SPAN|VERSION)(?::([1-9]\d?))?")
_KNOWN = (*_DATE_DIGITS, "SPAN", "VERSION")


def resolve_files(
    pattern: str,
    *,
    date: str | None = None,
    span: int | None = None,
    window: int = 1,
    skip: int = 0,
    since: int | str | None = None,
    base: Path | None = None,
    known: KnownFiles = nothing_known,
) -> FileSet:
    """The files that `pattern` names, oldest span first, then by path; each with size and digest.

    With `date` (YYYY-MM-DD) or `span`: the `window` spans that end `skip` spans before it; without: before
    the newest span found. The newest must exist; older ones may be missing. Nothing before the span or
    day `since` is read; a window of 0 goes back to it. Of each span the highest `{VERSION}` is taken.
    Relative patterns are relative to `base`, by default the working directory. What `known` has is not read
    again unless it changed.

    Errors: ResolutionError for a malformed pattern or when nothing matches (it says what was looked
    for and what exists nearest); StorageError when a folder or file cannot be read.
    """
    parsed = _parse(pattern)
    _check_range(parsed, date, span, window, skip, since)
    files = _storage(parsed, base or Path.cwd(), known)
    wanted = _day_number(date) if date is not None else span
    since = _day_number(since) if isinstance(since, str) else since
    if wanted is None:
        found = _search(parsed, files, None)
        newest = max((f.span for f in found), default=0) - skip
        wanted = max((f.span for f in found if f.span <= newest), default=newest)
    else:
        wanted -= skip
        found = _search(parsed, files, range(wanted - window + 1, wanted + 1) if window else None)
        if not any(f.span == wanted for f in found):
            raise _span_missing(parsed, files, wanted)
    if parsed.spanned:
        bounds = ([wanted - window + 1] if window else []) + ([] if since is None else [since])
        found = [f for f in found if max(bounds) <= f.span <= wanted]
    if not found:
        raise _nothing_found(parsed, files)
    return _file_set(parsed, files, found)


def list_files(pattern: str, *, base: Path | None = None, known: KnownFiles = nothing_known) -> FileSet:
    """Every file of every span that the pattern names today, of each span the highest version; maybe none."""
    parsed = _parse(pattern)
    files = _storage(parsed, base or Path.cwd(), known)
    return _file_set(parsed, files, _search(parsed, files, None))


def list_spans(pattern: str, *, base: Path | None = None) -> list[int]:
    """Every span that the pattern has a file of today, oldest first. Only names are looked at.

    ResolutionError for a malformed pattern or one without spans; StorageError as for `resolve_files`.
    """
    parsed = _parse(pattern)
    if not parsed.spanned:
        raise ResolutionError(
            "a file pattern without spans has no new ones",
            where=repr(pattern),
            hint="put {YYYY}-{MM}-{DD} or {SPAN} into the pattern",
        )
    files = _storage(parsed, base or Path.cwd(), nothing_known)
    return sorted({found.span for found in _search(parsed, files, None)})


def span_sizes(pattern: str, span: int, *, base: Path | None = None) -> dict[str, int]:
    """Path -> bytes of the files of one span, in its highest version. No file is read."""
    parsed = _parse(pattern)
    files = _storage(parsed, base or Path.cwd(), nothing_known)
    return {f.path: files.size(f.path) for f in _latest_versions(_search(parsed, files, [span]))}


def _file_set(pattern: _Pattern, files: ExternalFiles, found: list[_Found]) -> FileSet:
    chosen = _latest_versions(found)
    last = chosen[-1] if chosen else None
    return FileSet(
        pattern=pattern.text,
        files=tuple(
            dataclasses.replace(files.fingerprint(f.path), span=f.span if pattern.spanned else None)
            for f in chosen
        ),
        span=last.span if last and pattern.spanned else None,
        version=last.version if last and "VERSION" in pattern.placeholders else None,
    )


@dataclass(frozen=True, slots=True)
class _Pattern:
    text: str
    scheme: str
    """Empty for local files."""
    names: tuple[str, ...]
    """The path, one name a folder; the last one is the file's. Empty first name: absolute."""
    placeholders: frozenset[str]

    @property
    def dated(self) -> bool:
        return "YYYY" in self.placeholders

    @property
    def spanned(self) -> bool:
        return self.dated or "SPAN" in self.placeholders

    def label(self, span: int) -> str:
        """How messages call a span of this pattern."""
        day = _day(span)
        return f"{day} (span {span})" if self.dated and day else f"span {span}"

    def filled(self, span: int) -> str:
        """The pattern for one span, with `*` for the version; for messages."""
        day = _day(span) or _EPOCH
        values = {"YYYY": f"{day.year:04}", "MM": f"{day.month:02}", "DD": f"{day.day:02}", "VERSION": "*"}

        def fill(match: re.Match[str]) -> str:
            name, _, width = match[1].partition(":")
            return values.get(name) or str(span).zfill(int(width or 0))

        return _PLACEHOLDER.sub(fill, self.text)


@dataclass(frozen=True, slots=True, order=True)
class _Found:
    span: int
    version: int
    path: str


# -- reading the pattern


def _parse(text: str) -> _Pattern:
    scheme, separator, rest = text.partition("://")
    if not separator or scheme == "file":
        scheme, rest = "", (rest if separator else text)
    if not rest or rest.endswith("/"):
        raise ResolutionError("a file pattern must end with the name of a file", where=repr(text))
    placeholders = {_placeholder(inside, text)[0] for inside in _PLACEHOLDER.findall(rest)}
    if "{" in (plain := _PLACEHOLDER.sub("", rest)) or "}" in plain or "**" in plain:
        raise ResolutionError("unbalanced brace or `**` in a file pattern", where=repr(text))
    _check_placeholders(placeholders, text)
    parts = rest.split("/")
    names = (*parts[:1], *(name for name in parts[1:] if name not in ("", ".")))
    climbed = False
    for name in names:
        if name == ".." and climbed:
            raise ResolutionError(
                "`..` is allowed only at the start of a relative file pattern",
                where=repr(text),
                hint="a substituted value may not lead out of its folder; write the folder itself",
            )
        climbed = climbed or name not in ("..", ".")
    return _Pattern(text, scheme, names, frozenset(placeholders))


def _placeholder(inside: str, text: str) -> tuple[str, str]:
    """Name and regular expression of `{inside}`."""
    if inside in _DATE_DIGITS:
        return inside, rf"\d{{{_DATE_DIGITS[inside]}}}"
    if match := _COUNTER.fullmatch(inside):
        return match[1], rf"\d{{{match[2]}}}" if match[2] else r"\d{1,18}"
    hint = did_you_mean(inside.partition(":")[0], _KNOWN)
    raise ResolutionError(f"unknown placeholder {{{inside}}}", where=repr(text), hint=hint)


def _check_placeholders(names: set[str], text: str) -> None:
    dated = names & set(_DATE_DIGITS)
    if dated and dated != set(_DATE_DIGITS):
        missing = ", ".join(f"{{{n}}}" for n in _DATE_DIGITS if n not in dated)
        raise ResolutionError(f"a dated file pattern also needs {missing}", where=repr(text))
    if dated and "SPAN" in names:
        raise ResolutionError("{SPAN} and {YYYY}{MM}{DD} exclude each other", where=repr(text))
    if "VERSION" in names and not dated and "SPAN" not in names:
        raise ResolutionError("{VERSION} needs {SPAN} or {YYYY}{MM}{DD} beside it", where=repr(text))


def _check_range(
    pattern: _Pattern, date: str | None, span: int | None, window: int, skip: int, since: int | str | None
) -> None:
    where = repr(pattern.text)
    if date is not None and span is not None:
        raise ResolutionError("give a date or a span, not both", where=where)
    if window < (1 if since is None else 0):
        raise ResolutionError(f"window is {window}, but must be at least 1", where=where)
    if skip < 0:
        raise ResolutionError(f"skip is {skip}, but must be at least 0", where=where)
    anything = date is not None or span is not None or since is not None or window > 1 or skip
    if not pattern.spanned and anything:
        raise ResolutionError(
            "a date, span or window was given, but the pattern says nowhere where it goes",
            where=where,
            hint="put {YYYY}-{MM}-{DD} or {SPAN} into the pattern",
        )


def _day_number(date: str) -> int:
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", date):
            raise ValueError
        return (datetime.date.fromisoformat(date) - _EPOCH).days
    except ValueError:
        raise ResolutionError(f"{date!r} is not a date of the form YYYY-MM-DD") from None


# -- searching


def _search(pattern: _Pattern, files: ExternalFiles, spans: Sequence[int] | None) -> list[_Found]:
    """Every file of the given spans (None: of all), in no particular order."""
    candidates: list[dict[str, int]] | None = None
    if spans is not None:
        days = [(span, _day(span)) for span in spans]
        candidates = (
            [{"YYYY": day.year, "MM": day.month, "DD": day.day} for _, day in days if day is not None]
            if pattern.dated
            else [{"SPAN": span} for span in spans]
        )
    names = tuple(n for n in pattern.names if n not in ("", ".", ".."))
    found = []
    for path, values in _walk(files, files.root, names, {}, candidates):
        span = _span_of(values)
        if span is not None:
            found.append(_Found(span, values.get("VERSION", 0), path))
    return found


def _walk(
    files: ExternalFiles,
    folder: str,
    names: tuple[str, ...],
    bound: Mapping[str, int],
    candidates: Sequence[Mapping[str, int]] | None,
) -> Iterator[tuple[str, dict[str, int]]]:
    """Files below `folder` that match `names`, with the placeholders' values; prunes as it goes down."""
    name, rest = names[0], names[1:]
    if "{" not in name and "*" not in name:
        matches = [(name, dict(bound))]
    else:
        matches = list(_matching_names(name, files.names(folder), bound, candidates))
    for child_name, values in matches:
        child = files.child(folder, child_name)
        if rest:
            if files.is_folder(child):
                yield from _walk(files, child, rest, values, candidates)
        elif files.is_file(child):
            yield child, values


def _matching_names(
    name: str, entries: list[str], bound: Mapping[str, int], candidates: Sequence[Mapping[str, int]] | None
) -> Iterator[tuple[str, dict[str, int]]]:
    """Entries of a folder that match one name of the pattern and agree with the values bound so far."""
    keys: list[str] = []
    expression = ""
    for token in re.split(r"(\{[^{}]*\}|\*)", name):
        if token.startswith("{"):
            key, digits = _placeholder(token[1:-1], name)
            keys.append(key)
            expression += f"({digits})"
        else:
            expression += "[^/]*" if token == "*" else re.escape(token)
    compiled = re.compile(expression)
    for entry in entries:
        match = compiled.fullmatch(entry)
        if match is None or (entry.startswith(".") and not name.startswith(".")):
            continue
        values = dict(bound)
        agrees = all(
            values.setdefault(k, int(v)) == int(v) for k, v in zip(keys, match.groups(), strict=True)
        )
        if agrees and (candidates is None or any(_fits(values, c) for c in candidates)):
            yield entry, values


def _fits(values: Mapping[str, int], candidate: Mapping[str, int]) -> bool:
    return all(values.get(key, value) == value for key, value in candidate.items())


def _span_of(values: Mapping[str, int]) -> int | None:
    """The span of a match; 0 for a pattern without spans, None for an impossible date."""
    if "YYYY" not in values:
        return values.get("SPAN", 0)
    try:
        return (datetime.date(values["YYYY"], values["MM"], values["DD"]) - _EPOCH).days
    except ValueError:
        return None


def _day(span: int) -> datetime.date | None:
    try:
        return _EPOCH + datetime.timedelta(days=span)
    except OverflowError:
        return None


def _latest_versions(found: list[_Found]) -> list[_Found]:
    latest: dict[int, int] = {}
    for f in found:
        latest[f.span] = max(f.version, latest.get(f.span, 0))
    return sorted(f for f in found if f.version == latest[f.span])


# -- errors


def _span_missing(pattern: _Pattern, files: ExternalFiles, wanted: int) -> ResolutionError:
    spans = sorted({f.span for f in _search(pattern, files, None)})
    at = bisect.bisect(spans, wanted)
    near = [f"before it {pattern.label(spans[at - 1])}"] if at else []
    near += [f"after it {pattern.label(spans[at])}"] if at < len(spans) else []
    return ResolutionError(
        f"there is no file for {pattern.label(wanted)}",
        where=f"{pattern.filled(wanted)!r} below {files.root}",
        hint=f"nearest that exists: {'; '.join(near)}" if near else _deepest_folder(pattern, files),
    )


def _nothing_found(pattern: _Pattern, files: ExternalFiles) -> ResolutionError:
    return ResolutionError(
        f"no file matches {pattern.text!r}", where=f"below {files.root}", hint=_deepest_folder(pattern, files)
    )


def _deepest_folder(pattern: _Pattern, files: ExternalFiles) -> str:
    """What exists on the way: where the literal part of the path ends, and what is there instead."""
    folder = files.root
    for name in (n for n in pattern.names if n not in ("", ".", "..")):
        if "{" in name or "*" in name:
            break
        child = files.child(folder, name)
        if not files.is_folder(child):
            entries = files.names(folder)
            return f"{folder} has no {name!r}; {did_you_mean(name, entries) or 'it is empty'}"
        folder = child
    entries = files.names(folder)
    return f"{folder} has {', '.join(entries[:5])}{', ...' if len(entries) > 5 else ''}" if entries else ""


def _storage(pattern: _Pattern, base: Path, known: KnownFiles) -> ExternalFiles:
    if pattern.scheme:
        return RemoteFiles(pattern.scheme, pattern.names[0])
    root = Path("/") if pattern.names[0] == "" else base.resolve()
    for _ in (n for n in pattern.names if n == ".."):
        root = root.parent
    return LocalFiles(str(root), known)
