"""XML files of datasets as trees whose elements know their lines. Entities and document types are refused."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from pipeline.datasets.problems import DatasetError
from pipeline.files import reading

MAX_DEPTH = 100


@dataclass(slots=True)
class Element:
    """One element.

    Attributes:
        tag: its name.
        line: in the file, from 1.
        attributes: name -> value.
        children: elements within it.
        text: all text directly within it.
    """

    tag: str
    line: int
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str) -> Iterator[Element]:
        """The children of a name."""
        return (child for child in self.children if child.tag == tag)

    def find(self, *tags: str) -> Element | None:
        """The first element on a path of names."""
        found: Element | None = self
        for tag in tags:
            found = next(found.all(tag), None) if found is not None else None
        return found

    def word(self, *tags: str) -> str:
        """The text of the first element on a path of names.

        Raises:
            ValueError: there is none.
        """
        found = self.find(*tags)
        if found is None:
            raise ValueError(f"<{self.tag}> has no <{'/'.join(tags)}>")
        return found.text.strip()

    def number(self, *tags: str) -> float:
        """The same as a number.

        Raises:
            ValueError: there is none, or it is not a number.
        """
        return as_number(self.word(*tags), f"<{tags[-1]}>")

    def attribute(self, name: str) -> str:
        """The value of an attribute.

        Raises:
            ValueError: there is none.
        """
        if name not in self.attributes:
            raise ValueError(f"<{self.tag}> has no attribute {name}")
        return self.attributes[name]

    def attribute_number(self, name: str) -> float:
        """The same as a number.

        Raises:
            ValueError: there is none, or it is not a number.
        """
        return as_number(self.attribute(name), name)


def as_number(text: str, name: str) -> float:
    """A number in a text file.

    Args:
        text: of the number.
        name: of the value, for the error message.

    Raises:
        ValueError: it is not a finite number.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name}: got {text[:40]!r}, expected a number")
    return number


def read_xml(path: Path) -> Element:
    """Reads an XML file.

    Raises:
        DatasetError: it cannot be read, is not XML, or declares entities; the message names the line.
    """
    parser = expat.ParserCreate()
    stack = [Element("", 0, {})]

    def start(tag: str, attributes: dict[str, str]) -> None:
        element = Element(tag, parser.CurrentLineNumber, attributes)
        if len(stack) > MAX_DEPTH:
            raise _RefusedError("is nested too deeply")
        stack[-1].children.append(element)
        stack.append(element)

    def text(data: str) -> None:
        stack[-1].text += data

    def refuse(*_: object) -> None:
        raise _RefusedError("declares a document type or entities, which labels do not need")

    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda tag: stack.pop() and None
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    with reading(path, DatasetError):
        data = path.read_bytes()
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise DatasetError(f"{path}:{error.lineno}: is not XML: {expat.ErrorString(error.code)}") from None
    except (_RefusedError, LookupError, ValueError) as error:
        raise DatasetError(f"{path}:{parser.CurrentLineNumber}: {error}") from None
    return stack[0].children[0]


class _RefusedError(Exception):
    pass
