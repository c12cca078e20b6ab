"""Reads the Markdown documents of the repository and holds their promises against it.

Every check returns its complaints as `file:line: what`, so that it can be tested on a bad document.
"""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

COMMAND_LANGUAGES = {"console", "bash", "sh", "shell"}
FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<info>[^`]*)$")
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)(?:\s+\"[^\"]*\")?\)")
INLINE = re.compile(r"(?<!`)`(?P<code>[^`\n]+)`(?!`)")
HEADING = re.compile(r"^#{1,6} +(?P<text>.+?) *#*$")
REPOSITORY_PATH = re.compile(r"^(?:\./)?(?:src|tests|docs|examples|bench|\.ci)/[\w./-]*$")
STANDS_FOR_A_NAME = re.compile(r"\b(?:NAME|NNNN|YYYY)\b")


@dataclass(frozen=True)
class Block:
    """A fenced block: the words after its ticks, and its lines."""

    line: int
    language: str
    words: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Document:
    """A Markdown file, taken apart."""

    path: Path
    blocks: tuple[Block, ...]
    prose: tuple[tuple[int, str], ...]
    """Numbered lines outside of fenced blocks."""

    @property
    def anchors(self) -> set[str]:
        """What `#...` may point at: headings in the form that forges make of them."""
        texts = [m["text"] for _, line in self.prose if (m := HEADING.match(line))]
        return {re.sub(r"[^\w\- ]", "", text).strip().lower().replace(" ", "-") for text in texts}

    def inline_code(self) -> Iterator[tuple[int, str]]:
        """Code spans, with their line."""
        for number, line in self.prose:
            yield from ((number, match["code"].strip()) for match in INLINE.finditer(line))

    def commands(self) -> Iterator[tuple[int, str]]:
        """Commands of console blocks and code spans that begin with `make` or `tidemill`."""
        for block in self.blocks:
            if block.language in COMMAND_LANGUAGES:
                yield from commands_of(block)
        for number, code in self.inline_code():
            if re.match(r"(make|tidemill) ", code):
                yield number, code


def read(path: Path) -> Document:
    """Take a document apart; ValueError when a fence is not closed."""
    blocks: list[Block] = []
    prose: list[tuple[int, str]] = []
    opened: tuple[int, str, list[str], list[str]] | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence = FENCE.match(line)
        if opened is None and fence:
            opened = (number, fence["ticks"], fence["info"].split(), [])
        elif opened is not None and fence and not fence["info"].strip() and fence["ticks"] == opened[1]:
            start, _, info, lines = opened
            blocks.append(Block(start, info[0] if info else "", tuple(info[1:]), "\n".join(lines) + "\n"))
            opened = None
        elif opened is not None:
            opened[3].append(line)
        else:
            prose.append((number, line))
    if opened is not None:
        raise ValueError(f"{path}:{opened[0]}: the block is never closed")
    return Document(path, tuple(blocks), tuple(prose))


def commands_of(block: Block) -> Iterator[tuple[int, str]]:
    """The numbered commands of a console block: the lines after a `$ ` prompt, or all if there is none."""
    lines = list(enumerate(block.text.splitlines(), block.line + 1))
    prompted = [(n, text.strip()[2:]) for n, text in lines if text.strip().startswith("$ ")]
    for number, text in prompted or lines:
        if text.strip() and not text.lstrip().startswith("#"):
            yield number, text.strip()


def missing_links(document: Document, root: Path) -> Iterator[str]:
    """Links inside the repository that lead nowhere, and anchors that no heading makes."""
    for number, line in document.prose:
        for match in LINK.finditer(INLINE.sub("", line)):
            target, _, anchor = match["target"].partition("#")
            if "://" in target or target.startswith("mailto:"):
                continue
            file = (document.path.parent / target).resolve() if target else document.path
            where = f"{document.path.relative_to(root)}:{number}"
            if not file.exists():
                yield f"{where}: the link {match['target']} leads nowhere"
            elif anchor and file.suffix == ".md" and anchor not in read(file).anchors:
                yield f"{where}: {target or 'this document'} has no heading for #{anchor}"


def missing_paths(document: Document, root: Path) -> Iterator[str]:
    """Paths from the repository's root, in code spans and commands, that do not exist."""
    words = list(document.inline_code())
    words += [(n, word) for n, command in document.commands() for word in _split(command)]
    for number, word in words:
        if REPOSITORY_PATH.match(word) and not STANDS_FOR_A_NAME.search(word) and not (root / word).exists():
            yield f"{document.path.relative_to(root)}:{number}: {word} does not exist"


def missing_targets(document: Document, root: Path) -> Iterator[str]:
    """`make` targets that the Makefile does not have."""
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    known = set(re.findall(r"^([a-z][\w-]*):", makefile, re.MULTILINE))
    for number, command in document.commands():
        words = _split(command)
        if words[:1] != ["make"]:
            continue
        for word in words[1:]:
            if word in {"&&", ";", "|", ">"}:
                break
            if "=" not in word and not word.startswith("-") and word not in known:
                yield f"{document.path.relative_to(root)}:{number}: make has no target {word}"


def missing_verbs(document: Document, root: Path, cli: click.Group) -> Iterator[str]:
    """Commands and options of `tidemill` that the command line does not have."""
    for number, command in document.commands():
        words = _split(command)
        if words[:1] == ["tidemill"]:
            for complaint in _wrong_words(words[1:], cli):
                yield f"{document.path.relative_to(root)}:{number}: {command}: {complaint}"


def _wrong_words(words: list[str], command: click.Command) -> Iterator[str]:
    context = click.Context(command)
    for word in words:
        if word in {"&&", ";", "|", ">"}:
            return
        if word.startswith("-"):
            name = word.partition("=")[0]
            options = {o for p in command.get_params(context) for o in (*p.opts, *p.secondary_opts)}
            if name not in options:
                yield f"{context.command.name} has no option {name}"
        elif isinstance(command, click.Group) and not STANDS_FOR_A_NAME.search(word):
            found = command.get_command(context, word)
            if found is None:
                yield f"{command.name} has no command {word}"
                return
            command, context = found, click.Context(found)


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command, comments=True)
    except ValueError:
        return command.split()


def wrong_python(document: Document, root: Path) -> Iterator[str]:
    """Python blocks that do not parse, or import names tidemill does not have."""
    for block in document.blocks:
        if block.language != "python":
            continue
        where = f"{document.path.relative_to(root)}:{block.line}"
        try:
            tree = ast.parse(block.text)
        except SyntaxError as error:
            yield f"{where}: {error.msg}"
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tidemill":
                module = importlib.import_module(node.module or "")
                for alias in node.names:
                    if not hasattr(module, alias.name):
                        yield f"{where}: {node.module} has no {alias.name}"


def tested_python(document: Document) -> str:
    """The blocks marked ```python test, one after the other: what the document promises to run."""
    blocks = [b for b in document.blocks if b.language == "python" and "test" in b.words]
    return "\n".join(block.text for block in blocks)


def undocumented(command: click.Command, name: str) -> Iterator[str]:
    """Commands, options and arguments without help text, all the way down."""
    if not (command.help or "").strip():
        yield f"{name} has no help"
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not (parameter.help or "").strip():
            yield f"{name} {parameter.opts[0]} has no help"
    if isinstance(command, click.Group):
        context = click.Context(command)
        for verb in command.list_commands(context):
            found = command.get_command(context, verb)
            if found is None:
                yield f"{name} {verb} is listed but cannot be loaded"
            else:
                yield from undocumented(found, f"{name} {verb}")
