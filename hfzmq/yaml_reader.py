"""Takes typed values out of YAML nodes; whatever is wrong fails with the node's own line, its key and the cause.

Touches nothing: text comes in. Must not know: which keys a file has, what they mean. Keeps: plain decimal numbers only
(YAML 1.1 reads ``010`` as eight and ``1:30`` as ninety, and nobody who wrote a port meant that); an unknown key, a key
given twice and a missing key are errors, never defaults.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import yaml

from hfzmq.errors import ConfigError

HOST_HINT = "only the host: no scheme, port or space; no IPv6; 0.0.0.0 cannot be reached"
COMPARE = "compare with a whole file: hfzmq config init"  # the hint where there is no better one
IN_MS = "in milliseconds: 1000 is one second"

DIGITS_SHOWN = 12  # of a number that is far too long
DEEP_MAX = 8  # lists in lists

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_MANY_DIGITS = re.compile(r"-?[1-9][0-9]{18,}")
_DECIMAL = re.compile(r"-?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")  # E101 is a name
_NEARLY_A_NUMBER = re.compile(r"[-+]?[0-9][0-9A-Za-z.,:_%]{0,11}|[-+]?\.(nan|NaN|NAN|inf|Inf|INF)")
_HEX16 = re.compile(r"[0-9a-fA-F]{32}")
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


def is_host(value: str) -> bool:
    """Whether ``value`` is an IPv4 address that others can connect to, or a host name: no spaces, port or scheme."""
    labels = value.split(".")
    if labels[-1].isdigit():  # a name's last label is never a number, so this must be an address
        try:
            return not ipaddress.IPv4Address(value).is_unspecified
        except ValueError:
            return False
    return len(value) <= 253 and all(_LABEL.fullmatch(label) for label in labels)


def likely(name: str, known: Sequence[str]) -> str:
    """``did you mean lease_ms? ``: of ``known`` the one that whoever wrote ``name`` may have meant; '' for none."""
    import difflib  # only who has made a mistake needs it

    beginning = [one for one in known if one.startswith(name) or name.startswith(one)]
    near = difflib.get_close_matches(name, known, 1) or beginning[:1]
    return f"did you mean {near[0]}? " if near and name else ""


class YamlReader:
    """Reads one file's text; every method raises ConfigError with ``path``, line, key and cause."""

    def __init__(self, path: str) -> None:
        self.path = path

    def root(self, text: str) -> yaml.Node | None:
        """The root node of ``text``, or None when there is nothing but comments."""
        try:
            return yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            cause = f"not YAML: a control character ({error.character!r})"
            raise ConfigError(self.path, line, "", cause, hint="take it out") from None
        except yaml.YAMLError as error:
            raise self._not_yaml(error) from None
        except RecursionError:
            raise ConfigError(self.path, None, "", "not YAML: nested too deep", hint=COMPARE) from None

    def _not_yaml(self, error: yaml.YAMLError) -> ConfigError:
        mark, begun = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
        cause = getattr(error, "problem", None) or "cannot be read"
        place = mark.line + 1 if mark else None
        if "'\\t'" in cause:
            return ConfigError(self.path, place, "", "a tab, which YAML does not take", hint="indent with spaces")
        if mark and begun and begun.line < mark.line:
            # Where it was noticed; what is wrong lies somewhere from where that part begins.
            hint = f"a quotation mark, bracket or colon missing in between? {COMPARE}"
            return ConfigError(self.path, place, "", f"not YAML from line {begun.line + 1} on: {cause}", hint=hint)
        return ConfigError(self.path, place, "", f"not YAML: {cause}", hint=f"a space behind each colon; {COMPARE}")

    def fail(
        self, node: yaml.Node | None, key: str, cause: str, *, got: object = None, hint: str = COMPARE
    ) -> NoReturn:
        """Raise ConfigError at the line of ``node``."""
        raise ConfigError(self.path, None if node is None else line_of(node), key, cause, got=got, hint=hint)

    def mapping(
        self, node: yaml.Node | None, key: str, *, required: Sequence[str] = (), optional: Sequence[str] = ()
    ) -> dict[str, yaml.Node]:
        """The values of a mapping by key: all of ``required``, some of ``optional``, no others, none twice."""
        known = (*required, *optional)
        if node is None and not key:
            self.fail(node, key, "there is nothing in it, needed is a mapping of " + ", ".join(required))
        if not isinstance(node, yaml.MappingNode):
            self.fail(node, key, "a mapping of " + ", ".join(known))
        found: dict[str, yaml.Node] = {}
        prefix = key + "." if key else ""
        for key_node, value in node.value:
            name = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            if name not in known:
                self.fail(
                    key_node, prefix + name, "unknown key", hint=likely(name, known) + "known: " + ", ".join(known)
                )
            if name in found:
                self.fail(key_node, prefix + name, "given twice", hint="keep one of them")
            found[name] = value
        for name in required:
            if name not in found:
                self.fail(node, prefix + name, "missing")
        return found

    def sequence(self, node: yaml.Node, key: str, least: int, most: int, *, hint: str = COMPARE) -> list[yaml.Node]:
        """The nodes of a list of ``least`` to ``most`` items."""
        if not isinstance(node, yaml.SequenceNode) or not least <= len(node.value) <= most:
            self.fail(node, key, f"a list of {least} to {most} items", hint=hint)
        return list(node.value)

    def scalar(self, node: yaml.Node, key: str, expected: str) -> str:
        """A scalar's own text; ``expected`` is the cause when it is a list or a mapping."""
        if not isinstance(node, yaml.ScalarNode):
            self.fail(node, key, expected)
        return str(node.value)

    def text(self, node: yaml.Node, key: str, least: int, most: int) -> str:
        """Printable text without spaces, of ``least`` to ``most`` characters."""
        expected = f"text of {least} to {most} printable characters without spaces"
        value = self.scalar(node, key, expected)
        if not least <= len(value) <= most or not value.isprintable() or " " in value:
            self.fail(node, key, expected, got=value)
        return value

    def host(self, node: yaml.Node, key: str) -> str:
        """An IPv4 address or a host name."""
        expected = "an IPv4 address or a host name"
        value = self.scalar(node, key, expected)
        if not is_host(value):
            self.fail(node, key, expected, got=value, hint=HOST_HINT)
        return value

    def choice(self, node: yaml.Node, key: str, known: Sequence[str]) -> str:
        """One of ``known``."""
        expected = "one of " + ", ".join(known)
        value = self.scalar(node, key, expected)
        if value not in known:
            self.fail(node, key, expected, got=value, hint=(likely(value.lower(), known) + "lower case"))
        return value

    def hex16(self, node: yaml.Node, key: str) -> bytes:
        """16 bytes written as 32 hexadecimal digits."""
        expected = "32 hexadecimal digits"
        value = self.scalar(node, key, expected)
        if not _HEX16.fullmatch(value):
            hint = "take it from the other machines' file; for a new mesh: hfzmq config init"
            self.fail(node, key, expected, got=value, hint=hint)
        return bytes.fromhex(value)

    def integer(self, node: yaml.Node, key: str, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, written plainly in decimal digits."""
        expected = f"a whole number, {low} to {high}"
        value = self.scalar(node, key, expected)
        too_long = _plain(node) and _MANY_DIGITS.fullmatch(value)
        if not too_long and (not _plain(node) or not _INTEGER.fullmatch(value)):
            digits = any(c.isdigit() for c in value)
            hint = "decimal digits only" + (": no quotes, no point, no leading zero" if digits else f", such as {low}")
            self.fail(node, key, expected, got=_written(node), hint=hint)
        if too_long or not low <= int(value) <= high:
            got = _written(node) if too_long else int(value)
            self.fail(node, key, expected, got=got, hint=IN_MS if key.endswith("_ms") else COMPARE)
        return int(value)

    def fraction(self, node: yaml.Node, key: str) -> float:
        """A number strictly between 0 and 1."""
        expected = "a probability between 0 and 1"
        value = self.scalar(node, key, expected)
        number = _decimal(value) if _plain(node) else math.nan
        if not 0 < number < 1:  # NaN fails this too
            self.fail(node, key, expected, got=_written(node), hint="a number like 0.3, without quotes")
        return number

    def integers(self, node: yaml.Node | None, key: str, bounds: Mapping[str, tuple[int, int]]) -> dict[str, int]:
        """The whole numbers of an optional mapping whose keys are those of ``bounds``; only the ones given."""
        if node is None:
            return {}
        fields = self.mapping(node, key, optional=tuple(bounds))
        return {name: self.integer(value, f"{key}.{name}", *bounds[name]) for name, value in fields.items()}

    def plain(self, node: yaml.Node, key: str, items_max: int, deep: int = DEEP_MAX) -> Any:
        """A number, text, a list of such, or a mapping to such: what it says, for somebody else to judge."""
        if not deep:  # also an alias of what it stands in
            self.fail(node, key, "nested too deep")
        if isinstance(node, yaml.ScalarNode):
            text = str(node.value)
            if _plain(node) and _INTEGER.fullmatch(text):
                return int(text)
            number = _decimal(text) if _plain(node) else math.nan
            return text if math.isnan(number) else number
        if isinstance(node, yaml.SequenceNode) and len(node.value) <= items_max:
            return [self.plain(one, f"{key}[{at}]", items_max, deep - 1) for at, one in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode) and len(node.value) <= items_max:
            return {
                self.scalar(name, key, "a name"): self.plain(value, f"{key}.{name.value}", items_max, deep - 1)
                for name, value in node.value
            }
        return self.fail(node, key, f"at most {items_max} items")


def line_of(node: yaml.Node) -> int:
    """The line, from 1, at which ``node`` starts."""
    return int(node.start_mark.line) + 1


def child(node: yaml.Node | None, *names: str) -> yaml.Node | None:
    """The value under the first of ``names`` that the mapping ``node`` has; otherwise ``node`` itself."""
    if isinstance(node, yaml.MappingNode):
        values = {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}
        return next((values[name] for name in names if name in values), node)
    return node


class _Written:
    """A value as it stands in the file, to be shown just so."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _written(node: yaml.Node) -> _Written | None:
    """What stands where a number belongs, if it looks like one: anything else may be a secret that got there."""
    text = str(node.value)
    if _plain(node) and _MANY_DIGITS.fullmatch(text):
        return _Written(f"{text[:DIGITS_SHOWN]}... ({len(text.lstrip('-'))} digits)")
    if not _NEARLY_A_NUMBER.fullmatch(text):
        return None
    return _Written(text if _plain(node) else f'"{text}"')


def _plain(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None  # "7" in quotes is text, not a number


def _decimal(text: str) -> float:
    return float(text) if _DECIMAL.fullmatch(text) else math.nan
